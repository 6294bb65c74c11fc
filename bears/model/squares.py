"""Classify all squares that cover a photo, with one pass of the network.

fastai's `Resize` crops to the middle square, so a bear at the edge is cut off. The body is convolutional, so one pass
over the whole photo gives one feature map for all squares. The features of a square are pooled from its part of the
map.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from bears.errors import DetectorError
from bears.model import ood
from bears.model.detector import Detector
from bears.model.runtime import THREADS
from bears.text import print_line
from fastai.data.transforms import ToTensor
from fastai.learner import Learner
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.core import PILImage
from fasttransform import Pipeline, Transform
from PIL import Image
from torch import nn

MAX_RATIO = 3  # longer side to shorter side; both ends of longer photos are cut off
MAX_PIXELS = 600_000  # of all photos in one pass, to limit memory; enough for two ordinary photos in a second pass
CLOSER = 7 / 4  # how much the photo is enlarged for the second pass
HOPELESS = 1 / 2  # skip the second pass below this fraction of the threshold; it never found a bear there
MARGINS = (0.1, 0.25)  # around a detector's box, as shares of its longer side; the answers for both crops are averaged
MAX_ANIMALS = 4  # animals of one photo that get their own answer
CLEAR = 0.5  # lowest detector score of a second animal; boxes with lower scores often show something else
SHARED = 0.2  # if more than this share of the smaller of two boxes is in the other box, both show the same animal
LESS = 0.06  # subtracted from a whole photo's score if a detector is used, since answers for crops are right more often


Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


@dataclass
class Answer:
    """Hold a model's answer about one photo."""

    probs: torch.Tensor  # one for each class
    box: Box  # the square that was classified
    score: Any = None  # `ood.score` of the square, from 0 to 1; None for a model without a gallery
    fmap: torch.Tensor | None = None  # the body's feature map of the square, of the shape (n, h, w)
    animal: Box | None = None  # the box of the detected animal, if the answer is about one
    others: list["Answer"] = field(default_factory=list)  # about other animals in the same photo


class Grid(NamedTuple):
    """Convert between the pixels of a resized photo and the cells of a network's feature map.

    A square is `size` pixels wide in the photo, and `side` cells wide in the map.
    """

    size: int
    side: int

    @property
    def cell(self) -> int:
        """Return the width of a cell in pixels."""
        return self.size // self.side

    def target(self, photo_size: tuple[int, int], size: int) -> tuple[int, ...]:
        """Return the (width, height) to resize a photo to.

        The shorter side gets `size` pixels. The longer side is rounded to a multiple of `cell` pixels.
        """
        left, top, right, bottom = visible(photo_size)
        sides = right - left, bottom - top
        return tuple(max(size, round(side * size / min(photo_size) / self.cell) * self.cell) for side in sides)

    def resized(self, photo: Image.Image, size: int) -> Image.Image:
        target = self.target(photo.size, size)
        return photo.crop(visible(photo.size)).resize(target, Image.Resampling.BILINEAR)

    def box(self, photo_size: tuple[int, int], shape: Sequence[int], corner: tuple[int, int]) -> Box:
        """Return a square's box in the photo. `corner` is the square's (top, left) cell in the feature map.

        `shape` is the (width, height) of the photo after `resized`.
        """
        left, top, right, bottom = visible(photo_size)
        scale = (right - left) / shape[0], (bottom - top) / shape[1]
        start = [c * self.cell * s for c, s in zip(corner[::-1], scale)]
        side = [self.side * self.cell * s for s in scale]
        x, y = left + round(start[0]), top + round(start[1])
        return x, y, min(right, x + round(side[0])), min(bottom, y + round(side[1]))


class WholePhoto(Transform):
    """Replace fastai's `Resize`. Keep the whole photo, and resize its shorter side to `grid.size` pixels."""

    order = Resize.order

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def encodes(self, photo: PILImage):  # type: ignore[no-untyped-def] # fasttransform converts to a return type
        return self.grid.resized(photo, self.grid.size)


