"""Create synthetic clips of a camp, from real scenes and real animals. It is known what visits the camp, and when.

    python benchmarks/footage.py stand.mp4 --kind "bears by day" --number 3   # write one clip to watch (or .y4m)
    python benchmarks/footage.py sheet.png                                   # write a sheet of all outlines

The scenes are real photos of trail cameras. Some show animals that never move. The animals, people and teddies that
visit are real, too. OpenCV's GrabCut (Rother et al. 2004) cuts them out of photos along their outline. The movements
are not real: cut-outs don't move their legs.

`footage.csv` lists the photos below DIR (`--data`). The column `kind` says what a photo is for. The column `box` has
the box around the animal: left, top, right and bottom, as shares of the picture. Without a box, it is the whole
picture. Somebody has looked at all outlines, and bad ones were left out. A scene with wild boars was left out, too,
since they would stand still for hours. Without DIR, the clips use `examples/` in front of a painted scene.

The kind, the number and the seed determine a clip. Its frames are drawn when they are needed, always in the same way,
and are not stored.
"""

import argparse
import csv
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bears.model.photo import open_photo
from joblib import Memory

WIDTH, HEIGHT, FPS = 1280, 720, 5
CLIP = 300  # seconds of a clip without a bear
QUIET = 8  # seconds before anything moves, for the camera to learn the scene
CACHE = Memory(ROOT / "reports" / "watch", verbose=0)  # for outlines, which take a second each
TABLE = Path(__file__).with_suffix(".csv")
DAY, NIGHT = "day", "night"
CATEGORIES = "empty scenes", "wind, rain, light", "people and dogs", "other animals", "teddies"
EMPTY, WEATHER, PEOPLE, ANIMALS, TEDDIES = CATEGORIES
BEARS = "bears by day", "bears at night"
KNOWN = "known bear"  # cut out of a photo that the shipped model was trained on
HEIGHTS = 0.10, 0.15, 0.25, 0.40, 0.60  # limits between the sizes of bears, as shares of the picture's height


# Photos and outlines


@dataclass(frozen=True)
class Photo:
    """Hold a row of footage.csv."""

    kind: str
    file: Path
    box: tuple[float, ...] = (0.02, 0.02, 0.98, 0.98)


