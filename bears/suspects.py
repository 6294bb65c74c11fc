"""Which photos of a folder are probably wrong: in the wrong class, of something else, or there more than once.

The lesson's `ImageClassifierCleaner` sorts by the loss of the very model that was trained on those photos. Here no
photo is judged by a head that has seen it, and `bears.ood` is asked, too: what shows none of the classes is often
taken for one of them with full confidence.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from bears import ood
from bears.calibration import cross_calibrated
from bears.data import find_photos, group_twins, grouped_folds, repeated
from bears.learner import (
    ARCH,
    LINEAR_HEAD,
    SIZE,
    body_features,
    create_learner,
    fit_head,
    imagenet_classifier,
    out_of_fold,
)
from cleanlab.rank import get_label_quality_scores
from fastai.data.transforms import parent_label

COPY = 0.2  # the highest score of a copy: it does less harm than what is plainly wrong
ODD = 0.5  # of the likeness to the other photos; most photos have more


class Suspect(NamedTuple):
    name: str  # path below the folder, `class/file`
    label: str  # the class whose folder it lies in
    score: float  # from 0, certainly wrong, to 1
    opinion: str  # what speaks against it, in words
    guess: str  # the class that it looks most like
    twin: str | None  # the photo that it is a copy of, `class/file`


def find_suspects(folder, leave_out=None, seed=42):
    """Rank the photos below `folder`, one folder per class (`find_photos`), by how wrong they seem.

    Returns a dict from every class to all its photos, a list of `Suspect`, worst first, and `dropped` as `find_photos`
    does. Raises `DataError` when the folder is not one to train on.
    """
    files, dropped = find_photos(folder, leave_out)
    groups = group_twins(files)
    features, targets, vocab = read_photos(files)
    probs, likeness, threshold = judge(files, features, targets, groups, seed)
    scores = get_label_quality_scores(targets.numpy(), probs) * likeness.clip(0, 1)
    copies = find_copies(groups, scores)
    names = [f.relative_to(Path(folder)).as_posix() for f in files]
    suspects = []
    for i, name in enumerate(names):
        guess = vocab[probs[i].argmax()]
        opinion = describe(guess, probs[i].max(), likeness[i], threshold)
        twin = names[copies[i]] if i in copies else None
        if twin:
            scores[i], opinion = min(scores[i], COPY), f"the same photo as {twin}; {opinion}"
        suspects.append(Suspect(name, vocab[targets[i]], float(scores[i]), opinion, guess, twin))
    suspects.sort(key=lambda s: s.score)
    return {label: [s for s in suspects if s.label == label] for label in vocab}, dropped


def describe(guess, prob, likeness, threshold):
    """What the models think of a photo, in words; rounded down, since none is ever 100% sure."""
    if likeness < threshold:
        return "shows none of them"
    odd = f", but is only {int(100 * likeness)}% like the other photos" if likeness < ODD else ""
    return f"looks like {guess}, {int(100 * prob)}%{odd}"


def read_photos(files):
    """The recipe's features of photos (photos, n), their classes (photos,) as numbers, and the names of these."""
    # Nothing is trained on this split; fastai wants one.
    learn = create_learner(default_dls(files, (files, range(0, len(files), 2)), SIZE), **LINEAR_HEAD)
    vocab = list(learn.dls.vocab)
    return body_features(learn, files), torch.tensor([vocab.index(parent_label(f)) for f in files]), vocab


def judge(files, features, targets, groups, seed=42):
    """What those say of each photo that never saw it: probs (photos, classes), likeness (photos,), its threshold."""
    folds = grouped_folds(files, groups, seed=seed)
    fit = partial(fit_head, features, targets, n_out=int(targets.max()) + 1, seed=seed)
    probs = cross_calibrated(out_of_fold(fit, folds), targets, folds)
    none, likeness = ood.fit(features, targets.numpy(), groups, imagenet_classifier(ARCH), seed)
    return probs.numpy(), likeness, none["threshold"]


def find_copies(groups, scores):
    """Of each group of twins, the best is the original: a dict from the positions of the others to its position."""
    copies = {}
    for group in repeated(groups):
        *others, original = sorted(np.flatnonzero(groups == group), key=lambda i: scores[i])
        copies |= dict.fromkeys(others, original)
    return copies
