"""Review the photos that visitors sent to the app (`app --feedback`).

If you confirm a photo, it moves from `unreviewed` to the folder of its class in `reviewed`. A photo of none of the
classes moves to `negatives`. Training only uses the photos in `reviewed` and `negatives`.
"""

import csv
from pathlib import Path

from bears.clean.decisions import Decisions
from bears.clean.ranking import DISAGREE, RankedPhoto
from bears.errors import DataError
from bears.model.wording import percent
from bears.photos import NONE_OF_THESE, NOT_KNOWN, UNREVIEWED
from bears.text import read_table

REVIEWED, NEGATIVES = "reviewed", "negatives"


def find_tables(folder: Path) -> list[Path]:
    """Return the metadata.csv files in a feedback folder: one of a local app, or one for each run of a Space."""
    return sorted([*folder.glob(f"{UNREVIEWED}/metadata.csv"), *folder.glob(f"*/{UNREVIEWED}/metadata.csv")])


def read_rows(folder: Path) -> dict[str, dict]:
    """Return a dict from the path of each photo that waits for review to the photo's row in metadata.csv.

    Raises `DataError`.
    """
    rows = {}
    for table in find_tables(folder):
        try:
            listed = {row["file_name"]: row for row in read_table(table)}
            [float(row["probability"]) and row["visitor"] and row["answer"] for row in listed.values()]
        except (OSError, KeyError, TypeError, ValueError, csv.Error):
            raise DataError(f"{table} can't be read. Restore it from a copy, or correct it by hand.") from None
        rows |= {(table.parent / name).relative_to(folder).as_posix(): row for name, row in listed.items()}
    return {name: row for name, row in rows.items() if (folder / name).is_file()}


def label_of(row):
    """Return the label to suggest: the visitor's answer, or the model's if the visitor didn't know."""
    return row["answer"] if row["visitor"] == NOT_KNOWN else row["visitor"]


def rank_feedback(folder: Path) -> dict[str, list[RankedPhoto]]:
    """Rank visitors' photos. Photos about which the visitor and the model disagree come first.

    Returns a dict from each class, and from `none of these`, to the ranked photos with this suggested label.
    """
    rows = read_rows(folder)
    ranked = sorted((describe(name, row) for name, row in rows.items()), key=lambda photo: photo.score)
    classes = {label for row in rows.values() for label in (row["answer"], label_of(row))}
    classes |= {f.name for f in folder.glob(f"{UNREVIEWED}/*") if f.is_dir()}
    labels = [*sorted(classes - {NONE_OF_THESE, NOT_KNOWN}), NONE_OF_THESE]
    return {label: [photo for photo in ranked if photo.label == label] for label in labels}


def describe(name, row):
    """Return a `RankedPhoto` that says how the visitor and the model answered."""
    sure, differ = float(row["probability"]), row["visitor"] not in (row["answer"], NOT_KNOWN)
    says = f"the visitor says {row['visitor']}, the model {row['answer']}, {percent(sure)}"
    score = (1 - sure) / 2 if differ else (1 + sure) / 2
    found = frozenset({DISAGREE} if differ else ())
    return RankedPhoto(name, label_of(row), score, says, found, row["answer"], None)


class Reviewed(Decisions):
    """Log your decisions about visitors' photos, and move each confirmed photo out of `unreviewed`."""

    def __init__(self, folder):
        super().__init__(folder)
        self.labels = {name: label_of(row) for name, row in read_rows(Path(folder)).items()}

    def keep(self, name):
        """Confirm the suggested label of a photo."""
        self.move(name, self.labels[name])

    def move(self, name, label):
        """Confirm that a photo shows the class `label`, or none of the classes."""
        goal = Path(NEGATIVES) if label == NONE_OF_THESE else Path(REVIEWED, label)
        self.take("move", name, (goal / Path(name).name).as_posix())