def visible(size: tuple[int, int]) -> Box:
    """Return the box of a photo that is classified: the whole photo, or its middle part if it is very long."""
    cut = [max(0, side - MAX_RATIO * min(size)) // 2 for side in size]
    return cut[0], cut[1], size[0] - cut[0], size[1] - cut[1]


def cover(n: int, side: int, stride: int | None = None) -> list[int]:
    """Cover a row of `n` cells with as few evenly spaced squares as possible. Return the first cell of each square.

    A square is `side` cells wide. If `stride` is given, squares start at most `stride` cells apart. Without a `stride`,
    the number of squares is odd, so that one square is in the middle.
    """
    if stride:
        count = -(-(n - side) // stride) + 1
    else:
        count = -(-n // side)
        count += count % 2 == 0
    return sorted({round(start) for start in np.linspace(0, n - side, count)})


def find_corners(shape: Sequence[int], side: int, stride: int | None = None) -> list[tuple[int, int]]:
    """Return the (top, left) cell of each square that is needed to cover a feature map (see `cover`), row by row."""
    tops, lefts = (cover(n, side, stride) for n in shape)
    return [(y, x) for y in tops for x in lefts]


def cut(fmaps: torch.Tensor, side: int, stride: int | None = None) -> tuple[list, list[torch.Tensor]]:
    """Cut feature maps of the shape (photos, n, h, w) into squares.

    Return the (top, left) cell of each square, and the feature maps' part in each square.
    """
    corners = find_corners(fmaps.shape[-2:], side, stride)
    return corners, [fmaps[..., y : y + side, x : x + side] for y, x in corners]


class Chosen(NamedTuple):
    """Hold the square with the highest score (`ood.score`) of each photo in a batch."""

    pooled: torch.Tensor  # the squares' features after pooling, of the shape (photos, n, 1, 1)
    scores: list[float]  # the squares' scores
    fmaps: list[torch.Tensor]  # the squares' parts of the feature maps, each of the shape (n, side, side)
    corners: list[tuple[int, int]]  # the squares' (top, left) cells


class SurestSquare(nn.Module):
    """Replace the head's average pooling. Pool only one square of each photo: the one with the highest `ood.score`.

    This square is most similar to the training photos.
    """

    def __init__(self, pool: nn.Module, fitted: dict, side: int) -> None:
        super().__init__()
        self.pool, self.fitted, self.side = pool, fitted, side

    def forward(self, fmaps: torch.Tensor) -> torch.Tensor:
        return self.choose(fmaps).pooled

    def choose(self, fmaps: torch.Tensor, stride: int | None = None) -> Chosen:
        """Choose each photo's square with the highest score. `fmaps` has the shape (photos, n, h, w)."""
        corners, squares = cut(fmaps, self.side, stride)
        pooled = torch.stack([self.pool(square) for square in squares], dim=1)
        scores = ood.score(self.fitted, pooled.flatten(0, 1).flatten(1)).view(pooled.shape[:2])
        best = scores.argmax(dim=1)
        rows, which = torch.arange(len(best)), best.tolist()
        chosen_maps = [squares[k][i] for i, k in enumerate(which)]
        return Chosen(pooled[rows, best], scores[rows, best].tolist(), chosen_maps, [corners[k] for k in which])


def create_squares(learn: Learner, detect: bool = True, threads: int = THREADS) -> "LearnerSquares | MiddleSquare":
    """Return `LearnerSquares` if the Learner's network allows it, else `MiddleSquare`.

    If the classes are animals and `detect` is true, `LearnerSquares` also classifies the animals that the detector
    finds. The detector uses `threads` threads.
    """
    grid = getattr(learn, "ood", None) is not None and find_grid(learn)
    if not grid:
        return MiddleSquare(learn)
    squares = LearnerSquares(learn, grid)
    if detect and learn.ood.get("animals"):
        try:
            squares.detector = Detector(threads=threads)
        except DetectorError as e:
            print_line(f"· The animal detector is off, so small animals are found less often: {e}")
    return squares


class WholePhotos:
    """Classify whole photos in one or two passes of a network. Subclasses define `run`, which makes one pass.

    If the score of the first pass is low, the second pass classifies crops of the animals that the detector finds.
    Without a detector, the second pass classifies the enlarged photo, or is skipped if the first score is very low.
    """

    closer = (CLOSER,)  # the enlargement of the photo in each further pass; benchmarks/cameras.py measures more passes
    detector: Any = None  # None or a `Detector`

    def __init__(self, fitted: dict, grid: Grid) -> None:
        self.fitted, self.grid = fitted, grid

    def run(self, photos: list[Image.Image], size: int, stride: int | None = None) -> list[Answer]:
        """Resize photos to a shorter side of `size` pixels. Return the answer for the best square of each photo."""
        raise NotImplementedError

    def ask(self, photos: list[Image.Image]) -> list[Answer]:
        answers = self.run(photos, self.grid.size)
        return self.ask_about_animals(photos, answers) if self.detector else self.ask_closer(photos, answers)

    def ask_about_animals(self, photos: list[Image.Image], answers: list[Answer]) -> list[Answer]:
        """Replace each unsure answer with the answer about a detected animal if that answer has a higher score."""
        answers = [replace(answer, score=answer.score - LESS) for answer in answers]
        unsure = [i for i, answer in enumerate(answers) if ood.may_show_none(self.fitted, answer.score)]
        boxes = [(i, box) for i in unsure for box in self.find_animals(photos[i])]
        crops = [[around(box, photos[i].size, margin) for margin in MARGINS] for i, box in boxes]
        size = self.grid.size
        cut_out = [cut_square(photos[i], square, size) for (i, _), squares in zip(boxes, crops) for square in squares]
        of_crops = iter(self.run(cut_out, size))
        animals: dict[int, list[Answer]] = {}
        for (i, box), squares in zip(boxes, crops):
            answer = average([next(of_crops) for _ in squares], squares[-1])
            animals.setdefault(i, []).append(replace(answer, animal=as_pixels(box)))
        for i, (surest, *others) in animals.items():
            if surest.score > answers[i].score:
                answers[i] = replace(surest, others=self.that_show_a_class(surest, others))
        return answers

    def that_show_a_class(self, first: Answer, others: list[Answer]) -> list[Answer]:
        """Return the answers in `others` that name a class. If `first` names no class, return an empty list."""
        show = [answer for answer in others if not ood.shows_none(self.fitted, answer.score)]
        return [] if ood.shows_none(self.fitted, first.score) else show

    def find_animals(self, photo: Image.Image) -> list[Sequence[float]]:
        """Return the box with the highest detector score, then boxes of other animals that score `CLEAR` or more."""
        chosen: list[Sequence[float]] = []
        for box, score in zip(*self.detector.find_animals(photo)):
            if not chosen or (score >= CLEAR and max(shared(box, other) for other in chosen) < SHARED):
                chosen.append(tuple(box))
        return chosen[:MAX_ANIMALS]

    def ask_closer(self, photos: list[Image.Image], answers: list[Answer]) -> list[Answer]:
        for closer in self.closer:
            unsure = [i for i, answer in enumerate(answers) if self.is_worth_another(answer.score)]
            size = round(closer * self.grid.side) * self.grid.cell
            for i, again in zip(unsure, self.run([photos[i] for i in unsure], size, self.grid.side // 2)):
                answers[i] = max(answers[i], again, key=lambda answer: answer.score)
        return answers

    def is_worth_another(self, score: float) -> bool:
        return ood.may_show_none(self.fitted, score) and not ood.shows_none(self.fitted, score / HOPELESS)


class LearnerSquares(WholePhotos):
    """Classify whole photos with a Learner. Change the Learner, so that `learn.predict` uses the best square, too."""

    def __init__(self, learn: Learner, grid: Grid) -> None:
        super().__init__(learn.ood, grid)
        self.learn, head = learn, learn.model[1]
        head[0] = SurestSquare(head[0], learn.ood, grid.side)
        for dl in learn.dls.loaders:
            dl.after_item = Pipeline([WholePhoto(grid), ToTensor()])

    def run(self, photos: list[Image.Image], size: int, stride: int | None = None) -> list[Answer]:
        """Return an answer for each photo, in order. Photos of the same shape go through the network together."""
        shapes = [self.grid.target(photo.size, size) for photo in photos]
        answers: dict[int, Answer] = {}
        for width, height in set(shapes):
            alike = [i for i, shape in enumerate(shapes) if shape == (width, height)]
            few = max(1, MAX_PIXELS // (width * height))
            for which in (alike[start : start + few] for start in range(0, len(alike), few)):
                answers |= zip(which, self.run_batch([photos[i] for i in which], size, stride))
        return [answers[i] for i in range(len(photos))]

    @torch.no_grad()
    def run_batch(self, photos: list[Image.Image], size: int, stride: int | None) -> list[Answer]:
        pictures = [self.grid.resized(photo, size) for photo in photos]
        body, head = self.learn.model
        chosen = head[0].choose(body(load_batch(self.learn, pictures, [ToTensor()])), stride)
        probs = self.learn.loss_func.activation(head[1:](chosen.pooled))
        boxes = [self.grid.box(p.size, picture.size, c) for p, picture, c in zip(photos, pictures, chosen.corners)]
        return [Answer(*answer) for answer in zip(probs, boxes, chosen.scores, chosen.fmaps)]


def load_batch(learn: Learner, photos: list[Image.Image], after_item: list | None = None) -> torch.Tensor:
    """Return the input of a Learner's network for these photos, of the shape (photos, 3, h, w).

    If `after_item` is given, it replaces the Learner's item transforms.
    """
    batches = learn.dls.test_dl(photos, bs=len(photos), num_workers=0)
    if after_item:
        batches.after_item = Pipeline(after_item)
    [batch] = batches.one_batch()
    return batch.as_subclass(torch.Tensor)  # fastai's own class would call Python code at every layer


def around(box: Sequence[float], size: tuple[int, int], margin: float) -> Box:
    """Return the square around a box, inside a photo of the size (width, height).

    `margin` is the space on all sides of the box, as a share of the box's longer side.
    """
    side = max(1, min(round((1 + 2 * margin) * max(box[2] - box[0], box[3] - box[1])), *size))
    starts = [(start + end - side) / 2 for start, end in (box[::2], box[1::2])]
    left, top = (round(min(max(0, start), whole - side)) for start, whole in zip(starts, size))
    return left, top, left + side, top + side


def shared(box: Sequence[float], other: Sequence[float]) -> float:
    """Return the overlap of two boxes as a share of the smaller box's area, from 0 to 1."""
    width, height = (min(box[k + 2], other[k + 2]) - max(box[k], other[k]) for k in (0, 1))
    smaller = min((right - left) * (bottom - top) for left, top, right, bottom in (box, other))
    return max(0, width) * max(0, height) / max(1, smaller)


def as_pixels(box: Sequence[float]) -> Box:
    left, top, right, bottom = map(round, box)
    return left, top, right, bottom


def cut_square(photo: Image.Image, square: Box, size: int) -> Image.Image:
    return photo.resize((size, size), Image.Resampling.BILINEAR, square)


def average(answers: list[Answer], square: Box) -> Answer:
    """Return the average of several answers about the same animal, with the feature map of the last answer."""
    probs, score = torch.stack([a.probs for a in answers]).mean(dim=0), sum(a.score for a in answers) / len(answers)
    return Answer(probs, square, score, answers[-1].fmap)


class MiddleSquare:
    """Classify the part of a photo that the Learner's own transforms keep, usually the middle square."""

    def __init__(self, learn: Learner) -> None:
        self.learn = learn

    @torch.no_grad()
    def ask(self, photos: list[Image.Image]) -> list[Answer]:
        body, head = self.learn.model
        fmaps, fitted = body(load_batch(self.learn, photos)), getattr(self.learn, "ood", None)
        probs = self.learn.loss_func.activation(head(fmaps))
        scores = [None] * len(photos) if fitted is None else ood.score(fitted, head[:-1](fmaps)).tolist()
        return [Answer(row, middle(photo.size), *rest) for row, photo, *rest in zip(probs, photos, scores, fmaps)]


def middle(size: tuple[int, int]) -> Box:
    """Return the box of the middle square of a photo of the size (width, height)."""
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def has_linear_head(learn: Learner) -> bool:
    """Return whether the head is only average pooling and a linear layer, which work for a square of any size."""
    return [type(layer).__name__ for layer in learn.model[1]] == ["AdaptiveAvgPool2d", "Flatten", "Linear"]


def plain_size(learn: Learner) -> int | None:
    """Return the side in pixels of the square to which a Learner crops photos, or None if it does anything else."""
    tfms = [tfm for tfm in learn.dls.valid.after_item.fs if not isinstance(tfm, ToTensor)]
    if [type(tfm) for tfm in tfms] != [Resize] or tfms[0].method != ResizeMethod.Crop:
        return None
    width, height = tfms[0].size
    return width if width == height else None


def cells(learn: Learner, size: int) -> int:
    """Return how many cells wide the body's feature map is for a picture of `size` by `size` pixels."""
    x = torch.zeros(1, 3, size, size, device=next(learn.model.parameters()).device)
    body = learn.model[0].eval()
    with torch.no_grad():
        return body(x).shape[-1]


def find_grid(learn: Learner) -> Grid | None:
    """Return the `Grid` of a Learner, or None if the Learner can't classify all squares of a photo.

    The Learner needs a convolutional body, a linear head, and a plain crop to a square as its only transform.
    """
    if has_linear_head(learn) and (size := plain_size(learn)):
        side = cells(learn, size)
        return Grid(size, side) if side > 1 and size % side == 0 else None
    return None
