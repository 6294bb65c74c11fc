"""What a recipe's network is worth, judged by photos that it, or one trained in the same way, never saw."""

from dataclasses import dataclass, field

import numpy as np
import torch
from bears import ood
from bears.train.calibration import calibration_error, cross_calibrated, fit_temperature
from bears.train.data import grouped_folds
from bears.train.learner import (
    apply_temperature,
    body_features,
    body_was_trained,
    count_errors,
    error_summary,
    imagenet_classifier,
    out_of_fold,
    validation_logits,
)
from fastai.learner import Learner, Recorder


@dataclass
class Trained:
    """What a recipe returns: a Learner to export, and what was found out about it."""

    learn: Learner
    judged: list  # photos, each judged by a network that never saw it,
    logits: torch.Tensor  # what that said of them, (photos, classes),
    targets: torch.Tensor  # and the truth, (photos,)
    recorder: Recorder  # the losses of the training, or of the first fold's head
    facts: dict
    plots: dict = field(default_factory=dict)  # the keywords of `report.plot_trust`


def estimate_folds(files, groups, args):
    """The folds of the error estimate; says so when there are fewer than `args` ask for."""
    folds = grouped_folds(files, groups, args.cross_validate, args.seed)
    if len(folds) < args.cross_validate:
        print(f"· only {len(folds)} folds, since a class has no more different photos; the more it gets, the better")
    return folds


def evaluate_by_validation(learn, fit, folds):
    """A Learner by the photos that its split holds out, and by `folds`, if any; `fit(valid)` trains it anew on one."""
    logits, targets = validation_logits(learn)
    facts = {"validation": error_summary(*count_errors(logits, targets))}
    if folds:
        counts = [count_errors(*validation_logits(fit(valid))) for _, valid in folds]
        facts["cross_validation"] = {"folds": len(folds), **error_summary(*map(sum, zip(*counts)))}
    return Trained(learn, learn.dls.valid.items, logits, targets, learn.recorder, facts)


def evaluate_by_folds(learn, heads, folds, features, targets, files, groups, args):
    """A Learner whose head has learnt from all photos, by `heads` that were trained alike, each on all folds but one.

    Makes its probabilities fit what those say (`fit_temperature`), and adds to it what `ood.score` needs.
    """
    judged = np.sort(np.concatenate([valid for _, valid in folds]))
    logits, truth = out_of_fold(heads, folds), targets[judged]
    apply_temperature(learn.model[1][-1], fit_temperature(logits, truth))
    imagenet = imagenet_classifier(learn.arch, learn.pretrained and not body_was_trained(learn))
    learn.ood, scores = ood.fit(features, targets.numpy(), groups, imagenet, args.seed)

    probs = cross_calibrated(logits, truth, folds)
    plots = {"probs": probs, "targets": truth, "scores": scores, "threshold": learn.ood["threshold"]}
    estimate = error_summary(*count_errors(logits, truth))
    calibration = round(calibration_error(probs, truth), 4)
    facts = {
        "cross_validation": {"folds": len(folds), **estimate, "calibration_error": calibration},
        "none_of_them": {"threshold": round(learn.ood["threshold"], 4), "photos_that_pass": ood.ACCEPTED_SHARE},
    }
    if args.others:
        facts["none_of_them"]["others"], plots["others"] = evaluate_others(learn, args.others)
    return Trained(learn, [files[i] for i in judged], logits, truth, heads[0].recorder, facts, plots)


def evaluate_others(learn, files):
    """How many photos of other things pass for one of the classes, and their scores; no part of the training."""
    scores = ood.score(learn.ood, body_features(learn, files)).numpy()
    passed = [f.name for f, score in zip(files, scores) if score >= learn.ood["threshold"]]
    return {**error_summary(len(passed), len(files)), "passed": passed}, scores
