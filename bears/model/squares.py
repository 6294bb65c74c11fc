"""Look at the whole photo: at all squares that cover it, for one pass of the network and a little more.

`Resize` shows a network the middle square alone, and a bear at the edge is not there. The network is convolutional, so
one pass over the whole photo holds what it makes of every square: the squares are pooled from its map.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from bears.errors import DetectorError
from bears.model import ood
from bears.model.detector import Detector
from bears.text import print_line
from fastai.data.transforms import ToTensor
from fastai.learner import Learner
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.core import PILImage
from fasttransform import Pipeline, Transform
from PIL import Image
from torch import nn

MAX_RATIO = 3  # of the longer side to the shorter; what is beyond that is cut off at both ends
MAX_PIXELS = 600_000  # that go through the network at once, which takes memory: two ordinary photos at the second look
CLOSER = 7 / 4  # times the size of the first look has the second: what is small or far away grows by as much
HOPELESS = 1 / 2  # of the threshold: no bear was found at the second look that scored less at the first one
MARGINS = (0.1, 0.25)  # of a box's longer side, on all sides: an animal is cut out so and so, and the answers averaged
LESS = 0.06  # is taken off the score of a whole photo where animals are cut out: what the crops say is right more often


@dataclass
class Answer:
    """What a model makes of one photo."""

    probs: torch.Tensor  # of each class, (classes,)
    box: tuple[int, int, int, int]  # the square that the answer is about: left, top, right, bottom in pixels
    score: float | None = None  # how sure it is that there is any class, as `ood.score`; None: nothing was fitted
    fmap: torch.Tensor | None = None  # what the body made of that square, (n, h, w)


class WholePhoto(Transform):
    """In the place of fastai's `Resize`: the shorter side is `size` pixels, the longer one a whole number of cells."""

    order = Resize.order

    def __init__(self, size, cell):
        self.size, self.cell = size, cell

    def encodes(self, photo: PILImage):
        return self.resized(photo)

    def resized(self, photo):
        return photo.crop(visible(photo.size)).resize(self.target(photo.size), Image.Resampling.BILINEAR)

    def target(self, size):
        """(width, height) in pixels that a photo of such a size gets."""
        left, top, right, bottom = visible(size)
        sides = right - left, bottom - top
        return tuple(max(self.size, round(side * self.size / min(size) / self.cell) * self.cell) for side in sides)


