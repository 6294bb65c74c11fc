"""Compute the frozen body's features once, for photos, their degraded copies and their random versions."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from bears import distributed
from bears.learning.degrade import Degrade
from bears.model.optimize import speed_up
from bears.model.runtime import CORES
from bears.model.squares import WholePhoto, cut, find_grid
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.vision.all import CategoryMap, RandTransform, Resize, ToTensor, parent_label
from fastprogress import progress_bar
from fasttransform import Pipeline
from torch import nn

COPIES = 2  # degraded copies of each photo, of different kinds
VERSIONS = 4  # randomly changed versions of each photo, if the DataBlock has augmentation


@dataclass
class Features:
    """Hold the features and classes of photos, from which a linear head learns."""

    photos: torch.Tensor  # features of each photo's middle square, float32 of the shape (photos, n)
    targets: torch.Tensor  # the number of each photo's class, of the shape (photos,)
    squares: Sequence[torch.Tensor] = ()  # for each photo, the features of all its squares, of the shape (squares, n)
    copies: Sequence[torch.Tensor] = ()  # features of degraded copies, each of the shape (photos, n)
    augmented: Sequence[torch.Tensor] = ()  # features of random versions, each of the shape (photos, n)
    judged: torch.Tensor | None = None  # like `photos`, but of the squares that the app would choose

    def __post_init__(self):
        if self.judged is None:
            self.judged = self.photos


def compute_features(learn: Learner, files: Sequence[Path]) -> Features:
    """Return the features of photos and of their degraded copies.

    If the DataBlock has augmentation, also return the features of `VERSIONS` random versions of each photo.
    """
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
    """Return a copy of the network without the head's last layer, on the Learner's device.

    The copy is in eval mode, so batch norm keeps its statistics, and a photo always gets the same features.
    """
    body = deepcopy(nn.Sequential(learn.model[0], *learn.model[1][:-1])).to(learn.dls.device).eval()
    if learn.dls.device.type == "cpu":
        speed_up(body, CORES)
    return body


@distributed.split_between_processes
def pooled_features(files, learn, body, augment=False, degrade=None):
    """Return the features that `body` computes for each photo, float32 of the shape (len(files), n).

    `body` is from `fast_body`. `degrade` is an extra transform, such as `Degrade(0)`. If `augment` is true, apply the
    random transforms of training.
    """
    batches = learn.dls.test_dl(files, bs=16, num_workers=0)
    if degrade:
        batches.after_item = Pipeline([*batches.after_item.fs, degrade])
    with batches.dataset.set_split_idx(0 if augment else 1):
        return torch.cat([features.cpu() for features in each_batch(batches, body)])


@distributed.split_between_processes
def square_features(files, learn, body, grid):
    """Return the features of all squares that cover each photo: a list of tensors of the shape (squares, n).

    `grid` is from `find_grid`.
    """
    batches = learn.dls.test_dl(files, bs=1, num_workers=0)
    batches.after_item = Pipeline([WholePhoto(grid), ToTensor()])
    maps = each_batch(batches, body)
    return [torch.cat([square.mean(dim=(2, 3)) for square in cut(fmaps, grid.side)[1]]).cpu() for fmaps in maps]


@torch.no_grad()
def each_batch(batches, body):
    """Yield the output of `body` for each batch, with a progress bar."""
    for (x,) in progress_bar(prefetch(batches), len(batches)):
        yield body(x.as_subclass(torch.Tensor))  # fastai's subclass of Tensor runs Python code at every layer


def prefetch(batches: Iterable) -> Iterator:
    """Yield batches, and prepare the next one in a thread meanwhile.

    A thread can decode photos while the network runs, since Pillow releases Python's global lock (GIL).
    """
    batches = iter(batches)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def augments(dls: DataLoaders) -> bool:
    """Return whether the DataBlock has augmentation, such as `aug_transforms` or `RandomResizedCrop`."""
    tfms = [*dls.train.after_item.fs, *dls.train.after_batch.fs]
    return any(isinstance(tfm, RandTransform) and not isinstance(tfm, Resize) for tfm in tfms)


def label_targets(vocab: CategoryMap, files: Sequence[Path]) -> torch.Tensor:
    """Return the classes of photos as numbers, an integer tensor of shape (photos,)."""
    return torch.tensor([vocab.o2i[parent_label(f)] for f in files])
