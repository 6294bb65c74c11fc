"""Compare a model's probabilities for visitors' photos and for known photos."""

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from bears.errors import DataError, ExportError
from bears.files import version_of
from bears.model.answers import STEPS, SURE
from bears.model.classifier import Classifier
from bears.model.photo import open_or_none
from bears.model.runtime import CORES
from bears.photos import list_photos
from bears.text import read_table
from scipy.stats import mannwhitneyu

LEAST = 30  # answers that are needed about known photos, and the same number about visitors' photos
SMALL = 0.06  # how far `Drift.lower` must be from one half to count as drift: Cohen's small effect


@dataclass
class Answers:
    """Count answers by probability (rounded down to a step of 1/`STEPS`), by kind, and by day."""

    steps: np.ndarray = field(default_factory=lambda: np.zeros(STEPS, int))
    kinds: Counter = field(default_factory=Counter)
    days: dict[str, Counter] = field(default_factory=dict)

    def add(self, probability, certainty, count=1, day=""):
        self.steps[min(STEPS - 1, int(round(probability * STEPS, 6)))] += count
        self.kinds[certainty] += count
        self.days.setdefault(day, Counter())[certainty] += count

    @property
    def total(self):
        return int(self.steps.sum())

    @property
    def sure(self):
        """Return the share of sure answers."""
        return self.kinds[SURE] / max(1, self.total)


@dataclass
class Drift:
    lower: float  # share of pairs (visitor's photo, known photo) in which the visitor's has the lower probability
    interval: tuple[float, float]  # the 95% interval of `lower`
    p: float  # the p-value of the Mann-Whitney test
    enough: bool  # whether there are enough answers about known photos, and about visitors' photos

    @property
    def found(self) -> bool:
        return self.enough and abs(self.lower - 0.5) >= SMALL and not self.interval[0] <= 0.5 <= self.interval[1]


def read_counts(log: Path, model: Path) -> Answers:
    """Read the counts of the app's answers with `model` from `log`, which is counts.csv or its folder.

    Raises `DataError`.
    """
    log, answers = log / "counts.csv" if log.is_dir() else log, Answers()
    try:
        version = version_of(model)
        for row in read_table(log):
            if row["model"] == version:
                answers.add(float(row["probability"]), row["certainty"], int(row["count"]), row["day"])
    except FileNotFoundError as e:
        what = "Give the folder of `app --feedback`" if Path(e.filename) == log else "Choose an export with --model"
        raise DataError(f"There is no {e.filename}. {what}.") from None
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        raise DataError(f"{log} can't be read. Give the counts.csv that `app --feedback` writes.") from None
    if not answers.total:
        raise DataError(f"{log} has no answer of {model}. Choose the export that the app serves with --model.")
    return answers


def ask(model: Path, photos: Path) -> Answers:
    """Classify all photos in a folder, and count the answers. Raises `BearsError`."""
    if not model.is_file():
        raise ExportError(f"There is no model {model}. Choose another with --model.")
    classifier, answers = Classifier(model, threads=CORES), Answers()
    for photo in filter(None, map(open_or_none, list_photos(photos) if photos.is_dir() else [])):
        [(probs, certainty, *_)] = classifier.ask([photo])
        answers.add(max(probs.values()), certainty)
    if not answers.total:
        raise DataError(f"There are no photos in {photos}. Give a folder of photos that the model was made for.")
    return answers


def compare(known: Answers, visitors: Answers) -> Drift:
    """Compare the probabilities of known and visitors' photos by a Mann-Whitney test, with Hanley-McNeil intervals."""
    ours, theirs = (np.repeat(np.arange(STEPS), answers.steps) for answers in (known, visitors))
    n, m = len(ours), len(theirs)
    test = mannwhitneyu(ours, theirs, method="asymptotic") if len(set(ours) | set(theirs)) > 1 else None
    a = float(test.statistic / (n * m)) if test else 0.5
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = 1.96 * np.sqrt((a * (1 - a) + (m - 1) * (q1 - a * a) + (n - 1) * (q2 - a * a)) / (n * m))
    interval = max(0.0, float(a - error)), min(1.0, float(a + error))
    return Drift(a, interval, float(test.pvalue) if test else 1.0, min(n, m) >= LEAST)