def visible(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of a photo of such a size that is looked at."""
    cut = [max(0, side - MAX_RATIO * min(size)) // 2 for side in size]
    return *cut, size[0] - cut[0], size[1] - cut[1]


def cover(n: int, side: int, stride: int | None = None) -> list[int]:
    """Starts of the fewest squares of `side` cells that cover `n`, evenly spread, at most `stride` apart.

    Without a `stride` their number is odd, so that the middle square is one of them.
    """
    if stride:
        count = -(-(n - side) // stride) + 1
    else:
        count = -(-n // side)
        count += count % 2 == 0
    return sorted({round(start) for start in np.linspace(0, n - side, count)})


def find_corners(shape: Sequence[int], side: int, stride: int | None = None) -> list[tuple[int, int]]:
    """The (top, left) cells of the squares of `side` cells that `cover` a map of that shape, row by row."""
    tops, lefts = (cover(n, side, stride) for n in shape)
    return [(y, x) for y in tops for x in lefts]


def cut(fmaps: torch.Tensor, side: int, stride: int | None = None) -> tuple[list, list[torch.Tensor]]:
    """The squares that cover maps (photos, n, h, w): their (top, left) cells, and of each its part of the maps."""
    corners = find_corners(fmaps.shape[-2:], side, stride)
    return corners, [fmaps[..., y : y + side, x : x + side] for y, x in corners]


class SurestSquare(nn.Module):
    """In the place of the head's average pooling: that of the square which is surest to show a class.

    `found` is, for each photo of the latest batch, its score, the map of the square, and where that is, in cells.
    """

    def __init__(self, pool, fitted, side):
        super().__init__()
        self.pool, self.fitted, self.side, self.stride, self.found = pool, fitted, side, None, []

    def forward(self, fmaps):
        corners, squares = cut(fmaps, self.side, self.stride)
        pooled = torch.stack([self.pool(square) for square in squares], dim=1)
        scores = ood.score(self.fitted, pooled.flatten(0, 1).flatten(1)).view(pooled.shape[:2])
        best = scores.argmax(dim=1)
        self.found = [(scores[i, k].item(), squares[k][i], corners[k]) for i, k in enumerate(best.tolist())]
        return pooled[torch.arange(len(best)), best]


def open_eyes(learn: Learner, predict: Callable, detect=True) -> "WholePhotos | MiddleSquare":
    """`WholePhotos` where the Learner can do that, else `MiddleSquare`.

    Where its classes are animals and `detect` is true, it cuts out what the detector finds.
    """
    grid = getattr(learn, "ood", None) is not None and find_grid(learn)
    eyes = WholePhotos(learn, predict, *grid) if grid else MiddleSquare(learn, predict)
    if grid and detect and learn.ood.get("animals"):
        try:
            eyes.detector = Detector()
        except DetectorError as e:
            print_line(f"· Small animals are found less often: {e}")
    return eyes


def predict_batch(learn: Learner, photos: list[Image.Image]) -> torch.Tensor:
    """What `learn.predict` does, for several photos of one size at once: probabilities (photos, classes)."""
    with torch.no_grad():
        [batch] = learn.dls.test_dl(photos, bs=len(photos), num_workers=0).one_batch()
        # A plain tensor: fastai's own would go through Python once more at every layer.
        return learn.loss_func.activation(learn.model(batch.as_subclass(torch.Tensor)))


class WholePhotos:
    """Looks at whole photos through a Learner, which it changes: `learn.predict` then answers for the surest square.

    Where that is not sure, it looks again: at the animal that the detector finds; without a detector closer, unless
    that is hopeless. `predict` is a function from photos of one size to what the Learner says of them, (photos,
    classes); `size` and `side` are those of `find_grid`.
    """

    closer = (CLOSER,)  # how much, for each further look; what more of them gain: benchmarks/cameras.py
    detector = None

    def __init__(self, learn: Learner, predict: Callable, size: int, side: int):
        self.fitted, self.predict, head = learn.ood, predict, learn.model[1]
        self.size, self.side = size, side
        self.whole = WholePhoto(self.size, self.size // self.side)
        head[0] = self.surest = SurestSquare(head[0], self.fitted, self.side)
        for dl in learn.dls.loaders:
            dl.after_item = Pipeline([self.whole, ToTensor()])

    def ask(self, photos: list[Image.Image]) -> list[Answer]:
        answers = self.look(photos, self.size)
        return self.look_at_animals(photos, answers) if self.detector else self.look_closer(photos, answers)

    def look_at_animals(self, photos, answers):
        """Answer for the animal, if there is one, where the whole photo does not decide and the animal scores more."""
        answers = [replace(answer, score=answer.score - LESS) for answer in answers]
        unsure = [i for i, answer in enumerate(answers) if ood.may_show_none(self.fitted, answer.score)]
        crops = {i: squares for i in unsure if (squares := self.find_animal(photos[i]))}
        cut_out = [cut_square(photos[i], square, self.size) for i, squares in crops.items() for square in squares]
        looks = iter(self.look(cut_out, self.size))
        for i, squares in crops.items():
            answer = average([next(looks) for _ in squares], squares[-1])
            answers[i] = max(answers[i], answer, key=lambda answer: answer.score)
        return answers

    def find_animal(self, photo):
        """The squares around the animal that the detector is surest of, one for each of `MARGINS`; or nothing."""
        boxes, _ = self.detector.find_animals(photo)
        return [around(boxes[0], photo.size, margin) for margin in MARGINS] if len(boxes) else []

    def look_closer(self, photos, answers):
        for closer in self.closer:
            unsure = [i for i, answer in enumerate(answers) if self.is_worth_another(answer.score)]
            size = round(closer * self.side) * self.whole.cell
            for i, again in zip(unsure, self.look([photos[i] for i in unsure], size, self.side // 2)):
                answers[i] = max(answers[i], again, key=lambda answer: answer.score)
        return answers

    def is_worth_another(self, score):
        return ood.may_show_none(self.fitted, score) and not ood.shows_none(self.fitted, score / HOPELESS)

    def look(self, photos, size, stride=None):
        self.whole.size, self.surest.stride = size, stride
        shapes, answers = [self.whole.target(photo.size) for photo in photos], {}
        for width, height in set(shapes):
            alike = [i for i, shape in enumerate(shapes) if shape == (width, height)]
            few = max(1, MAX_PIXELS // (width * height))
            for which in (alike[start : start + few] for start in range(0, len(alike), few)):
                rows = self.predict([photos[i] for i in which])
                for i, row, (score, fmap, corner) in zip(which, rows, self.surest.found):
                    answers[i] = Answer(row, self.box(photos[i].size, shapes[i], corner), score, fmap)
        return [answers[i] for i in range(len(photos))]

    def box(self, size, shape, corner):
        """Where in a photo of that size a square is that lies at `corner` of the map of a picture of that shape."""
        left, top, right, bottom = visible(size)
        scale = (right - left) / shape[0], (bottom - top) / shape[1]
        start = [c * self.whole.cell * s for c, s in zip(corner[::-1], scale)]
        side = [self.side * self.whole.cell * s for s in scale]
        x, y = left + round(start[0]), top + round(start[1])
        return x, y, min(right, x + round(side[0])), min(bottom, y + round(side[1]))


def around(box: Sequence[float], size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    """The square around a box with so much of its longer side on all sides, moved into a photo of that size."""
    side = max(1, min(round((1 + 2 * margin) * max(box[2] - box[0], box[3] - box[1])), *size))
    starts = [(start + end - side) / 2 for start, end in (box[::2], box[1::2])]
    left, top = (round(min(max(0, start), whole - side)) for start, whole in zip(starts, size))
    return left, top, left + side, top + side


def cut_square(photo, square, size):
    return photo.resize((size, size), Image.Resampling.BILINEAR, square)


def average(answers, square):
    """One answer of several about the same animal; what the body made of it is from the last."""
    probs, score = torch.stack([a.probs for a in answers]).mean(dim=0), sum(a.score for a in answers) / len(answers)
    return Answer(probs, square, score, answers[-1].fmap)


class MiddleSquare:
    """Looks at what the DataBlock of a Learner makes of photos, for most the middle square; asked as `WholePhotos`."""

    def __init__(self, learn, predict):
        self.learn, self.predict = learn, predict
        learn.model[0].register_forward_hook(self.keep)

    def keep(self, body, inputs, output):
        self.fmaps = output

    def ask(self, photos: list[Image.Image]) -> list[Answer]:
        rows, fitted = self.predict(photos), getattr(self.learn, "ood", None)
        scores = [None] * len(photos)
        if fitted is not None:
            scores = ood.score(fitted, self.learn.model[1][:-1](self.fmaps)).tolist()
        return [Answer(row, middle(photo.size), *rest) for row, photo, *rest in zip(rows, photos, scores, self.fmaps)]


def middle(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box of the middle square of a photo of such a size."""
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def has_linear_head(learn: Learner) -> bool:
    """Whether the head is average pooling, flattening and one linear layer, all of which can be done for any square."""
    return [type(layer).__name__ for layer in learn.model[1]] == ["AdaptiveAvgPool2d", "Flatten", "Linear"]


def plain_size(learn: Learner) -> int | None:
    """The side in pixels of the middle square that the DataBlock cuts out of a photo, if it does no more than that."""
    tfms = [tfm for tfm in learn.dls.valid.after_item.fs if not isinstance(tfm, ToTensor)]
    if [type(tfm) for tfm in tfms] != [Resize] or tfms[0].method != ResizeMethod.Crop:
        return None
    width, height = tfms[0].size
    return width if width == height else None


def cells(learn: Learner, size: int) -> int:
    """How many cells a side has of the map that the body makes of a square of `size` pixels a side."""
    x = torch.zeros(1, 3, size, size, device=next(learn.model.parameters()).device)
    body = learn.model[0].eval()
    with torch.no_grad():
        return body(x).shape[-1]


def find_grid(learn: Learner) -> tuple[int, int] | None:
    """How large a Learner's square is, in pixels and in cells of its map, if it can look at all squares of a photo.

    That takes a convolutional body on plain squares, and a linear head.
    """
    if has_linear_head(learn) and (size := plain_size(learn)):
        side = cells(learn, size)
        return (size, side) if side > 1 and size % side == 0 else None
