"""What a recipe's network is worth, judged by photos that it, or one trained in the same way, never saw."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from bears import ood
from bears.photo import open_photo
from bears.speed_up import speed_up
from bears.squares import Answer, open_eyes, predict_batch
from bears.train.calibration import calibration_error, cross_calibrated, fit_temperature
from bears.train.data import Split, grouped_folds
from bears.train.learner import (
    Features,
    apply_temperature,
    body_was_trained,
    count_errors,
    error_summary,
    imagenet_classifier,
    out_of_fold,
    validation_logits,
)
from fastai.learner import Learner, Recorder
from fastprogress import progress_bar


@dataclass
class Result:
    """What a recipe returns: a Learner to export, and what photos that took no part in its training say of it."""

    learn: Learner
    files: list[Path]  # those photos,
    logits: torch.Tensor  # what a network that never saw them says of each, (photos, classes),
    targets: torch.Tensor  # and their classes, (photos,)
    loss_recorder: Recorder  # of the training, or of that of the first fold's head
    facts: dict  # for export.json
    plots: dict = field(default_factory=dict)  # the keywords of `report.plot_trust`


def split_into_folds(files: list[Path], groups: np.ndarray, args: Namespace) -> list[Split]:
    """`grouped_folds`, as many as `args` ask for; says so when there are fewer."""
    folds = grouped_folds(files, groups, args.cross_validate, args.seed)
    if len(folds) < args.cross_validate:
        print(f"· only {len(folds)} folds, since a class has no more different photos; the more it gets, the better")
    return folds


def evaluate_by_validation(learn: Learner, fit: Callable[..., Learner], folds: list[Split]) -> Result:
    """A Learner by the photos that its split holds out, and by `folds`, if any; `fit(valid)` trains it anew on one."""
    logits, targets = validation_logits(learn)
    facts = {"validation": error_summary(*count_errors(logits, targets))}
    if folds:
        counts = [count_errors(*validation_logits(fit(valid))) for _, valid in folds]
        facts["cross_validation"] = {"folds": len(folds), **error_summary(*map(sum, zip(*counts)))}
    return Result(learn, learn.dls.valid.items, logits, targets, learn.recorder, facts)


def evaluate_by_folds(
    learn: Learner, heads: list[Learner], folds: list[Split], files: list[Path], targets: torch.Tensor
) -> Result:
    """A Learner whose head has learnt from all photos, by `heads` that were trained alike, each on all folds but one.

    Makes the probabilities of its head fit what those say (`fit_temperature`).
    """
    judged = np.sort(np.concatenate([valid for _, valid in folds]))
    logits, targets = out_of_fold(heads, folds), targets[judged]
    apply_temperature(learn.model[1][-1], fit_temperature(logits, targets))
    probs = cross_calibrated(logits, targets, folds)
    facts = {"cross_validation": {"folds": len(folds), **error_summary(*count_errors(logits, targets))}}
    facts["cross_validation"]["calibration_error"] = round(calibration_error(probs, targets), 4)
    plots = {"probs": probs, "targets": targets}
    return Result(learn, [files[i] for i in judged], logits, targets, heads[0].recorder, facts, plots)


def fit_detector(learn: Learner, features: Features, groups: np.ndarray, args: Namespace) -> np.ndarray:
    """Give a Learner what `ood.score` needs, and `features` the surest square of each photo; returns its score.

    Each photo is compared with all but itself and its near-duplicates.
    """
    imagenet = imagenet_classifier(learn.arch, learn.pretrained and not body_was_trained(learn))
    labels = features.targets.numpy()
    learn.ood, gallery_groups = ood.fit(features.photos, labels, groups, imagenet, args.seed, features.copies)
    squares = features.squares or features.photos[:, None]
    owners = np.repeat(np.arange(len(squares)), [len(square) for square in squares])
    squares = torch.cat(list(squares))
    scores = ood.left_out_scores(learn.ood, squares, groups[owners], gallery_groups)
    order = np.lexsort((-scores, owners))
    surest = order[np.unique(owners[order], return_index=True)[1]]
    features.judged = squares[surest]
    return scores[surest]


def evaluate_detector(result: Result, scores: np.ndarray, args: Namespace) -> Result:
    """Add to a result how many photos of the classes the app turns away, and how many of other things it does not.

    `scores` are those of `fit_detector`.
    """
    detector = result.learn.ood
    facts = {
        "threshold": round(detector["threshold"], 4),
        "sure": round(detector["sure"], 4),
        "photos_that_pass": round(float((scores >= detector["threshold"]).mean()), 4),
        "photos_unsure": round(float(((scores >= detector["threshold"]) & (scores < detector["sure"])).mean()), 4),
    }
    result.plots |= {"scores": scores, "threshold": detector["threshold"]}
    if args.others:
        facts["others"], result.plots["others"] = evaluate_others(result.learn, args.others)
    result.facts["none_of_them"] = facts
    return result


def evaluate_others(learn: Learner, files: list[Path]) -> tuple[dict, np.ndarray]:
    """How many photos of other things pass for one of the classes, and their scores; no part of the training."""
    scores = np.array([answer.score for answer in ask(learn, files)])
    passed = [f.name for f, score in zip(files, scores) if score >= learn.ood["threshold"]]
    return {**error_summary(len(passed), len(files)), "passed": passed}, scores


def ask(learn: Learner, files: list[Path]) -> Iterator[Answer]:
    """What an app would say of photos with a copy of the Learner."""
    copy = Learner(learn.dls.new_empty(), deepcopy(learn.model).cpu(), loss_func=learn.loss_func)
    copy.dls.cpu()
    copy.ood = learn.ood
    eyes = open_eyes(copy, partial(predict_batch, copy))
    speed_up(copy.model.eval())
    for file in progress_bar(files):
        yield from eyes.ask([open_photo(file)])
