"""Which photos of a folder are probably wrong: in the wrong class, of something else, or there more than once.

The lesson's `ImageClassifierCleaner` sorts by the loss of the very model that was trained on those photos. Here no
photo is judged by a head that has seen it, and `bears.ood` is asked, too: what shows none of the classes is often
taken for one of them with full confidence.
"""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bears import ood
from bears.app.wording import percent
from bears.train.calibration import cross_calibrated
from bears.train.data import find_photos, group_near_duplicates, grouped_folds, in_place
from bears.train.learner import (
    ARCH,
    LINEAR_HEAD,
    SIZE,
    body_features,
    default_dls,
    fit_head,
    imagenet_classifier,
    label_targets,
    out_of_fold,
    vision_learner,
)
from cleanlab.rank import get_label_quality_scores
from fastai.vision.augment import Resize
from sklearn.neighbors import NearestNeighbors

NEAR_DUPLICATE_SCORE = 0.2  # the highest score of a near-duplicate: it does less harm than what is plainly wrong
NEAR_DUPLICATE_DISTANCE = 0.3  # of the usual distance between photos: what is closer is a near-duplicate
UNLIKE = 0.5  # of the likeness to the other photos; most photos have more, and at most a tenth is called odd


class RankedPhoto(NamedTuple):
    name: str  # path below the folder, `class/file`
    label: str  # the class whose folder it lies in
    score: float  # from 0, certainly wrong, to 1
    opinion: str  # what speaks against it, in words
    guess: str  # the class that it looks most like
    near_duplicate: str | None  # the better photo that it is nearly the same as, `class/file`
    stranger: bool  # whether it shows none of the classes


def rank_folder(folder, leave_out=None, seed=42):
    """Rank the photos below `folder`, one folder per class (`find_photos`), by how wrong they seem.

    Returns a dict from every class to all its photos, a list of `RankedPhoto`, worst first, and `dropped` as
    `find_photos` does. Raises `DataError` when the folder is not one to train on.
    """
    files, dropped = find_photos(folder, leave_out)
    with in_place(files):
        learn, features, targets = read_photos(files)
        return rank(Path(folder), files, features, targets, learn.dls.vocab, seed), dropped


def rank(folder, files, features, targets, vocab, seed=42):
    """The ranking of `rank_folder`; features (photos, n) and targets (photos,) as `read_photos` returns them."""
    names = [f.relative_to(folder).as_posix() for f in files]
    probs, likeness, none = predict_out_of_fold(files, features, targets, seed)
    scores = get_label_quality_scores(targets.numpy(), probs) * likeness.clip(0, 1)
    better = {i: names[j] for i, j in find_near_duplicates(features, scores).items()}
    odd, ranking = min(UNLIKE, np.quantile(likeness, 0.1)), []
    for i, name in enumerate(names):
        guess, other = vocab[probs[i].argmax()], better.get(i)
        stranger = bool(likeness[i] < none["threshold"])
        opinion = describe(guess, probs[i].max(), likeness[i], stranger, odd, other)
        score = min(float(scores[i]), NEAR_DUPLICATE_SCORE if other else 1)
        ranking.append(RankedPhoto(name, vocab[targets[i]], score, opinion, guess, other, stranger))
    ranking.sort(key=lambda s: s.score)
    return {label: [s for s in ranking if s.label == label] for label in vocab}


def describe(guess, prob, likeness, stranger, odd, other):
    """What is to be said of a photo, in words."""
    words = [f"nearly the same photo as {other}"] if other else []
    if stranger:
        return "; ".join([*words, "shows none of them"])
    if likeness < odd:
        words.append(f"unlike the others ({int(100 * likeness)}% alike)")
    return "; ".join([*words, f"looks like {guess}, {percent(prob)}"])


def read_photos(files):
    """The recipe's Learner, untrained; what its body says of the photos (photos, n); their classes (photos,)."""
    # Nothing is trained on this split; fastai wants one, and takes the classes from its first part.
    learn = vision_learner(default_dls(files, (files, []), Resize(SIZE)), **LINEAR_HEAD)
    return learn, body_features(learn, files), label_targets(learn.dls.vocab, files)


def predict_out_of_fold(files, features, targets, seed=42):
    """What those say of each photo that never saw it: probs (photos, classes), likeness (photos,), `ood.fit`'s dict."""
    groups = group_near_duplicates(files)
    folds = grouped_folds(files, groups, seed=seed)
    fit = partial(fit_head, [features], targets, n_out=int(targets.max()) + 1, seed=seed, quiet=True)
    probs = cross_calibrated(out_of_fold([fit(split) for split in folds], folds), targets, folds)
    none, likeness = ood.fit(features, targets.numpy(), groups, imagenet_classifier(ARCH), seed)
    return probs.numpy(), likeness, none


def find_near_duplicates(features, scores):
    """Photos that show nearly the same as a better one, crops too: a dict from their positions to its position.

    As in cleanlab's Datalab, that is a matter of how far apart in features (photos, n) photos usually are.
    """
    neighbours = NearestNeighbors(n_neighbors=min(5, len(scores) - 1), metric="cosine")
    distances, nearest = neighbours.fit(features).kneighbors()
    order = scores.argsort().argsort()
    found = (distances < NEAR_DUPLICATE_DISTANCE * np.median(distances[:, -1])) & (order[nearest] > order[:, None])
    return {i: nearest[i, found[i].argmax()] for i in np.flatnonzero(found.any(axis=1))}