def read_table(data, table=TABLE):
    """Return the photos of each kind, a dict of lists. Without a folder `data`, use the photos of `examples/`."""
    photos = {}
    if not data.is_dir():
        kinds = {"bear": ("grizzly", "black"), "teddy": ("teddy",), "animal": ("none",), "dog": ("none",)}
        files = {kind: [ROOT / "examples" / f"{name}.jpg" for name in names] for kind, names in kinds.items()}
        return {kind: [Photo(kind, file) for file in some] for kind, some in files.items()}
    with open(table, newline="", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            box = tuple(map(float, row["box"].split())) if row["box"] else Photo.box
            photos.setdefault(row["kind"], []).append(Photo(row["kind"], data / row["file"], box))
    return photos


@dataclass(frozen=True, eq=False)
class CutOut:
    """Hold an animal without its background, and the mean brightness of its photo (`light`).

    `bgr` has the shape (h, w, 3), and `alpha` (h, w).
    """

    bgr: np.ndarray
    alpha: np.ndarray
    light: float


@lru_cache(maxsize=256)
def cut_out(photo):
    """Return the animal of a `Photo`, cut out by GrabCut, or None if no plausible outline is found."""
    bgr, box = around(read(photo.file), photo.box)
    mask = outline(bgr, box)
    if mask is None:
        return None
    alpha = cv2.GaussianBlur(cv2.resize(mask * 255, bgr.shape[1::-1], interpolation=cv2.INTER_CUBIC), (0, 0), 1.2)
    ys, xs = np.nonzero(alpha > 127)
    part = np.s_[max(0, ys.min() - 2) : ys.max() + 3, max(0, xs.min() - 2) : xs.max() + 3]
    return CutOut(bgr[part].copy(), alpha[part].copy(), float(bgr.mean()))


def around(bgr, box, margin=0.3):
    """Return the part of a picture around a box, and the box in that part. Boxes are in shares."""
    h, w = bgr.shape[:2]
    left, top, right, bottom = np.array(box) * (w, h, w, h)
    wide, high = margin * (right - left), margin * (bottom - top)
    x0, y0 = int(max(0, left - wide)), int(max(0, top - high))
    x1, y1 = int(min(w, right + wide)), int(min(h, bottom + high))
    inner = (np.array((left, top, right, bottom)) - (x0, y0, x0, y0)) / np.array((x1 - x0, y1 - y0) * 2)
    return bgr[y0:y1, x0:x1], tuple(inner)


@CACHE.cache
def outline(bgr, box, side=320):
    """Return a mask that is 1 on the animal in `box` and 0 elsewhere, or None if the outline is implausible.

    The mask has the shape of a copy of the picture whose longer side has `side` pixels.
    """
    scale = side / max(bgr.shape[:2])
    small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    h, w = small.shape[:2]
    left, top, right, bottom = np.array(box) * (w, h, w, h)
    y, x = np.mgrid[0:h, 0:w]
    far = np.hypot((2 * x - left - right) / (right - left), (2 * y - top - bottom) / (bottom - top))
    inside = (left <= x) & (x < right) & (top <= y) & (y < bottom)
    guess = np.where(far < 0.8, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    guess[far < 0.2], guess[~inside] = cv2.GC_FGD, cv2.GC_BGD
    cv2.setRNGSeed(0)
    cv2.grabCut(small, guess, None, np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    found = np.uint8((guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD))
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    return largest(found, inside.sum())


def largest(found, room):
    """Return the largest part of a mask, with small holes filled, or None if this part is implausible.

    It is implausible if it is ragged, too small or too large for the box, or less than 80% of the mask. `room` is the
    area of the box in pixels.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(found)
    if count < 2:
        return None
    best = 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    contours, _ = cv2.findContours(np.uint8(labels == best), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    whole = cv2.drawContours(np.zeros_like(found), contours, -1, 1, cv2.FILLED)
    solid = whole.sum() / max(1, cv2.contourArea(cv2.convexHull(contours[0])))
    good = 0.08 < whole.sum() / room < 0.9 and solid > 0.5 and stats[best, cv2.CC_STAT_AREA] > 0.8 * found.sum()
    if not good:
        return None
    holes = cv2.morphologyEx(np.uint8((whole > 0) & (labels != best)), cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    return whole & ~holes & 1


@lru_cache(maxsize=8)
def scene(photo):
    """Return a still BGR picture of `WIDTH` x `HEIGHT`: a photo without the camera's text, or a painted scene."""
    if photo is None:
        return painted()
    bgr = read(photo.file)
    h, w = bgr.shape[:2]
    bgr = bgr[round(0.05 * h) : round(0.88 * h)]
    h = bgr.shape[0]
    scale = max(WIDTH / w, HEIGHT / h)
    big = cv2.resize(bgr, (round(w * scale), round(h * scale)), interpolation=cv2.INTER_CUBIC)
    left, top = (big.shape[1] - WIDTH) // 2, big.shape[0] - HEIGHT
    return np.ascontiguousarray(big[top:, left : left + WIDTH])


def read(file):
    """Read a photo as OpenCV does: an array of the shape (h, w, 3), blue first."""
    return cv2.cvtColor(np.asarray(open_photo(file)), cv2.COLOR_RGB2BGR)


def painted():
    """Paint grass, a forest and the sky with noise of several sizes."""
    rng = np.random.default_rng(0)
    y = np.linspace(0, 1, HEIGHT)[:, None, None]
    colours = np.array([[190, 170, 150], [55, 75, 60], [70, 115, 100]], float)
    flat = np.where(y < 0.25, colours[0], np.where(y < 0.5, colours[1], colours[2])) * np.ones((1, WIDTH, 1))
    texture = sum(rough(rng, cells) for cells in (9, 40, 160, 640))
    return np.uint8(np.clip(flat * (1 + 0.12 * texture[..., None] * (y > 0.2)), 0, 255))


def rough(rng, cells):
    """Return smooth noise around zero, of the shape (HEIGHT, WIDTH), with `cells` cells across the width."""
    few = rng.normal(0, 1, (max(2, cells * HEIGHT // WIDTH), cells)).astype(np.float32)
    return cv2.resize(few, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


# Movement


@dataclass
class Actor:
    """Move a cut-out along `path`.

    Each row of `path` has the seconds, the x of the cut-out's middle, the y of its feet, and its height, in pixels.
    """

    what: CutOut
    path: np.ndarray
    flip: bool
    gait: float  # steps per second
    kind: str
    file: str
    gain: float = 1.0
    cache: dict = field(default_factory=dict)

    def at(self, t):
        """Return left, top, width and height in pixels, the tilt, and the speed in pixels a second.

        Return None if the visitor hasn't come yet, or has gone.
        """
        times = self.path[:, 0]
        if not times[0] <= t <= times[-1]:
            return None
        x, foot, height = (np.interp(t, times, self.path[:, i]) for i in (1, 2, 3))
        speed = (np.interp(min(t + 0.1, times[-1]), times, self.path[:, 1]) - x) / 0.1
        walks, phase = min(1.0, abs(speed) / (0.2 * height)), 2 * np.pi * self.gait * t
        foot -= walks * 0.02 * height * abs(np.sin(phase))
        tilt = walks * 0.03 * np.sin(phase) + (1 - walks) * 0.02 * np.sin(0.35 * phase)
        width = height * self.what.bgr.shape[1] / self.what.bgr.shape[0]
        tilt *= self.kind != "teddy"
        return x - width / 2, foot - height, width, height, tilt, speed

    def seen(self, t):
        """Return the share of the cut-out's width that is in the picture at `t` seconds."""
        place = self.at(t)
        if place is None:
            return 0.0
        left, _, width = place[:3]
        return max(0.0, min(WIDTH, left + width) - max(0, left)) / width

    def sprite(self, size, grey):
        """Return the cut-out's premultiplied colours and its alpha, at about the size (width, height)."""
        key = tuple(round(np.log(side) * 25) for side in size), grey
        if key not in self.cache:
            self.cache.clear()
            size = tuple(max(2, round(side)) for side in size)
            how = cv2.INTER_AREA if size[1] < self.what.bgr.shape[0] else cv2.INTER_LINEAR
            bgr, alpha = (cv2.resize(part, size, interpolation=how) for part in (self.what.bgr, self.what.alpha))
            if grey:
                bgr = as_grey(bgr)[..., None].repeat(3, 2)
            if self.flip:
                bgr, alpha = bgr[:, ::-1], alpha[:, ::-1]
            alpha = alpha.astype(np.float32)[..., None] / 255
            self.cache[key] = np.dstack([np.clip(bgr * self.gain, 0, 250) * alpha, alpha]).astype(np.float32)
        return self.cache[key]

    def draw(self, frame, t, beam=None):
        """Paint the cut-out into a frame. At night, `beam` has the lamp's brightness at each pixel of the frame."""
        place = self.at(t)
        if place is None:
            return
        left, top, width, height, tilt, speed = place
        sprite = self.sprite((width, height), beam is not None)
        pad = 0.06 * height + 2
        x0, y0 = int(np.floor(max(0, left - pad))), int(np.floor(max(0, top - pad)))
        x1, y1 = int(min(WIDTH, left + width + pad)), int(min(HEIGHT, top + height + pad))
        if x1 <= x0 or y1 <= y0:
            return
        sx, sy = width / sprite.shape[1], height / sprite.shape[0]
        # The feet stay in place, and the back sways.
        move = np.float32([[sx, -tilt * sy, left + tilt * height - x0], [0, sy, top - y0]])
        patch = cv2.warpAffine(sprite, move, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        if beam is not None:
            patch[..., :3] *= beam[y0:y1, x0:x1, None]
            smear = int(abs(speed) / 25) | 1  # exposures at night are long
            if smear > 1:
                patch = cv2.blur(patch, (smear, 1))
        part = frame[y0:y1, x0:x1]
        part[:] = np.clip(part * (1 - patch[..., 3:]) + patch[..., :3], 0, 255)


def way(rng, start, height, pace=None, how=None):
    """Return the path of a visit (rows for `Actor.path`), and whether the animal comes from the right.

    The visit begins at `start` seconds. The animal is `height` pixels high at the beginning. `how` is one of "through",
    "stops", "nears" and "returns".
    """
    how = how or rng.choice(["through", "stops", "nears", "returns"])
    right = rng.random() < 0.5
    foot = HEIGHT * np.clip(0.5 + 0.5 * height / HEIGHT + rng.uniform(0, 0.2), 0.6, 0.99)
    speed = max(40.0, height * (pace or rng.uniform(0.5, 1.2)))
    far = 1.2 * height  # distance of its middle from the edge, so that it is not visible
    rows = [(0.0, -far, foot, height)]

    def go(x, h, speed):
        t, x0, y0, _ = rows[-1]
        rows.append((t + abs(x - x0) / speed, x, min(0.99 * HEIGHT, y0 + (h - height) * 0.5), h))

    if how == "through":
        go(WIDTH + far, height, speed)
    else:
        grown = min(0.7 * HEIGHT, 1.4 * height) if how == "nears" else height
        go(WIDTH * rng.uniform(0.25, 0.7), grown, speed)
        rows.append((rows[-1][0] + rng.uniform(5, 20), *rows[-1][1:]))
        go(-far * 1.5 if how == "returns" else WIDTH + far * 1.5, grown, speed)
    path = np.array(rows)
    path[:, 0] += start
    if right:
        path[:, 1] = WIDTH - path[:, 1]
    return path, right


@dataclass
class Visit:
    """Hold a visitor's kind, and three times in seconds: when it begins to appear, is half visible, and is gone."""

    kind: str
    file: str
    height: float  # when it comes, as a share of the picture's height
    seen: float
    half: float
    gone: float


# Weather and camera


@dataclass
class Weather:
    """Hold how a clip's scene changes without any visitor."""

    night: bool = False
    wind: float = 0.0  # pixels by which leaves sway
    rain: float = 0.0  # brightness of drops
    clouds: bool = False
    shake: float = 0.0  # pixels, standard deviation
    noise: float = 3.0  # of 255, standard deviation
    dusk: float | None = None  # when the camera switches to infrared, in seconds


class Camera:
    """Create frames from a still scene. Add wind, animals, shaking, light, rain and sensor noise, in this order."""

    def __init__(self, still, weather, seconds, rng):
        self.weather, self.rng = weather, rng
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        middle = rng.uniform(0.35, 0.65) * WIDTH
        self.beam = np.clip(1.15 - 0.9 * np.hypot((x - middle) / WIDTH, 0.6 * (y / HEIGHT - 0.6)), 0.15, 1)
        self.day = still
        self.grey = as_grey(still) if weather.night else self.infrared(still) if weather.dusk else None
        self.grid = x, y
        self.leaves = leaves(still) if weather.wind else None
        self.phases = 3 * rough(rng, 12)[::8, ::8]
        self.light = light(rng, seconds, weather.clouds)
        self.specks = specks(rng, weather.noise)
        self.drops = drops(rng) if weather.rain else None
        self.shift = np.zeros(2)

    def infrared(self, still):
        """Convert a scene by day to the same scene in the light of an infrared lamp."""
        return np.uint8(np.clip(as_grey(still) * self.beam * 0.8, 0, 255))

    def is_night(self, t):
        return self.weather.night or (self.weather.dusk is not None and t >= self.weather.dusk)

    def frame(self, t, actors):
        """Return the BGR frame at `t` seconds, of the shape (HEIGHT, WIDTH, 3)."""
        night = self.is_night(t)
        frame = (self.grey if night else self.day).copy()
        if self.weather.wind:
            frame = self.sway(frame, t)
        if night and frame.ndim == 2 and any(actor.at(t) for actor in actors):
            frame = frame[..., None].repeat(3, 2)
        for actor in actors:
            actor.draw(frame, t, self.beam if night else None)
        if night and frame.ndim == 3:
            frame = np.ascontiguousarray(frame[..., 0])
        if self.weather.shake:
            self.shift = 0.7 * self.shift + self.rng.normal(0, self.weather.shake, 2)
            move = np.float32([[1, 0, self.shift[0]], [0, 1, self.shift[1]]])
            frame = cv2.warpAffine(frame, move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        frame = cv2.LUT(frame, np.uint8(np.clip(np.arange(256) * self.gain(t), 0, 255)))
        if self.weather.rain:
            frame = cv2.add(frame, self.fall(frame.ndim))
        frame = self.grain(frame)
        return cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) if night else frame

    def gain(self, t):
        """Return the gain of the light at `t` seconds.

        The light drifts, and clouds pass. At dusk it gets darker until the infrared lamp goes on. The first pictures
        after that are too bright.
        """
        gain = np.interp(t, *self.light)
        if self.weather.dusk is not None:
            before = self.weather.dusk - t
            gain *= np.clip(0.35 + before / 180, 0.35, 1) if before > 0 else 1 + 0.5 * np.exp(before / 0.8)
        return gain

    def sway(self, frame, t):
        gust = 0.55 + 0.45 * np.sin(0.5 * t + 2 * np.sin(0.13 * t))
        angle = self.phases + 2 * np.pi * 0.7 * t
        dx = self.leaves * (self.weather.wind * gust * np.sin(angle)).astype(np.float32)
        dy = 0.3 * self.leaves * (self.weather.wind * gust * np.sin(1.3 * angle + 1)).astype(np.float32)
        x, y = (grid + cv2.resize(d, (WIDTH, HEIGHT)) for grid, d in zip(self.grid, (dx, dy)))
        return cv2.remap(frame, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def fall(self, dims):
        y, x = self.rng.integers(0, 200, 2)
        drops = self.drops[y : y + HEIGHT, x : x + WIDTH]
        drops = cv2.multiply(drops, np.ones(1), scale=self.weather.rain)
        return drops if dims == 2 else cv2.merge([drops] * 3)

    def grain(self, frame):
        """Add noise from a random place in one large plane, since drawing new random numbers would take too long."""
        y, x = self.rng.integers(0, 200, 2)
        more, less = (plane[y : y + HEIGHT, x : x + WIDTH] for plane in self.specks[frame.ndim == 3])
        return cv2.subtract(cv2.add(frame, more), less)


def as_grey(bgr):
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def leaves(still):
    """Return how much each pixel sways in the wind, from 0 to 1, at an eighth of the picture's width and height.

    Pixels with much texture sway most. Pixels in the lower half sway less, at the bottom only a fifth as much.
    """
    edges = np.abs(cv2.Laplacian(as_grey(still), cv2.CV_32F, ksize=3))
    texture = cv2.resize(cv2.GaussianBlur(edges, (0, 0), 25), (WIDTH // 8, HEIGHT // 8), interpolation=cv2.INTER_AREA)
    texture = np.clip((texture - np.quantile(texture, 0.4)) / max(1e-6, np.ptp(texture) / 3), 0, 1)
    return (texture * np.clip(np.linspace(2.2, 0, HEIGHT // 8), 0.2, 1)[:, None]).astype(np.float32)


def light(rng, seconds, clouds):
    """Return times, and the gain of the light at each time."""
    times = np.arange(0, seconds + 2, 0.5)
    gain = 1 + 0.06 * np.sin(2 * np.pi * times / rng.uniform(60, 400) + rng.uniform(0, 6))
    if clouds:
        start = rng.uniform(QUIET, 30)
        while start < seconds:
            lasts, slope, depth = rng.uniform(5, 60), rng.uniform(0.4, 4), rng.uniform(0.1, 0.45)
            gain *= 1 - depth * np.clip(np.minimum((times - start) / slope, (start + lasts - times) / slope), 0, 1)
            start += lasts + rng.uniform(10, 60)
    return times, gain


def specks(rng, deviation):
    """Return noise for grey and for coloured frames, each as a part to add and a part to subtract."""
    planes = []
    for shape in ((HEIGHT + 200, WIDTH + 200), (HEIGHT + 200, WIDTH + 200, 3)):
        plane = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), 0.6)
        plane *= deviation / plane.std()
        planes.append(tuple(np.uint8(np.clip(np.rint(sign * plane), 0, 255)) for sign in (1, -1)))
    return planes


def drops(rng):
    """Return rain: grey streaks on black, larger than a frame."""
    plane = np.zeros((HEIGHT + 200, WIDTH + 200), np.uint8)
    for _ in range(900):
        x, y, length = rng.integers(0, WIDTH + 200), rng.integers(0, HEIGHT + 200), rng.integers(15, 60)
        cv2.line(plane, (x, y), (x + length // 8, y + length), int(rng.integers(60, 255)), int(rng.integers(1, 3)))
    return cv2.GaussianBlur(plane, (0, 0), 0.8)


# Clips


class Clip:
    """Create a clip. `kind` is one of `CATEGORIES` or `BEARS`. `kind`, `number` and `seed` determine the clip."""

    def __init__(self, photos, kind, number, seed=0):
        self.photos, self.kind, self.number = photos, kind, number
        self.rng = np.random.default_rng([seed, (*CATEGORIES, *BEARS).index(kind), number])
        self.name = f"{kind} {number}"
        self.weather = self.choose_weather()
        self.still = self.choose_scene()
        self.visits = []
        self.actors = []
        self.seconds = CLIP
        cast = {PEOPLE: self.people, ANIMALS: self.animals, TEDDIES: self.teddies, **dict.fromkeys(BEARS, self.bear)}
        cast.get(kind, lambda: None)()
        self.visits = [self.describe(actor) for actor in self.actors]

    def choose_weather(self):
        """Choose random weather. Empty scenes may have dusk, and no other weather.

        Clips of `WEATHER` have strong wind, rain, clouds or a shaking camera. In all other clips, these are weak or
        missing.
        """
        rng, n = self.rng, self.number
        night = self.kind == BEARS[1] or (self.kind not in BEARS and n % 3 == 2)
        weather = Weather(night, noise=rng.uniform(5, 9) if night else rng.uniform(1.5, 4))
        if self.kind == EMPTY:
            weather.dusk = CLIP * rng.uniform(0.4, 0.8) if n % 6 == 1 else None
        elif self.kind == WEATHER:
            which = n % 4 if not night else n // 3 % 4
            weather.wind = rng.uniform(4, 24) if which in (0, 3) else 0
            weather.rain = rng.uniform(0.15, 0.5) if which in (1, 3) else 0
            weather.clouds = not night and which in (1, 2)
            weather.shake = rng.uniform(0.3, 1.2) if which == 2 else 0
        else:
            weather.wind = rng.uniform(0, 2.5) * (rng.random() < 0.6)
            weather.rain = rng.uniform(0.1, 0.3) * (rng.random() < 0.1)
            weather.clouds = not night and rng.random() < 0.2
            weather.shake = rng.uniform(0.1, 0.5) * (rng.random() < 0.15)
        return weather

    def choose_scene(self):
        there = self.photos.get(NIGHT if self.weather.night else DAY)
        if not there:
            return None
        return there[self.number % len(there) if self.kind in CATEGORIES else self.rng.integers(len(there))]

    def pick(self, kind, number=None):
        """Return a photo of this kind that has an outline, and its cut-out. Choose it at random, or by its `number`."""
        photos = self.photos[kind]
        for i in range(len(photos)):
            photo = photos[(number + i) % len(photos) if number is not None else self.rng.integers(len(photos))]
            if what := cut_out(photo):
                return photo, what
        raise ValueError(f"no photo of a {kind} has an outline")

    def enter(self, kind, height, start, number=None, **how):
        """Let a visitor come, and return the `Actor`."""
        photo, what = self.pick(kind, number)
        path, right = way(self.rng, start, height * HEIGHT, **how)
        actor = Actor(what, path, right != (self.rng.random() < 0.2), self.rng.uniform(0.8, 1.6), kind, photo.file.name)
        brighter = np.clip(scene(self.still).mean() / what.light, 0.5, 1.3)
        actor.gain = self.rng.uniform(0.6, 1.1) if self.weather.night else float(brighter**0.7)
        self.actors.append(actor)
        return actor

    def bear(self):
        """Let a bear come.

        Clips with successive numbers use all sizes, and use bears from the training photos (`KNOWN`) and others equally
        often.
        """
        rounds, least = divmod(self.number, len(HEIGHTS) - 1)
        height = np.exp(self.rng.uniform(*np.log(HEIGHTS[least : least + 2])))
        kind = KNOWN if rounds % 2 and KNOWN in self.photos else "bear"
        self.enter(kind, height, QUIET + self.rng.uniform(0, 2), rounds // 2 * (len(HEIGHTS) - 1) + least)
        self.seconds = self.actors[0].path[-1, 0] + 4

    def people(self):
        """Let a person come, a dog, or both. A person alone is twice as likely as a dog alone, or as both."""
        for start in self.starts():
            who = self.rng.choice(["person", "person", "dog", "both"])
            height = self.rng.uniform(0.25, 0.75)
            if who != "dog" and "person" in self.photos:
                self.enter("person", height, start, pace=self.rng.uniform(0.3, 0.7))
            if who != "person" or "person" not in self.photos:
                self.enter("dog", height * self.rng.uniform(0.3, 0.6), start + 1, pace=self.rng.uniform(0.6, 1.5))

    def animals(self):
        for start in self.starts():
            self.enter("animal", self.rng.uniform(0.1, 0.55), start)

    def teddies(self):
        """Let people bring teddies. Half of them are carried past. The others are set down, and fetched later."""
        for start in self.starts():
            height, pace, share = self.rng.uniform(0.4, 0.8), self.rng.uniform(0.25, 0.6), self.rng.uniform(0.25, 0.5)
            carried = self.rng.random() < 0.5
            bearer = self.enter("person" if "person" in self.photos else "dog", height, start, pace=pace, how="through")
            toy = self.enter("teddy", height * share, start)
            if not carried:
                bearer.path = there_and_back(self.rng, bearer.path)
            toy.path = bearer.path.copy()
            toy.path[:, 2] -= 0.35 * bearer.path[:, 3]
            toy.path[:, 3] *= share
            if not carried:
                toy.path = toy.path[[0, 1, 1, 5, 6, 7]]
                toy.path[2:4, 1:3] = bearer.path[[1, 5], 1:3] + (0.3 * height * HEIGHT, 0)
                toy.path[[2, 3], 0] += 0.8

    def starts(self):
        """Return when visitors come: once or twice."""
        t = QUIET + self.rng.uniform(0, 60)
        while t < CLIP - 100:
            yield t
            t += self.rng.uniform(120, 240)

    def describe(self, actor):
        times = np.arange(0, self.seconds, 1 / FPS)
        seen = np.array([actor.seen(t) for t in times])
        shown, half = times[seen > 0], times[seen >= 0.5]
        first, last = (shown[0], shown[-1]) if len(shown) else (np.inf, np.inf)
        return Visit(actor.kind, actor.file, actor.path[0, 3] / HEIGHT, first, half[0] if len(half) else np.inf, last)

    def frames(self):
        """Yield a pair for each frame: its time in seconds, and the BGR picture."""
        camera = Camera(scene(self.still), self.weather, self.seconds, self.rng)
        for i in range(int(self.seconds * FPS)):
            yield i / FPS, camera.frame(i / FPS, self.actors)


def there_and_back(rng, path):
    """Return a path with two visits: go to a place and away again, come back after a while, and leave."""
    (start, x0, y, height), (end, x1, *_) = path[0], path[-1]
    speed, x = abs(x1 - x0) / (end - start), WIDTH * rng.uniform(0.3, 0.7)
    rows, pause = [(start, x0)], rng.uniform(20, 50)
    for to, wait in ((x, 0), (x, 1.5), (x0, 0), (x0, pause), (x, 0), (x, 1.5), (x0, 0)):
        rows.append((rows[-1][0] + abs(to - rows[-1][1]) / speed + wait, to))
    return np.array([(*row, y, height) for row in rows])


def write(file, frames):
    """Write a film of BGR frames, with OpenCV or as Y4M, which a browser can use as its camera."""
    if file.suffix != ".y4m":
        film = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"mp4v"), FPS, (WIDTH, HEIGHT))
        for frame in frames:
            film.write(frame)
        film.release()
        return
    with file.open("wb") as f:
        f.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            f.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes())


def sheet(photos, side=150, columns=12):
    """Draw all cut-outs on magenta, with numbers from 0. If a photo has no plausible outline, draw only its number."""
    tiles = []
    for photo in photos:
        tile, what = np.full((side, side, 3), (255, 0, 255), np.uint8), cut_out(photo)
        if what:
            scale = (side - 4) / max(what.alpha.shape)
            size = [max(1, round(scale * side)) for side in what.alpha.shape[::-1]]
            bgr, alpha = (cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in (what.bgr, what.alpha))
            part, alpha = tile[: bgr.shape[0], : bgr.shape[1]], alpha[..., None] / 255
            part[:] = bgr * alpha + part * (1 - alpha)
        cv2.putText(tile, str(len(tiles)), (2, side - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1)
        tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the file to write: a film (.mp4, .y4m), or all outlines (.png)")
    kinds = "what the film shows (default: %(default)s)"
    parser.add_argument("--kind", choices=[*CATEGORIES, *BEARS], default=BEARS[0], help=kinds)
    parser.add_argument("--number", type=int, default=0, help="number of the clip among those of its kind (default: 0)")
    data = "folder with the photos that footage.csv lists (default: the folder `shared` next to the repository)"
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared", metavar="DIR", help=data)
    args = parser.parse_args(argv)
    photos = read_table(args.data)
    if args.file.suffix == ".png":
        cut = [photo for kind, some in photos.items() if kind not in (DAY, NIGHT) for photo in some]
        cv2.imwrite(str(args.file), sheet(cut))
    else:
        clip = Clip(photos, args.kind, args.number)
        write(args.file, (frame for _, frame in clip.frames()))
        print(*clip.visits, sep="\n")


if __name__ == "__main__":
    main()
