"""Test two models on the same photos, and find the errors of each."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bears.errors import DataError, ExportError
from bears.learning.data import check_folder, in_threads
from bears.learning.metrics import paired_interval, photos_needed
from bears.model.answers import NONE, UNSURE, Limits, find_group, likeliest
from bears.model.classifier import Classifier
from bears.model.metadata import read_facts
from bears.model.photo import open_or_none
from bears.model.runtime import CORES
from bears.model.wording import headline
from bears.photos import list_photos
from bears.text import print_line
from fastai.data.transforms import parent_label

FALSE_YES, FALSE_NO, WRONG_CLASS = "false yes", "false no", "wrong class"
BATCH = 8  # photos that are opened and classified together
OTHER = ""  # the label of negatives


@dataclass
class Answer:
    verdict: str
    error: str  # FALSE_YES, FALSE_NO, WRONG_CLASS or ""
    unsure: bool


@dataclass
class Comparison:
    """Hold the answers of two models about the same photos. `labels` are the photos' actual classes."""

    files: list[Path]
    labels: list[str]
    old: list[Answer]
    new: list[Answer]
    skipped: int  # files that could not be opened

    @cached_property
    def differing(self) -> list[int]:
        """Return the positions of photos that only one model gets wrong. The new model's errors come first."""
        wrong = [(bool(a.error), bool(b.error)) for a, b in zip(self.old, self.new)]
        return sorted((i for i, (a, b) in enumerate(wrong) if a != b), key=lambda i: wrong[i][0])

    @property
    def fixed(self) -> int:
        """Return how many photos only the old model gets wrong."""
        return sum(bool(self.old[i].error) for i in self.differing)

    @property
    def broken(self) -> int:
        """Return how many photos only the new model gets wrong."""
        return len(self.differing) - self.fixed

    @property
    def interval(self) -> tuple[float, float]:
        return paired_interval(self.fixed, self.broken, len(self.files))

    @property
    def verdict(self) -> str:
        """Return `better` or `worse` for the new model, or `cannot tell` if there are too few photos to know."""
        low, high = self.interval
        return "better" if high < 0 else "worse" if low > 0 else "cannot tell"

    @property
    def needed(self) -> int:
        return photos_needed(self.fixed, self.broken, len(self.files))


def count(answers: list[Answer]) -> Counter:
    """Count how often each kind of error occurs in a model's answers."""
    return Counter(answer.error for answer in answers if answer.error)


def compare(old: Path, new: Path, photos: Path, negatives: Path | None = None, trust: bool = False) -> Comparison:
    """Test two exports on `photos`, a folder with one subfolder per class, and on `negatives`. Raises `BearsError`."""
    models = [Model(file, trust) for file in (old, new)]
    labels = {f: parent_label(f) for f in check_folder(photos, tell=print_line)}
    check_classes(photos, set(labels.values()), {label for model in models for label in model.vocab})
    labels |= dict.fromkeys(list_photos(negatives, tell=print_line) if negatives else [], OTHER)
    answers = list(ask(models, labels))
    if not answers:
        raise DataError(f"No photo in {photos} can be opened. Give a folder with one subfolder of photos per class.")
    files, (olds, news) = [f for f, *_ in answers], zip(*(pair for _, *pair in answers))
    return Comparison(files, [labels[f] for f in files], list(olds), list(news), len(labels) - len(files))


def check_classes(photos, found, known):
    """Raise `DataError` if there are no photos, or if a folder's name is a class of neither model."""
    if not found:
        raise DataError(f"There are no photos in {photos}. Give a folder with one subfolder of photos per class.")
    if unknown := sorted(found - known):
        raise DataError(
            f"No model has the class {unknown[0]}. Rename its folder in {photos} to one of {', '.join(sorted(known))}."
            " Or, if it shows other things, give it with --negatives."
        )


def ask(models: list["Model"], labels: dict[Path, str]) -> Iterator[tuple]:
    """Yield each photo that can be opened, followed by the `Answer` of each model."""
    files = list(labels)
    for start in range(0, len(files), BATCH):
        some = files[start : start + BATCH]
        opened = [(f, photo) for f, photo in zip(some, in_threads(open_or_none, some)) if photo]
        answers = [model.answer([p for _, p in opened], [labels[f] for f, _ in opened]) for model in models]
        yield from zip([f for f, _ in opened], *answers)


class Model:
    """Classify photos with an export, as the app does."""

    def __init__(self, file, trust):
        if not file.is_file():
            raise ExportError(f"There is no model {file}. Give the export.pkl that train.py wrote.")
        self.classifier, self.facts = Classifier(file, trust, threads=CORES), read_facts(file)
        self.vocab = list(self.classifier.learn.dls.vocab)

    def answer(self, photos, labels):
        asked = self.classifier.ask(photos) if photos else []
        limits = self.classifier.limits
        return [
            Answer(
                headline(probs, certainty, self.facts, limits),
                find_error(label, probs, certainty, limits),
                certainty == UNSURE,
            )
            for label, (probs, certainty, *_) in zip(labels, asked)
        ]


def find_error(label: str, probs: dict[str, float], certainty: str, limits: Limits) -> str:
    """Return the kind of error in an answer about a photo of the class `label`, or "" if the answer is right.

    If the model doesn't have the class `label`, the answers "none of the classes" and "not sure" are right. If the
    model has the class, "none of the classes" is wrong. Other answers are right if `label` is the likeliest class, or
    in the group that the answer names.
    """
    if certainty == NONE:
        return FALSE_NO if label in probs else ""
    if label not in probs:
        return "" if certainty == UNSURE else FALSE_YES
    named = find_group(probs, certainty, limits.groups) or [likeliest(probs)]
    return "" if label in named else WRONG_CLASS
