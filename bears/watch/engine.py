"""Watch frames: what moves in them is cut out, shown to the model, and scored; the rule of the alarm does the rest."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from bears.model.answers import either, find_group
from bears.watch.alarm import Alarm, Rule, score
from bears.watch.motion import OLD, Movement, Track, Tracks
from bears.watch.schedule import WHOLE_FRAME, Schedule
from PIL import Image

MARGIN = 0.2  # of a box's longer side, on all sides
SMALLEST = 0.2  # of a frame's shorter side: what is cut out is at least so large, with what is around a small animal
DEFAULT = Rule()


class Frame(NamedTuple):
    """A picture (h, w, 3) of uint8, blue first as OpenCV has it, and its time; None: there is none at this time."""

    seconds: float
    picture: np.ndarray | None


@dataclass
class Look:
    """Hold the model's answer about a crop; box is left, top, right, bottom in the frame."""

    track: int
    box: tuple[int, int, int, int]
    picture: Image.Image
    probs: dict[str, float]
    certainty: str
    score: float
    group: Sequence[str] = ()  # the classes that it cannot tell apart, if that is its answer
    took: float = 0  # seconds until it said so


@dataclass
class Step:
    """A frame, what the model was shown of it, and the events of the rule (`Alarm.step`) that follow."""

    frame: Frame
    looks: list[Look] = field(default_factory=list)
    events: list[dict] = field(default_factory=list)


def watch(
    frames: Iterable[Frame],
    model,
    alarm: Sequence[str],
    rule: Rule = DEFAULT,
    whole_only=False,
    clock: Callable[[], float] | None = None,
    groups: Sequence[Sequence[str]] = (),
) -> Iterator[Step]:
    """Yield a `Step` for each frame; `alarm` are the classes that it is asked for, `model` is a `Classifier`.

    `whole_only`: each frame is a photo of its own, with no background to compare it with, and is shown as it is.
    `clock` returns the time in seconds where frames do not wait for a slow model, as those of a camera. `groups` are
    the classes that the model may not be able to tell apart, as its `Limits` have them.
    """
    watcher = Watcher(model, alarm, rule, whole_only, clock, groups)
    for frame in frames:
        yield watcher.step(frame)


class Watcher:
    """Remember what is needed from one frame to the next; this does not grow."""

    def __init__(self, model, alarm, rule, whole_only, clock=None, groups=()):
        self.model, self.labels, self.rule, self.whole_only = model, alarm, rule, whole_only
        self.groups = groups
        self.alarm, self.movement, self.tracks = Alarm(rule), Movement(), Tracks()
        self.schedule, self.clock, self.took = Schedule(), clock or (lambda: 0), 0
        self.whole = Track(WHOLE_FRAME, (), seen=0, looked=float("-inf"))

    def step(self, frame):
        step = Step(frame)
        if frame.picture is not None:
            step.looks = self.look(frame)
        pairs = [(look.track, look.score) for look in step.looks]
        step.events = self.alarm.step(frame.seconds, pairs, self.took)
        for event in step.events:
            if event["event"] == "alarm":
                [look] = [look for look in step.looks if look.track == event["track"]]
                event["label"] = self.label(look)
        return step

    def label(self, look):
        """Return what a look alarmed for: a class, or `black or grizzly` where it cannot tell which."""
        group = [label for label in look.group if label in self.labels]
        return either(group or [max(self.labels, key=look.probs.get)])

    def look(self, frame):
        """Show the model what `Schedule` says; what nobody heeds any more is not in the answer."""
        seconds, picture = frame
        size = picture.shape[1], picture.shape[0]
        boxes = [] if self.whole_only else self.movement.boxes(picture, seconds)
        if seconds - self.whole.looked > OLD:  # it has just begun, or begins again after a gap
            self.whole.seen = seconds
        self.whole.box, self.whole.old = (0, 0, *size), seconds - self.whole.seen > OLD
        self.whole.changed |= boxes is None  # the light, or an animal right before the camera
        self.tracks.join(boxes or [], seconds)
        self.tracks.forget(seconds, self.is_seen)
        due = [self.whole] if self.whole_only else self.due(seconds)
        if not due:
            return []
        cuts, asked = [cut(track.box, size) for track in due], self.clock()
        pictures = [as_photo(picture[top:bottom, left:right]) for left, top, right, bottom in cuts]
        answers, looks = list(self.model.ask(pictures, False)), []
        self.took = (self.clock() - asked) / len(due)
        for track, box, photo, (probs, certainty, *_) in zip(due, cuts, pictures, answers):
            group = find_group(probs, certainty, self.groups)
            track.looked_at, track.looked, track.score = track.box, seconds, score(probs, certainty, self.labels, group)
            track.nothing = 0 if track.score else track.nothing + 1
            track.changed = False
            if not track.old:
                looks.append(Look(track.number, box, photo, probs, certainty, track.score, group, self.took))
        if self.whole_only or not self.is_seen(self.whole):
            self.whole.seen = seconds
        return looks

    def due(self, seconds):
        return self.schedule.next([self.whole, *self.tracks.tracks], seconds, self.rule.enough, self.took)

    def is_seen(self, track):
        return track.score >= self.rule.enough


def cut(box, size):
    """Return the square around a box, as far as it fits into a frame of that size: left, top, right, bottom."""
    side = round(max((1 + 2 * MARGIN) * max(box[2:]), SMALLEST * min(size)))
    edges = []
    for start, length, whole in zip(box[:2], box[2:], size):
        begin = min(max(0, round(start + length / 2 - side / 2)), max(0, whole - side))
        edges.append((begin, min(whole, begin + side)))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def as_photo(picture):
    return Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
