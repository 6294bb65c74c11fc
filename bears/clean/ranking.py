"""Rank the photos of a folder by how likely they are in the wrong class, with the checks in bears/clean/checks.py.

`ImageClassifierCleaner` in fast.ai's lesson sorts photos by the loss of a model that was trained on them. In this
module, each photo is scored by a head that was not trained on it. `bears.model.ood` also scores each photo, since a
head is often very sure about photos that show none of the classes.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from bears.clean.checks import CHECKS, NEAR_DUPLICATE, WRONG_CLASS, Photos
from bears.learning.calibration import cross_calibrated
from bears.learning.data import explain_lost_photos, find_photos, grouped_folds
from bears.learning.features import Features, body_features, label_targets
from bears.learning.head import fit_head, out_of_fold
from bears.learning.learner import ARCH, LINEAR_HEAD, imagenet_classifier, vision_learner
from bears.learning.near_duplicates import group_near_duplicates
from bears.model import ood
from bears.model.backbone import SIZE
from bears.model.photo import open_photo
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import IndexSplitter, parent_label
from fastai.learner import Learner
from fastai.vision.augment import Resize
from fastai.vision.data import ImageBlock

DISAGREE = "get different answers from visitor and model"  # for visitors' photos (feedback.py)
MAY_BE_FALSE = "may be false alarms"  # for the alarms of `watch` (events.py)


class RankedPhoto(NamedTuple):
    name: str  # path in the folder, `class/file`
    label: str  # the photo's class, from its folder
    score: float  # from 0, certainly wrong, to 1
    opinion: str  # the reasons that the checks give
    found_by: frozenset[str]  # the checks that count the photo as wrong
    guess: str  # the predicted class
    near_duplicate: str | None  # the better near-duplicate of this photo, `class/file`, or None

    @property
    def group(self) -> str:
        """Return the photo's group on the review page, such as `look wrong` or `near-duplicates`."""
        if self.found_by - {NEAR_DUPLICATE}:
            return "look wrong"
        return "near-duplicates" if self.found_by else "look right"

    @property
    def suggestion(self) -> tuple[str, str]:
        """Return the suggested action (`keep`, `set aside`, `move` or "") and the class to move to, or ""."""
        if self.found_by == {WRONG_CLASS}:
            return "move", self.guess
        if self.found_by & {DISAGREE, MAY_BE_FALSE}:  # only people can decide these
            return "", ""
        return "set aside" if self.found_by else "keep", ""


def rank_folder(
    folder, exclude=None, seed=42, progress: Callable[[int, int], None] | None = None
) -> tuple[dict[str, list[RankedPhoto]], dict[str, str]]:
    """Rank the photos in `folder`, which has one subfolder per class. The likeliest mistakes come first.

    `progress(read, total)` is called after each photo is read.
    Returns a dict from each class to its ranked photos, and the dict `dropped` of `find_photos`.
    Raises `DataError` if a model can't be trained on the folder.
    """
    files, dropped = find_photos(folder, exclude)
    read = set()

    def open_and_tell(file):
        if progress:
            read.add(file)
            progress(len(read), len(files))
        return open_photo(file)

    with explain_lost_photos(files):
        learn, features, targets = read_photos(files, open_and_tell)
        return rank(measure(Path(folder), files, features, targets, learn.dls.vocab, seed)), dropped


def rank(photos: Photos) -> dict[str, list[RankedPhoto]]:
    """Return a dict from each class to its photos, the likeliest mistakes first."""
    findings = {name: check(photos) for name, check in CHECKS.items()}
    scores = np.prod([finding.scores for finding in findings.values()], axis=0)
    ranked = []
    for i in scores.argsort(kind="stable"):
        opinion = "; ".join(finding.says[i] for finding in findings.values() if finding.says[i])
        found_by = frozenset(name for name, finding in findings.items() if finding.found[i])
        better = photos.near_duplicates.get(i)
        better = None if better is None else photos.names[better]
        place = photos.names[i], photos.labels[i]
        ranked.append(RankedPhoto(*place, float(scores[i]), opinion, found_by, photos.guesses[i], better))
    return {label: [photo for photo in ranked if photo.label == label] for label in photos.vocab}


def measure(
    folder: Path, files: list[Path], features: torch.Tensor, targets: torch.Tensor, vocab: list[str], seed=42
) -> Photos:
    """Classify each photo with a head that was not trained on it. Return the `Photos` that the checks need.

    `features` and `targets` are from `read_photos`. `vocab` is the vocab of its Learner.
    """
    probs, likeness, detector = predict_out_of_fold(files, features, targets, seed)
    return Photos(
        files=files,
        names=[f.relative_to(folder).as_posix() for f in files],
        vocab=list(vocab),
        labels=[vocab[i] for i in targets],
        guesses=[vocab[i] for i in probs.argmax(axis=1)],
        certainty=probs.max(axis=1),
        confidence=probs[range(len(files)), targets],
        likeness=likeness,
        show_none=ood.shows_none(detector, likeness),
        features=features,
    )


def read_photos(files: list[Path], opener: Callable = open_photo) -> tuple[Learner, torch.Tensor, torch.Tensor]:
    """Return an untrained Learner, the body's features of the photos, and their classes.

    The features have the shape (photos, n), and the classes the shape (photos,).
    """
    # train.py has the lesson's DataBlock, but no module in bears/ may import train.py.
    bears = DataBlock((ImageBlock, CategoryBlock), get_x=opener, get_y=parent_label, splitter=IndexSplitter([]))
    learn = vision_learner(bears.new(item_tfms=Resize(SIZE)).dataloaders(files, bs=min(16, len(files))), **LINEAR_HEAD)
    return learn, body_features(learn, files), label_targets(learn.dls.vocab, files)


def predict_out_of_fold(
    files: list[Path], features: torch.Tensor, targets: torch.Tensor, seed=42
) -> tuple[np.ndarray, np.ndarray, dict]:
    """Classify each photo with a head that was not trained on its fold, and score each photo with `bears.model.ood`.

    Returns the probabilities, the scores, and the dict that `ood.fit` makes. The shape of the probabilities is (photos,
    classes), and that of the scores (photos,).
    """
    groups = group_near_duplicates(files)
    folds = grouped_folds(files, groups, seed=seed)
    heads = [fit_head(Features(features, targets), split, seed, quiet=True) for split in folds]
    probs = cross_calibrated(out_of_fold(heads, folds), targets, folds)
    detector, gallery_groups = ood.fit(features, targets.numpy(), groups, imagenet_classifier(ARCH), seed)
    return probs.numpy(), ood.left_out_scores(detector, features, groups, gallery_groups), detector
