"""Fit the rule that rejects photos of other things (bears/model/ood.py), and count its errors."""

from argparse import Namespace
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from bears.learning.features import Features
from bears.learning.learner import body_was_trained, imagenet_classifier
from bears.learning.metrics import error_summary
from bears.model import ood
from bears.model.answers import GROUP, SURE
from bears.model.heatmap import activation_map, draw_heatmap, find_peak, is_inside
from bears.model.optimize import speed_up
from bears.model.photo import open_photo
from bears.model.runtime import CORES
from bears.model.squares import Answer, LearnerSquares, as_pixels, create_squares
from bears.train.evaluation import Result
from fastai.learner import Learner
from fastprogress import progress_bar
from PIL import Image


def fit_ood(learn: Learner, features: Features, groups: np.ndarray, args: Namespace) -> np.ndarray:
    """Fit the rule that rejects photos (`learn.ood`: the gallery and thresholds). Return the score of each photo.

    The scores have the shape (photos,). A photo's score is the highest score of its squares (`ood.score`). Each square
    is compared with the gallery, except near-duplicates of its own photo. Also sets `features.judged` to the features
    of the best square of each photo.
    """
    imagenet = imagenet_classifier(learn.arch, learn.pretrained and not body_was_trained(learn))
    labels = features.targets.numpy()
    learn.ood, gallery_groups = ood.fit(features.photos, labels, groups, imagenet, args.seed, features.copies)
    squares = features.squares or features.photos[:, None]
    counts = [len(square) for square in squares]
    scores = ood.left_out_scores(learn.ood, torch.cat(list(squares)), np.repeat(groups, counts), gallery_groups)
    scores = np.split(scores, np.cumsum(counts)[:-1])
    features.judged = torch.stack([square[score.argmax()] for square, score in zip(squares, scores)])
    return np.array([score.max() for score in scores])


def evaluate_ood(result: Result, files: list[Path], scores: np.ndarray, args: Namespace) -> Result:
    """Add to `result` which photos of the classes are rejected, and which negatives are mistaken for a class.

    `scores` are the scores of `files`, from `fit_ood`.
    """
    fitted = result.learn.ood
    describe_classes(result.learn, args)
    none, unsure = ood.shows_none(fitted, scores), ood.may_show_none(fitted, scores)
    facts = {
        "threshold": round(fitted["threshold"], 4),
        "sure": round(fitted["sure"], 4),
        "photos_that_pass": round(float((~none).mean()), 4),
        "photos_unsure": round(float((unsure & ~none).mean()), 4),
    }
    result.scores = {"scores": scores, "threshold": fitted["threshold"]}
    result.turned_away = [files[i] for i in scores.argsort() if none[i]]
    result.facts["none_of_them"] = facts
    result.facts["verdicts"] = count_verdicts(result, dict(zip(files, scores)))
    if args.negatives:
        answers = list(ask(result.learn, args.negatives))
        result.scores["others"] = np.array([answer.score for answer in answers])
        result.passed = find_passed(result.learn, args.negatives, answers)
        passed = [f.name for f, _ in result.passed]
        facts["others"] = {**error_summary(len(passed), len(answers)), "passed": passed}
    return result


def describe_classes(learn: Learner, args: Namespace) -> None:
    """Store in `learn.ood` which classes form a group, and whether the classes are animals."""
    if args.animals:
        learn.ood["animals"] = True
    if args.groups:
        classes = list(learn.dls.vocab)
        learn.ood["groups"] = [[classes.index(label) for label in labels] for labels in args.groups.values()]


def count_verdicts(result: Result, scores: dict[Path, float]) -> dict:
    """Count the sure answers about the test photos, the wrong sure answers, and the answers that are not sure.

    Answers that name a group are counted under the key `group`.
    """
    probs, targets, fitted = result.logits.softmax(dim=1).tolist(), result.targets.tolist(), result.learn.ood
    said = np.array([ood.certainty(fitted, p, scores[f]) for f, p in zip(result.files, probs)])
    sure, group = said == SURE, said == GROUP
    right = np.argmax(probs, axis=1) == targets
    facts = {"not_sure": int((~sure & ~group).sum()), **summary(sure, right)}
    if group.any():
        together = {i: members for members in fitted["groups"] for i in members}
        right = np.array([t in together.get(np.argmax(p), ()) for p, t in zip(probs, targets)])
        facts["group"] = summary(group, right)
    return facts


def summary(chosen, right):
    return error_summary(int((chosen & ~right).sum()), int(chosen.sum())) if chosen.any() else {}


def find_passed(learn: Learner, files: list[Path], answers: list[Answer]) -> list[tuple[Path, str]]:
    """Return the negatives that the model mistakes for a class, each with the name of this class."""
    judged = zip(files, answers)
    return [(f, learn.dls.vocab[a.probs.argmax()]) for f, a in judged if not ood.shows_none(learn.ood, a.score)]


def ask(learn: Learner, files: list[Path]) -> Iterator[Answer]:
    """Yield the answer that the app would give for each photo. The Learner is not changed."""
    copy = as_in_app(learn)
    squares = create_squares(copy, threads=CORES)
    for file in progress_bar(files):
        yield from squares.ask([open_photo(file)])


def find_backgrounds(learn: Learner, wrong: list[tuple[Path, int]]) -> dict[Path, Image.Image]:
    """Find the misclassified photos in which the background counted most for the wrong class.

    `wrong` has pairs of a photo and the number of the class that it was mistaken for. Returns a dict from each photo
    that was found to its heatmap for the wrong class. The heatmap outlines the animal with the highest detector score.
    Photos without a detected animal are left out.
    """
    animals = (getattr(learn, "ood", None) or {}).get("animals")
    squares = create_squares(as_in_app(learn), threads=CORES) if wrong and animals else None
    if squares is None or not squares.detector:
        return {}
    return {f: heatmap for f, label in progress_bar(wrong) if (heatmap := draw_background(squares, f, label))}


def draw_background(squares: LearnerSquares, file: Path, label: int) -> Image.Image | None:
    """Return a photo's heatmap for class number `label`, or None if the heatmap's peak is on a detected animal."""
    photo = open_photo(file)
    boxes, _ = squares.detector.find_animals(photo)
    if not len(boxes):
        return None
    [answer] = squares.run([photo], squares.grid.size)  # one pass over the whole photo, as in training
    cam = activation_map(answer.fmap, squares.learn.model[1][-1], label)
    peak, half = find_peak(cam, answer.box), (answer.box[2] - answer.box[0]) / cam.shape[1] / 2
    if any(is_inside(peak, box, half) for box in boxes):  # the brightest cell touches an animal
        return None
    return draw_heatmap(photo, cam, answer.box, as_pixels(boxes[0]))


def as_in_app(learn: Learner) -> Learner:
    """Return a copy of a Learner as the app uses it: on the CPU, without photos, and faster (`speed_up`)."""
    copy = Learner(learn.dls.new_empty(), deepcopy(learn.model).cpu(), loss_func=learn.loss_func)
    copy.dls.cpu()
    copy.ood = learn.ood
    speed_up(copy.model.eval(), CORES)
    return copy
