"""Count a recipe's errors on photos that the tested network was not trained on."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from bears.learning.calibration import cross_calibrated, fit_temperature
from bears.learning.data import Split, grouped_folds
from bears.learning.head import apply_temperature, out_of_fold, validation_logits
from bears.learning.metrics import calibration_error, count_errors, error_summary
from fastai.learner import Learner, Recorder


@dataclass
class Result:
    """Hold the results of a training run: the Learner to export, and predictions for the test photos."""

    learn: Learner
    files: list[Path]  # the test photos
    logits: torch.Tensor  # for each test photo, from a network that was not trained on it; shape (photos, classes)
    targets: torch.Tensor  # the test photos' classes, of the shape (photos,)
    loss_recorder: Recorder  # with the losses of the training, or of the first fold's head
    facts: dict  # for export.json
    temperature: float = 1  # the number by which the weights of `learn`'s head were divided
    scores: dict = field(default_factory=dict)  # keyword arguments for `report.plot_trust`
    turned_away: list[Path] = field(default_factory=list)  # training photos that the model rejects
    passed: list[tuple[Path, str]] = field(default_factory=list)  # negatives mistaken for a class, with this class


def split_into_folds(files: list[Path], groups: np.ndarray, args: Namespace) -> list[Split]:
    """Split the photos into `args.folds` folds (`grouped_folds`).

    If a class has too few photos, make fewer folds and print the reason.
    """
    folds = grouped_folds(files, groups, args.folds, args.seed)
    if len(folds) < args.folds:
        print(
            f"· only {len(folds)} folds, because a class has only {len(folds)} different photos; add more photos to it"
        )
    return folds


def evaluate_by_validation(learn: Learner, fit: Callable[..., Learner], folds: list[Split]) -> Result:
    """Count a Learner's errors on its validation photos. If there are `folds`, also run a cross-validation.

    `fit(valid)` trains a network with the photos at the positions `valid` as validation photos.
    """
    files, logits, targets = judge_held_out(learn)
    facts = {"validation": error_summary(*count_errors(logits, targets))}
    if folds:
        files, logits, targets = zip(*(judge_held_out(fit(valid)) for _, valid in folds))
        files, logits, targets = list(chain(*files)), torch.cat(logits), torch.cat(targets)
        facts["cross_validation"] = {"folds": len(folds), **error_summary(*count_errors(logits, targets))}
    return Result(learn, files, logits, targets, learn.recorder, facts)


def judge_held_out(learn):
    """Return a Learner's validation photos, their logits, and their actual classes.

    The logits have the shape (photos, classes), and the classes (photos,).
    """
    return list(learn.dls.valid.items), *validation_logits(learn)


def evaluate_by_folds(
    learn: Learner, heads: list[Learner], folds: list[Split], files: list[Path], targets: torch.Tensor
) -> Result:
    """Estimate the errors of a Learner whose head was trained on all photos, and calibrate this head.

    Each of `heads` was trained without one fold, and is tested on that fold. The temperature for the calibration is
    fitted to the predictions of `heads` (`fit_temperature`).
    """
    judged = np.sort(np.concatenate([valid for _, valid in folds]))
    logits, targets = out_of_fold(heads, folds), targets[judged]
    temperature = fit_temperature(logits, targets)
    apply_temperature(learn.model[1][-1], temperature)
    probs = cross_calibrated(logits, targets, folds)
    facts = {"cross_validation": {"folds": len(folds), **error_summary(*count_errors(logits, targets))}}
    facts["cross_validation"]["calibration_error"] = round(calibration_error(probs, targets), 4)
    return Result(learn, [files[i] for i in judged], probs.log(), targets, heads[0].recorder, facts, temperature)
