"""Watch frames: what moves in them is cut out, shown to the model, and scored; the rule of the alarm does the rest."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from bears.watch.alarm import Alarm, Rule, score
from bears.watch.motion import OLD, Movement, Track, Tracks
from PIL import Image

LOOK = 0.35  # seconds between two looks at a track, at least: sooner the picture is nearly the same
SELDOM = 4  # seconds between two looks at a track that shows nothing; at grass, for one
WHOLE = 10  # seconds between two looks at the whole frame
MAX_LOOKS = 4  # in so many seconds, at whatever: the model takes longer than all else
MARGIN = 0.2  # of a box's longer side, on all sides
SMALLEST = 0.2  # of a frame's shorter side: what is cut out is at least so large, with what is around a small animal
WHOLE_FRAME = 0  # the number of its track
DEFAULT = Rule()


class Frame(NamedTuple):
    """A picture (h, w, 3) of uint8, blue first as OpenCV has it, and its time; None: there is none at this time."""

    seconds: float
    picture: np.ndarray | None


@dataclass
class Look:
    """What the model said of a picture that was cut out: box is left, top, right, bottom in the frame."""

    track: int
    box: tuple[int, int, int, int]
    picture: Image.Image
    probs: dict[str, float]
    certainty: str
    score: float


@dataclass
class Step:
    """A frame, what the model was shown of it, and the events of the rule (`Alarm.step`) that follow."""

    frame: Frame
    looks: list[Look] = field(default_factory=list)
    events: list[dict] = field(default_factory=list)


def watch(
    frames: Iterable[Frame], model, alarm: Sequence[str], rule: Rule = DEFAULT, whole_only=False
) -> Iterator[Step]:
    """A `Step` for each frame; `alarm` are the classes that it is asked for, `model` a `Model` of bears/app/model.py.

    `whole_only`: each frame is a photo of its own, with no background to compare it with, and is shown as it is.
    """
    watcher = Watcher(model, alarm, rule, whole_only)
    for frame in frames:
        yield watcher.step(frame)


class Watcher:
    """What is remembered from one frame to the next, which does not grow."""

    def __init__(self, model, alarm, rule, whole_only):
        self.model, self.labels, self.rule, self.whole_only = model, alarm, rule, whole_only
        self.alarm, self.movement, self.tracks = Alarm(rule), Movement(), Tracks()
        self.asked = deque(maxlen=MAX_LOOKS)  # when the model was
        self.whole, self.changed = Track(WHOLE_FRAME, None, float("inf")), False

    def step(self, frame):
        step = Step(frame)
        if frame.picture is not None:
            step.looks = self.look(frame)
        step.events = self.alarm.step(frame.seconds, [(look.track, look.score) for look in step.looks])
        for event in step.events:
            if event["event"] == "alarm":
                [probs] = [look.probs for look in step.looks if look.track == event["track"]]
                event["label"] = max(self.labels, key=probs.get)
        return step

    def look(self, frame):
        """Show the model what has not been looked at for longest; what nobody heeds any more is not in the answer."""
        seconds, picture = frame
        size = picture.shape[1], picture.shape[0]
        boxes = [] if self.whole_only else self.movement.boxes(picture, seconds)
        self.whole.seen = min(self.whole.seen, seconds)
        self.changed |= boxes is None  # the light, or an animal right before the camera
        self.tracks.join(boxes or [], seconds)
        self.tracks.forget(seconds, self.is_seen)
        due = [self.whole] if self.whole_only else self.due(seconds)
        if not due:
            return []
        cuts = [cut(t.box, size) if t.box else (0, 0, *size) for t in due]
        pictures = [as_photo(picture[top:bottom, left:right]) for left, top, right, bottom in cuts]
        looks = []
        for track, box, photo, (probs, certainty, *_) in zip(due, cuts, pictures, self.model.ask(pictures, False)):
            track.looked_at, track.looked, track.score = track.box, seconds, score(probs, certainty, self.labels)
            track.nothing = 0 if track.score else track.nothing + 1
            if not self.is_old(track, seconds):
                looks.append(Look(track.number, box, photo, probs, certainty, track.score))
        self.changed = False
        if self.whole_only or not self.is_seen(self.whole):
            self.whole.seen = seconds
        return looks

    def due(self, seconds):
        """The tracks to look at now, those first that have waited for longest."""
        free = MAX_LOOKS - sum(abs(seconds - asked) < LOOK for asked in self.asked)
        tracks = [track for track in [self.whole, *self.tracks.tracks] if self.is_due(track, seconds)]
        tracks = sorted(tracks, key=lambda track: track.looked)[:free]
        self.asked.extend([seconds] * len(tracks))
        return tracks

    def is_seen(self, track):
        return track.score >= self.rule.stay * self.rule.threshold

    def is_old(self, track, seconds):
        """Whether it is the whole frame, and has looked alike for so long that it is the scene: a stump, for one."""
        return track is self.whole and seconds - track.seen > OLD

    def is_due(self, track, seconds):
        """Whether a track is to be looked at: soon after what was likely, ever more seldom after nothing."""
        passed = abs(seconds - track.looked)
        if track is self.whole and (self.is_old(track, seconds) or not (self.is_seen(track) or self.changed)):
            return passed >= WHOLE
        return passed >= min(SELDOM, LOOK * 2 ** max(0, track.nothing - 4))


def cut(box, size):
    """The square around a box, as far as it fits into a frame of that size: left, top, right, bottom."""
    side = round(max((1 + 2 * MARGIN) * max(box[2:]), SMALLEST * min(size)))
    edges = []
    for start, length, whole in zip(box[:2], box[2:], size):
        begin = min(max(0, round(start + length / 2 - side / 2)), max(0, whole - side))
        edges.append((begin, min(whole, begin + side)))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def as_photo(picture):
    return Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
