"""Estimate the error rate on photos from new sources: leave out each source in turn, and test on it.

For each source, a head is trained on the photos of all other sources, and tested on the photos of this source.
Photos on the web differ from what a camera sees (domain shift; see fast.ai's book, chapter 2, "How to Avoid Disaster").
Random folds train and test on photos from the same sources, so they only measure the errors on photos like yours.
"""

import re
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bears.errors import DataError
from bears.learning.calibration import fit_temperature
from bears.learning.data import Split, folder_of, read_column, those
from bears.learning.head import apply_temperature, validation_logits
from bears.learning.metrics import count_errors, error_summary
from bears.train.evaluation import Result

LEAST = 20  # photos; all sources with fewer are tested together, as one source
REST = "smaller sources"
MAX_WRONG = 0.03  # the share of sure answers that may be wrong, in each source
CANDIDATES = np.arange(0.5, 1, 0.001)  # limits to try; an answer is sure if its probability reaches the limit


def find_sources(files: list[Path], args: Namespace) -> np.ndarray | None:
    """Return an array with each photo's source ("" if unknown), or None if there are fewer than two sources.

    Sources are read from the CSV file of the option `--sources` (columns file and source). The default of `--sources`
    is the attribution.csv that `python3 -m bears collect` writes. If a source is a URL, only the website counts. If
    there are several folders, a photo with an unknown source gets its folder as the source. Raises `DataError`.
    """
    if args.lesson:  # this recipe doesn't use sources
        return None
    given = read_sources(args.sources) if args.sources else None
    tables = {Path(folder): own_sources(Path(folder)) if given is None else given for folder in args.data}
    found = np.array([source_of(f, tables) for f in files])
    enough = len(set(found) - {""}) > 1
    if args.sources and not enough:
        where = those(args.data)
        raise DataError(
            f"{args.sources} must name at least two sources of the photos in {where}, in its column source."
        )
    return found if enough else None


def read_sources(table):
    """Read a CSV file into a dict from each photo's name to its source. Raises `DataError`."""
    return {name: as_source(source) for name, source in read_column(table, "source").items()}


def own_sources(folder):
    """Read a folder's attribution.csv as `read_sources` does. If the file can't be read, return an empty dict."""
    try:
        return read_sources(folder / "attribution.csv")
    except DataError:
        return {}


def source_of(file, tables):
    folder = folder_of(file, tables)
    unknown = folder.as_posix() if len(tables) > 1 else ""
    return tables[folder].get(file.relative_to(folder).as_posix()) or unknown


def as_source(text):
    """Return the website if the text is a URL, else the text without spaces around it."""
    address = re.match("https?://([^/?#]+)", text)
    return address[1] if address else text.strip()


def split_by_source(sources: np.ndarray, groups: np.ndarray, targets: np.ndarray) -> dict[str, Split]:
    """Return a dict from each source to a split that tests on this source and trains on all other sources.

    `valid_idx` has the source's photos. `train_idx` has the photos that are not from this source, except
    near-duplicates of this source's photos. A source is skipped if `train_idx` would lack a class.
    """
    names, counts = np.unique(sources[sources != ""], return_counts=True)
    large = dict(zip(names, counts >= LEAST))
    named = np.array([name if large.get(name) else REST if name else "" for name in sources])
    splits = {}
    for name in sorted(set(named) - {""}):
        valid = np.flatnonzero(named == name)
        train = np.flatnonzero((named != name) & ~np.isin(groups, groups[valid]))
        if set(targets[train]) == set(targets):
            splits[name] = train, valid
    return splits


def evaluate_by_source(result: Result, fit: Callable, groups: np.ndarray, args: Namespace) -> Result:
    """Count the errors on unseen sources, add them to `result.facts`, and calibrate the head of `result.learn`.

    `fit(train_idx, valid_idx)` trains a head. `args.sources` is from `find_sources`. Without sources, `result` is
    returned unchanged. In the calibration, each source has the same weight. Also sets two keys of `result.learn.ood`.
    `likely` is the threshold for the probability of sure answers. `earned` is the highest probability that the app
    shows.
    """
    if args.sources is None or len(result.files) < len(groups):  # no sources, or only the first fold was tested
        return result
    splits = split_by_source(args.sources, groups, result.targets.numpy())
    if not splits:
        return result
    judged = {name: validation_logits(fit(*split)) for name, split in splits.items()}
    temperature = fit_temperature(*map(torch.cat, zip(*judged.values())), [len(t) for _, t in judged.values()])
    probs = {name: ((logits / temperature).softmax(dim=1), targets) for name, (logits, targets) in judged.items()}
    likely = choose_likely(list(probs.values()))
    apply_temperature(result.learn.model[1][-1], temperature / result.temperature)
    rows = {name: describe_source(*judgement, likely) for name, judgement in probs.items()}
    # Laplace's rule of succession: a few right answers don't prove 100%. Each source counts equally.
    right = [(row["sure"] - row["sure_wrong"] + 1) / (row["sure"] + 2) for row in rows.values() if row["sure"]]
    earned = round(float(np.mean(right or likely)), 4)
    result.learn.ood |= {"likely": likely, "earned": earned}
    errors, photos, sure_wrong, sure = np.array([list(row.values()) for row in rows.values()]).sum(axis=0).tolist()
    result.facts["by_source"] = {
        **error_summary(errors, photos),
        "likely": likely,
        "earned": earned,
        "sources": rows,
    }
    if sure:
        result.facts["when_sure"] = error_summary(sure_wrong, sure)
    return result


def choose_likely(judged: list[tuple[torch.Tensor, torch.Tensor]], max_wrong: float = MAX_WRONG) -> float:
    """Return the lowest probability at which an answer can count as sure.

    In every source, at most the share `max_wrong` of the sure answers may be wrong. If no probability in `CANDIDATES`
    is high enough, return the highest. `judged` has a pair for each source: probabilities of the shape (photos,
    classes), and targets of the shape (photos,).
    """
    answers = [(probs.amax(dim=1).numpy(), (probs.argmax(dim=1) != targets).numpy()) for probs, targets in judged]
    good = (c for c in CANDIDATES if all(wrong[p >= c].sum() <= max_wrong * (p >= c).sum() for p, wrong in answers))
    return round(float(next(good, CANDIDATES[-1])), 3)


def describe_source(probs: torch.Tensor, targets: torch.Tensor, likely: float) -> dict:
    """Count a source's photos, errors, sure answers and wrong sure answers. `likely` is from `choose_likely`."""
    errors, photos = count_errors(probs, targets)
    sure = probs.amax(dim=1) >= likely
    sure_wrong, n_sure = count_errors(probs[sure], targets[sure])
    return {"errors": errors, "photos": photos, "sure_wrong": sure_wrong, "sure": n_sure}
