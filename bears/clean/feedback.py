"""Review what visitors have sent to the app (`app --feedback`): disagreements first, and nothing is learnt from before.

A photo that is confirmed moves from `unreviewed` to `reviewed`, in the folder of its class; what shows none of the
classes moves to `negatives`.
"""

import csv
from pathlib import Path

from bears.clean.decisions import Decisions
from bears.clean.ranking import DISAGREE, RankedPhoto
from bears.errors import DataError
from bears.model.wording import percent
from bears.photos import NONE_OF_THESE, NOT_KNOWN, UNREVIEWED
from bears.text import from_cells

REVIEWED, NEGATIVES = "reviewed", "negatives"


def find_tables(folder: Path) -> list[Path]:
    """The lists of visitors' photos in a folder: that of an app, or those of its runs on a Space."""
    return sorted([*folder.glob(f"{UNREVIEWED}/metadata.csv"), *folder.glob(f"*/{UNREVIEWED}/metadata.csv")])


def read_rows(folder: Path) -> dict[str, dict]:
    """Return what is known of each photo that waits for a review, by its name below the folder. Raises `DataError`."""
    rows = {}
    for table in find_tables(folder):
        try:
            with table.open(newline="", encoding="utf-8-sig") as f:
                listed = {row["file_name"]: row for row in map(from_cells, csv.DictReader(f))}
                [float(row["probability"]) and row["visitor"] and row["answer"] for row in listed.values()]
        except (OSError, KeyError, TypeError, ValueError, csv.Error):
            raise DataError(f"{table} cannot be read: the app writes it; restore it from a copy.") from None
        rows |= {(table.parent / name).relative_to(folder).as_posix(): row for name, row in listed.items()}
    return {name: row for name, row in rows.items() if (folder / name).is_file()}


def label_of(row):
    """Return what a photo shows if nobody objects: what the visitor says, or else the model."""
    return row["answer"] if row["visitor"] == NOT_KNOWN else row["visitor"]


def rank_feedback(folder: Path) -> dict[str, list[RankedPhoto]]:
    """Rank visitors' photos: those about which visitor and model disagree come first, the surest answers before others.

    Returns a dict from every class, and `none of these`, to its photos.
    """
    rows = read_rows(folder)
    ranked = sorted((describe(name, row) for name, row in rows.items()), key=lambda photo: photo.score)
    classes = {label for row in rows.values() for label in (row["answer"], label_of(row))}
    classes |= {f.name for f in folder.glob(f"{UNREVIEWED}/*") if f.is_dir()}
    labels = [*sorted(classes - {NONE_OF_THESE, NOT_KNOWN}), NONE_OF_THESE]
    return {label: [photo for photo in ranked if photo.label == label] for label in labels}


def describe(name, row):
    """A photo with what visitor and model say of it."""
    sure, differ = float(row["probability"]), row["visitor"] not in (row["answer"], NOT_KNOWN)
    says = f"the visitor says {row['visitor']}, the model {row['answer']}, {percent(sure)}"
    score = (1 - sure) / 2 if differ else (1 + sure) / 2
    found = frozenset({DISAGREE} if differ else ())
    return RankedPhoto(name, label_of(row), score, says, found, row["answer"], None)


class Reviewed(Decisions):
    """Steps with visitors' photos: whatever is confirmed leaves the folder of those that nobody has looked at."""

    def __init__(self, folder):
        super().__init__(folder)
        self.labels = {name: label_of(row) for name, row in read_rows(Path(folder)).items()}

    def keep(self, name):
        """Confirm what a photo is said to show."""
        self.move(name, self.labels[name])

    def move(self, name, label):
        """Confirm that a photo shows a class, or none of them."""
        goal = Path(NEGATIVES) if label == NONE_OF_THESE else Path(REVIEWED, label)
        self.take("move", name, (goal / Path(name).name).as_posix())
