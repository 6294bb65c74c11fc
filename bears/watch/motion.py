"""Find what moves by comparing frames with a learned background, and follow each moving thing as a track.

Clouds, a change of light and a shaking camera are ignored. Grass in the wind becomes a track, but `Schedule` lets the
model classify it less and less often.
"""

from dataclasses import dataclass
from itertools import count

import cv2
import numpy as np
from bears.watch.schedule import SELDOM
from bears.watch.zones import mask_of

WIDTH = 320  # pixels of the small frame in which movement is searched
ADAPT = 120  # seconds for the background to adapt to a change; a still thing becomes background in a tenth of this time
WARM_UP = 1 / 25  # the least learning rate during the first frames, when the background is still unknown
PERSISTENT = 0.5  # if a larger share of the frame changes at once, the light or infrared is the reason, not an animal
SMALLEST = 0.0012  # the least area of a moving thing, as a share of the frame: an animal a 20th as high as the frame
MAX_BOXES = 8
MAX_SHIFT = WIDTH / 16  # pixels; a larger shift is not the camera's shake, but another scene
FITS = 0.8  # a shift counts as the camera's shake if it leaves less than this share of the difference
SHADOW = 127  # MOG2's value for shadows
STAY = 30  # seconds for which a track is kept after it stopped moving
OLD = 600  # seconds for which a suspicious track is kept after it stopped moving
MAX_TRACKS = 16
MOVED = 0.5  # a track that moves or grows by this share of its longer side is classified again soon


class Movement:
    """Find the boxes (x, y, width, height in pixels) in which something moves in a camera's frames. Ignore `zones`."""

    def __init__(self, zones=()):
        self.zones = zones
        self.background = cv2.createBackgroundSubtractorMOG2(varThreshold=30, detectShadows=True)
        self.frames, self.now, self.scene = 0, None, None

    def boxes(self, picture, seconds):
        """Return the boxes in which something moves in a frame's picture, or None if most of it has changed."""
        height, width = picture.shape[:2]
        small = cv2.resize(picture, (WIDTH, max(1, round(WIDTH * height / width))), interpolation=cv2.INTER_AREA)
        mask = self.mask(self.steady(cv2.GaussianBlur(small, (3, 3), 0)), seconds)
        ignored = mask_of(self.zones, *small.shape[1::-1])
        mask[ignored] = 0
        if mask.sum() > PERSISTENT * 255 * (ignored.size - ignored.sum()):
            self.frames, self.scene = 0, None
            return None
        scale = width / WIDTH
        return [tuple(round(scale * side) for side in box) for box in boxes_of(mask)]

    def steady(self, small):
        """Shift a frame so that it fits the earlier frames, to undo the camera's shake."""
        grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
        if self.scene is None or self.scene.shape != grey.shape:
            self.scene, self.frames = grey, 0
            self.window = cv2.createHanningWindow(grey.shape[::-1], cv2.CV_32F)
            return small
        (x, y), _ = cv2.phaseCorrelate(self.scene.copy(), grey.copy(), self.window)  # OpenCV changes its arguments
        if 0.3 < max(abs(x), abs(y)) < MAX_SHIFT:
            moved = shift(grey, -x, -y)
            # A large moving thing looks like a shift, too. So check that the shifted frame fits the scene better.
            if unlike(moved, self.scene) < FITS * unlike(grey, self.scene):
                grey, small = moved, shift(small, -x, -y)
        cv2.accumulateWeighted(grey, self.scene, 0.05)
        return small

    def mask(self, small, seconds):
        """Return a mask of the small frame: 255 where it differs from the background, 0 for background and shadows."""
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
    """Return the mean difference of two grey frames. A pixel adds at most 16, so moving things have little effect."""
    return np.minimum(cv2.absdiff(a, b), 16).mean()


def boxes_of(mask):
    """Return the boxes of the largest things in a mask. Parts that are close to each other count as one thing."""
    joined = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8))
    stats = cv2.connectedComponentsWithStats(joined)[2]
    things = sorted(stats[1:].tolist(), key=lambda stat: -stat[4])
    return [stat[:4] for stat in things[:MAX_BOXES] if stat[4] >= SMALLEST * mask.size]


@dataclass
class Track:
    """Hold one thing that moves or has moved: where and when it was last seen, and how the model classified it."""

    number: int
    box: tuple
    seen: float
    looked: float  # the time of its latest pass
    looked_at: tuple | None = None  # its box in that pass
    score: float = 0  # the score of that pass
    nothing: int = 0  # how many of its latest passes had the score 0, in a row
    changed: bool = False  # only for the whole frame: most of it has changed since that pass
    old: bool = False  # only for the whole frame: suspicious for so long that it must be the scene, such as a stump

    @property
    def side(self):
        return max(self.box[2:])


class Tracks:
    """Join the boxes of successive frames into tracks, which are numbered from 1."""

    def __init__(self):
        self.tracks, self.numbers, self.joined = [], count(1), 0

    def join(self, boxes, seconds):
        """Add each box to the nearest track if this track is close enough, or else begin a new track with the box."""
        gap, self.joined = max(1, seconds - self.joined), seconds
        pairs = [(apart(t.box, box), i, j) for i, t in enumerate(self.tracks) for j, box in enumerate(boxes)]
        if gap > 1:  # the model is slow, so positions say little, and sizes must be similar
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
        """Drop tracks that have not moved for `STAY` seconds, or for `OLD` seconds if `seen_now(track)` is true.

        `seen_now` says whether a track is suspicious. If more than `MAX_TRACKS` tracks are left, keep those with the
        highest scores.
        """
        self.tracks = [t for t in self.tracks if 0 <= seconds - t.seen < (OLD if seen_now(t) else STAY)]
        self.tracks = sorted(self.tracks, key=lambda t: (t.score, t.seen))[-MAX_TRACKS:]


def alike(a, b):
    """Return whether two boxes have similar sizes: one longer side is at most twice as long as the other."""
    return 0.5 <= max(a[2:]) / max(*b[2:], 1) <= 2


def apart(a, b):
    """Return the distance of two boxes' centres, or their difference in size if that is larger.

    The unit of the result is the longest side of the two boxes.
    """
    side = max(*a[2:], *b[2:], 1)
    x, y = ((p + size / 2 - q - other / 2) / side for p, size, q, other in zip(a[:2], a[2:], b[:2], b[2:]))
    return max(abs(x), abs(y), abs(max(a[2:]) - max(b[2:])) / side)
