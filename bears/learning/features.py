"""Compute features once: the frozen body's output for photos, for their degraded copies and for random versions."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from bears import distributed
from bears.learning.degrade import Degrade
from bears.model.optimize import speed_up
from bears.model.squares import WholePhoto, cut, find_grid
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.vision.all import CategoryMap, RandTransform, Resize, ToTensor, parent_label
from fastprogress import progress_bar
from fasttransform import Pipeline
from torch import nn

COPIES = 2  # bad ones of each photo, of different kinds
VERSIONS = 4  # random ones of each photo that a head learns from, too, where the DataBlock augments


@dataclass
class Features:
    """Hold the features of photos and their classes: everything that a linear head learns from."""

    photos: torch.Tensor  # float32, (photos, n): of the middle square of each
    targets: torch.Tensor  # integers, (photos,)
    squares: Sequence[torch.Tensor] = ()  # of all squares of each photo, (squares, n), if its body can see them
    copies: Sequence[torch.Tensor] = ()  # as `photos`, of bad copies of them
    augmented: Sequence[torch.Tensor] = ()  # as `photos`, of random versions of them
    judged: torch.Tensor | None = None  # as `photos`, of the square of each that an app would choose

    def __post_init__(self):
        if self.judged is None:
            self.judged = self.photos


def compute_features(learn: Learner, files: Sequence[Path]) -> Features:
    """Return the features of photos, of degraded copies and, if the DataBlock augments, of random versions of each."""
    body, augmented, squares = fast_body(learn), [], ()
    if grid := find_grid(learn):
        squares = square_features(files, learn, body[0], grid)
        photos = torch.stack([square[len(square) // 2] for square in squares])
    else:
        photos = pooled_features(files, learn, body)
    print(f"· adding {COPIES} degraded copies of each photo (night, dusk or distance)", flush=True)
    copies = [pooled_features(files, learn, body, degrade=Degrade(version)) for version in range(COPIES)]
    if augments(learn.dls):
        print(f"· {VERSIONS} random versions of each photo, as the DataBlock asks for", flush=True)
        augmented = [pooled_features(files, learn, body, augment=True) for _ in range(VERSIONS)]
    return Features(photos, label_targets(learn.dls.vocab, files), squares, copies, augmented)


def body_features(learn: Learner, files: Sequence[Path]) -> torch.Tensor:
    """Return the pooled features of each photo, float32 of shape (len(files), n)."""
    return pooled_features(files, learn, fast_body(learn))


def fast_body(learn):
    """Return a copy of the body, then of the head's layers but for the last one, on the Learner's device.

    Batch norm uses the statistics that it has, so a photo's features never change and are computed once.
    """
    body = deepcopy(nn.Sequential(learn.model[0], *learn.model[1][:-1])).to(learn.dls.device).eval()
    if learn.dls.device.type == "cpu":
        speed_up(body)
    return body


@distributed.split_between_processes
def pooled_features(files, learn, body, augment=False, degrade=None):
    """`body_features`, by a `fast_body`, of photos to which `degrade` is done.

    `augment` lets the random transforms of the training photos act, for a version of them that differs each time.
    """
    batches = learn.dls.test_dl(files, bs=16, num_workers=0)
    if degrade:
        batches.after_item = Pipeline([*batches.after_item.fs, degrade])
    with batches.dataset.set_split_idx(0 if augment else 1):
        return torch.cat([features.cpu() for features in each_batch(batches, body)])


@distributed.split_between_processes
def square_features(files, learn, body, grid):
    """Return the features of all squares of each photo, a list of (squares, n); `grid` as `find_grid` has it."""
    batches = learn.dls.test_dl(files, bs=1, num_workers=0)
    batches.after_item = Pipeline([WholePhoto(grid), ToTensor()])
    maps = each_batch(batches, body)
    return [torch.cat([square.mean(dim=(2, 3)) for square in cut(fmaps, grid.side)[1]]).cpu() for fmaps in maps]


@torch.no_grad()
def each_batch(batches, body):
    """Yield the output of `body` for each batch, with a progress bar."""
    for (x,) in progress_bar(prefetch(batches), len(batches)):
        yield body(x.as_subclass(torch.Tensor))  # a plain tensor: fastai's own goes through Python at every layer


def prefetch(batches: Iterable) -> Iterator:
    """Yield the same batches, while a thread prepares the next one: Pillow decodes outside Python's lock."""
    batches = iter(batches)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def augments(dls: DataLoaders) -> bool:
    """Whether the `DataBlock` changes training photos at random: `aug_transforms`, `RandomResizedCrop` and the like."""
    tfms = [*dls.train.after_item.fs, *dls.train.after_batch.fs]
    return any(isinstance(tfm, RandTransform) and not isinstance(tfm, Resize) for tfm in tfms)


def label_targets(vocab: CategoryMap, files: Sequence[Path]) -> torch.Tensor:
    """Return the classes of photos as numbers, an integer tensor of shape (photos,)."""
    return torch.tensor([vocab.o2i[parent_label(f)] for f in files])
