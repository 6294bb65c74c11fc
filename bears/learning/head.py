"""Train a linear head on features, and test it on photos that were not used for its training."""

import numpy as np
import torch
from bears.learning.data import Split
from bears.learning.features import Features
from bears.model.optimize import one_thread
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import error_rate
from fastai.vision.all import noop, set_seed
from torch import nn

EPOCHS, LR = 20, 1e-2  # for `fit_one_cycle`
WD = 10  # weight decay; with a high value, the head makes fewer confident errors on new photos


class HeadLearner(Learner):
    """Train on one thread, since a small head trains faster on one thread than on several."""

    def fit(self, *args, **kwargs):
        with one_thread():
            super().fit(*args, **kwargs)


def head_learner(features: Features, split: Split, seed: int, quiet=False) -> Learner:
    """Return a Learner with an untrained linear head for `features`. `split` is (train_idx, valid_idx).

    The Learner trains on the features of photos, degraded copies and random versions. Validation uses one square of
    each photo: the square that the app would choose. With `quiet`, fastai prints nothing during training.
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
    """Create a `head_learner`, train it with `fit_one_cycle(epochs, lr)`, and return it."""
    learn = head_learner(features, split, seed, quiet)
    learn.fit_one_cycle(epochs, lr)
    return learn


def validation_logits(learn: Learner) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits of `learn` for its validation photos, and the classes of these photos.

    The logits have the shape (photos, classes), and the classes (photos,).
    """
    with learn.no_bar(), learn.removed_cbs(learn.recorder):  # the Recorder would discard the losses of the training
        return learn.get_preds(act=noop)


def out_of_fold(heads: list[Learner], folds: list[Split]) -> torch.Tensor:
    """Return logits in the order of the photos, of the shape (photos, classes).

    The logits for a photo come from the head that was trained without this photo's fold.
    """
    parts = [validation_logits(head)[0] for head in heads]
    return torch.cat(parts)[np.concatenate([valid for _, valid in folds]).argsort()]


def apply_temperature(head: nn.Linear, temperature: float) -> nn.Linear:
    """Divide a linear head's weights by a temperature, so that `learn.predict` gives calibrated probabilities."""
    with torch.no_grad():
        head.weight /= temperature
        head.bias /= temperature
    return head
