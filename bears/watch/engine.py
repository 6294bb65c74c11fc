"""Watch a camera's frames: crop what moves, classify the crops, and apply the rule of the alarm to their scores."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from bears.model.answers import either, find_group
from bears.watch.alarm import Alarm, Rule, score
from bears.watch.motion import OLD, Movement, Track, Tracks
from bears.watch.schedule import WHOLE_FRAME, Schedule
from bears.watch.zones import Zone, cover
from PIL import Image

MARGIN = 0.2  # around a box, as a share of the box's longer side
SMALLEST = 0.2  # the least side of a crop, as a share of the frame's shorter side
DEFAULT = Rule()


class Frame(NamedTuple):
    """Hold a frame's picture and its time.

    `picture` has the shape (height, width, 3) and the type uint8. Its channels are blue, green and red, as in OpenCV.
    `picture` is None if no picture has arrived, or if `watch --hours` excludes this time.
    """

    seconds: float
    picture: np.ndarray | None


@dataclass
class Look:
    """Hold one pass: the model's answer about a crop around a track. `box` is the crop: left, top, right, bottom."""

    track: int
    box: tuple[int, int, int, int]
    picture: Image.Image
    probs: dict[str, float]
    certainty: str
    score: float
    group: Sequence[str] = ()  # the classes of the group, if the answer is a group
    took: float = 0  # seconds that the pass took


@dataclass
class Step:
    """Hold a frame, the model's passes over its crops, and the resulting events (`Alarm.step`)."""

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
    zones: Sequence[Zone] = (),
) -> Iterator[Step]:
    """Yield a `Step` for each frame. `model` is a `Classifier`, and `alarm` has the classes that raise an alarm.

    With `whole_only`, each frame is a separate photo and is classified as a whole, without looking for movement.
    `clock` returns the time in seconds, to measure the model's speed. Leave out `clock` for a film, since its frames
    wait for a slow model. As `groups`, pass `model.limits.groups`, the classes that are hard to tell apart. Movement in
    `zones` is ignored. When the whole frame is classified, the zones are painted grey.
    """
    watcher = Watcher(model, alarm, rule, whole_only, clock, groups, zones)
    for frame in frames:
        yield watcher.step(frame)


class Watcher:
    """Watch one camera. Remember the background, the tracks and the state of the alarm from frame to frame."""

    def __init__(self, model, alarm, rule, whole_only, clock=None, groups=(), zones=()):
        self.model, self.labels, self.rule, self.whole_only = model, alarm, rule, whole_only
        self.groups, self.zones = groups, zones
        self.alarm, self.movement, self.tracks = Alarm(rule), Movement(zones), Tracks()
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
        """Return the name of the class that raised the alarm, or of its group, such as `black or grizzly`."""
        group = [label for label in look.group if label in self.labels]
        return either(group or [max(self.labels, key=look.probs.get)])

    def look(self, frame):
        """Classify the tracks that `Schedule` chooses. Return a `Look` for each chosen track that isn't `old`."""
        seconds, picture = frame
        size = picture.shape[1], picture.shape[0]
        boxes = [] if self.whole_only else self.movement.boxes(picture, seconds)
        if seconds - self.whole.looked > OLD:  # the first frame, or the first after a gap
            self.whole.seen = seconds
        self.whole.box, self.whole.old = (0, 0, *size), seconds - self.whole.seen > OLD
        self.whole.changed |= boxes is None  # the light has changed, or an animal is close to the camera
        self.tracks.join(boxes or [], seconds)
        self.tracks.forget(seconds, self.is_seen)
        due = [self.whole] if self.whole_only else self.due(seconds)
        if not due:
            return []
        cuts, asked = [cut(track.box, size) for track in due], self.clock()
        shown = [cover(picture, self.zones) if track is self.whole else picture for track in due]
        pictures = [as_photo(full[top:bottom, left:right]) for full, (left, top, right, bottom) in zip(shown, cuts)]
        answers, looks = list(self.model.ask(pictures)), []
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
    """Return a square around a box: left, top, right, bottom. A square that leaves the frame is moved inside.

    `box` is x, y, width and height. `size` is the frame's width and height.
    """
    side = round(max((1 + 2 * MARGIN) * max(box[2:]), SMALLEST * min(size)))
    edges = []
    for start, length, whole in zip(box[:2], box[2:], size):
        begin = min(max(0, round(start + length / 2 - side / 2)), max(0, whole - side))
        edges.append((begin, min(whole, begin + side)))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def as_photo(picture):
    return Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
