"""Find what moves: what differs from a learnt background, joined over frames into tracks.

The camera may shake, the light may change and the sun may go behind a cloud: none of that is a track. Grass in the wind
is one, for the model to look at ever more seldom.
"""

from dataclasses import dataclass
from itertools import count

import cv2
import numpy as np
from bears.watch.schedule import SELDOM

WIDTH = 320  # pixels of the picture in which movement is looked for
ADAPT = 120  # seconds in which the background follows what has changed; a thing that stands still is in it in a tenth
WARM_UP = 1 / 25  # the slowest rate of the first frames, since each says more than those before
PERSISTENT = 0.5  # of the picture, changed at once, are no animal but the light, or the switch to infrared
SMALLEST = 0.0012  # of the picture: an animal of a twentieth of its height
MAX_BOXES = 8
MAX_SHIFT = WIDTH / 16  # pixels that a camera shakes; a larger one is a change of the picture
FITS = 0.8  # times as unlike as it was is a picture that was shifted as the camera has shaken
SHADOW = 127  # what MOG2 marks shadows with
STAY = 30  # seconds that a track is watched where it was last seen to move,
OLD = 600  # and, where the model sees there what it is asked for, at most
MAX_TRACKS = 16
MOVED = 0.5  # of its longer side: a track that moves so far, or grows, is looked at again soon


class Movement:
    """The boxes of a camera's frames in which something moves: x, y, width, height in pixels of the frame."""

    def __init__(self):
        self.background = cv2.createBackgroundSubtractorMOG2(varThreshold=30, detectShadows=True)
        self.frames, self.now, self.scene = 0, None, None

    def boxes(self, picture, seconds):
        """Return the boxes in which something moves in a frame (h, w, 3); None if the whole picture has changed."""
        height, width = picture.shape[:2]
        small = cv2.resize(picture, (WIDTH, max(1, round(WIDTH * height / width))), interpolation=cv2.INTER_AREA)
        mask = self.mask(self.steady(cv2.GaussianBlur(small, (3, 3), 0)), seconds)
        if mask.mean() > PERSISTENT * 255:
            self.frames, self.scene = 0, None
            return None
        scale = width / WIDTH
        return [tuple(round(scale * side) for side in box) for box in boxes_of(mask)]

    def steady(self, small):
        """Return a frame moved to where the camera would have shown it, had it not shaken."""
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
        if self.scene is None or self.scene.shape != grey.shape:
            self.scene, self.frames = grey, 0
            self.window = cv2.createHanningWindow(grey.shape[::-1], cv2.CV_32F)
            return small
        (x, y), _ = cv2.phaseCorrelate(self.scene.copy(), grey.copy(), self.window)  # it writes into what it is given
        if 0.3 < max(abs(x), abs(y)) < MAX_SHIFT:
            moved = shift(grey, -x, -y)
            # What moves before the camera shifts it, too.
            if unlike(moved, self.scene) < FITS * unlike(grey, self.scene):
                grey, small = moved, shift(small, -x, -y)
        cv2.accumulateWeighted(grey, self.scene, 0.05)
        return small

    def mask(self, small, seconds):
        """Return which pixels are no background, 0 or 255, shadows apart."""
        passed = 0 if self.now is None else min(max(0, seconds - self.now), 2)
        self.now = seconds
        rate = 1 if self.frames == 0 else max(1 - np.exp(-passed / ADAPT), WARM_UP if self.frames < 10 else 0)
        self.frames += 1
        mask = self.background.apply(small, learningRate=rate)
        mask = np.where(mask > SHADOW, np.uint8(255), np.uint8(0))
        return cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))


def shift(picture, x, y):
    matrix = np.float32([[1, 0, x], [0, 1, y]])
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def unlike(a, b):
    """How much two grey pictures differ, all over: what is very different in one place counts no more than noise."""
    return np.minimum(cv2.absdiff(a, b), 16).mean()


def boxes_of(mask):
    """Return the largest things in a mask, the parts of which may lie somewhat apart."""
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8))
    stats = cv2.connectedComponentsWithStats(joined)[2]
    things = sorted(stats[1:].tolist(), key=lambda stat: -stat[4])
    return [stat[:4] for stat in things[:MAX_BOXES] if stat[4] >= SMALLEST * mask.size]


@dataclass
class Track:
    """One thing that moves, or has moved: where, when that was seen, and what the model said of it."""

    number: int
    box: tuple
    seen: float
    looked: float  # when the model was asked
    looked_at: tuple | None = None  # where it was then,
    score: float = 0  # what came out,
    nothing: int = 0  # and how often nothing did, in a row
    changed: bool = False  # of the whole frame: since it was looked at, all of it has,
    old: bool = False  # and whether it has looked alike for so long that it is the scene: a stump, for one

    @property
    def side(self):
        return max(self.box[2:])


class Tracks:
    """Boxes joined over frames; numbers are never used again, and 0 is left for the whole frame."""

    def __init__(self):
        self.tracks, self.numbers, self.joined = [], count(1), 0

    def join(self, boxes, seconds):
        """Go on with each track by the nearest box, if that is near, and begin tracks with the others."""
        gap, self.joined = max(1, seconds - self.joined), seconds
        pairs = [(apart(t.box, box), i, j) for i, t in enumerate(self.tracks) for j, box in enumerate(boxes)]
        if gap > 1:  # the model is slow: who was where tells little then, so sizes must be alike
            pairs = [pair for pair in pairs if alike(self.tracks[pair[1]].box, boxes[pair[2]])]
        joined_tracks, joined_boxes = set(), set()
        for distance, i, j in sorted(pairs):
            track = self.tracks[i]
            if (
                distance < 1 + min(gap, max(0, seconds - track.seen))
                and i not in joined_tracks
                and j not in joined_boxes
            ):
                joined_tracks.add(i), joined_boxes.add(j)
                track.box, track.seen = boxes[j], seconds
                if track.looked_at and apart(track.box, track.looked_at) > MOVED:
                    track.nothing = 0
        new = [box for j, box in enumerate(boxes) if j not in joined_boxes]
        self.tracks += [Track(next(self.numbers), box, seconds, looked=seconds - SELDOM) for box in new]

    def forget(self, seconds, seen_now):
        """Drop tracks that have not moved for long, for longer where the model sees there what it is asked for."""
        self.tracks = [t for t in self.tracks if 0 <= seconds - t.seen < (OLD if seen_now(t) else STAY)]
        self.tracks = sorted(self.tracks, key=lambda t: (t.score, t.seen))[-MAX_TRACKS:]


def alike(a, b):
    """Return whether neither box is more than twice as long as the other."""
    return 0.5 <= max(a[2:]) / max(*b[2:], 1) <= 2


def apart(a, b):
    """How far two boxes are apart, center from center, and how different in size: 1 is the larger one's longer side."""
    side = max(*a[2:], *b[2:], 1)
    x, y = ((p + size / 2 - q - other / 2) / side for p, size, q, other in zip(a[:2], a[2:], b[:2], b[2:]))
    return max(abs(x), abs(y), abs(max(a[2:]) - max(b[2:])) / side)
