"""Evaluate a recipe's network on photos that it, or one trained in the same way, never saw."""

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
    """Hold what a recipe returns: a Learner to export, and answers about photos that took no part in training."""

    learn: Learner
    files: list[Path]  # those photos,
    logits: torch.Tensor  # what a network that never saw them says of each, (photos, classes),
    targets: torch.Tensor  # and their classes, (photos,)
    loss_recorder: Recorder  # of the training, or of that of the first fold's head
    facts: dict  # for export.json
    temperature: float = 1  # that the head of `learn` was divided by
    scores: dict = field(default_factory=dict)  # the keywords of `report.plot_trust`: how sure that there is any class,
    turned_away: list[Path] = field(default_factory=list)  # the photos that score too low for that,
    passed: list[tuple[Path, str]] = field(default_factory=list)  # and the other things that do not, with their classes


def split_into_folds(files: list[Path], groups: np.ndarray, args: Namespace) -> list[Split]:
    """`grouped_folds`, as many as `args` ask for; says so when there are fewer."""
    folds = grouped_folds(files, groups, args.folds, args.seed)
    if len(folds) < args.folds:
        print(f"· only {len(folds)} folds, because one class has no more different photos; add more to it")
    return folds


def evaluate_by_validation(learn: Learner, fit: Callable[..., Learner], folds: list[Split]) -> Result:
    """A Learner by the photos that its split holds out, and by `folds`, if any; `fit(valid)` trains it again on one."""
    files, logits, targets = judge_held_out(learn)
    facts = {"validation": error_summary(*count_errors(logits, targets))}
    if folds:
        files, logits, targets = zip(*(judge_held_out(fit(valid)) for _, valid in folds))
        files, logits, targets = list(chain(*files)), torch.cat(logits), torch.cat(targets)
        facts["cross_validation"] = {"folds": len(folds), **error_summary(*count_errors(logits, targets))}
    return Result(learn, files, logits, targets, learn.recorder, facts)


def judge_held_out(learn):
    """Return the photos that a Learner's split holds out, what it says of them (photos, classes), and their classes."""
    return list(learn.dls.valid.items), *validation_logits(learn)


def evaluate_by_folds(
    learn: Learner, heads: list[Learner], folds: list[Split], files: list[Path], targets: torch.Tensor
) -> Result:
    """A Learner whose head has learnt from all photos, by `heads` that were trained alike, each on all folds but one.

    Makes the probabilities of its head fit what those say (`fit_temperature`).
    """
    judged = np.sort(np.concatenate([valid for _, valid in folds]))
    logits, targets = out_of_fold(heads, folds), targets[judged]
    temperature = fit_temperature(logits, targets)
    apply_temperature(learn.model[1][-1], temperature)
    probs = cross_calibrated(logits, targets, folds)
    facts = {"cross_validation": {"folds": len(folds), **error_summary(*count_errors(logits, targets))}}
    facts["cross_validation"]["calibration_error"] = round(calibration_error(probs, targets), 4)
    return Result(learn, [files[i] for i in judged], probs.log(), targets, heads[0].recorder, facts, temperature)
