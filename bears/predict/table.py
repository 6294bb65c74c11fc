"""Classify whole photos, and write a table (CSV) with one row per photo."""

import csv
import os
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path

from bears.errors import PhotoError, PredictError
from bears.files import whole
from bears.model.answers import NONE
from bears.model.photo import SIDE, open_photo
from bears.model.wording import headline
from bears.photos import list_photos
from bears.predict.journal import KEPT
from bears.text import print_line, to_cells
from PIL import Image


class Photos:
    """Classify all photos in a folder, or one photo. The attribute `keys` has photo names. Raises `PredictError`."""

    unit, about = "photos", {}
    detect = True  # whether the model uses its detector; false in subclasses that crop animals

    def __init__(self, path):
        self.folder, photos = (path.parent, [path]) if path.is_file() else (path, list_photos(path, tell=print_line))
        self.keys = sorted(photo.relative_to(self.folder).as_posix() for photo in photos)
        if not self.keys:
            raise PredictError(f"There are no photos in {path}. Choose another folder.")

    def open(self, name):
        photo = self.folder / name
        return [open_or_stop(photo, SIDE, lambda: is_empty(photo.parent))]

    def row(self, pictures, answers, facts, limits):
        [(probs, certainty, *_)] = answers
        verdict, status = headline(probs, certainty, facts, limits), "no_match" if certainty == NONE else certainty
        return verdict, status, *(round(prob, 4) for prob in probs.values())

    def write(self, to, rows, model, file):
        """Write the table. Return the number of photos that couldn't be opened."""
        classes, failed = list(model.learn.dls.vocab), 0
        # Excel only recognizes UTF-8 by a byte order mark. Names that are not UTF-8 are written byte for byte.
        with whole(to) as part, TextIOWrapper(part, "utf-8-sig", "surrogateescape", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(to_cells(["file", "verdict", "status", *classes, "error"]))
            for row in rows:
                failed += len(row) == 2
                writer.writerow(to_cells(complete(row, len(classes))))
        return failed


def complete(row, classes):
    """Return the cells of a row. A `row` of two values is a photo's name and the reason why it can't be opened."""
    name, *rest = row
    return [*row, ""] if len(row) > 2 else [name, "", "error", *[""] * classes, *rest]


def open_or_stop(photo: Path, side: int, are_gone: Callable[[], bool]) -> Image.Image:
    """Open a photo with `open_photo`. Raises `PredictError` if the photo is gone and `are_gone()` returns true.

    `are_gone()` returns whether all other photos are gone, too. If a memory card is removed, the run stops, instead of
    adding an error for each photo on the card.
    """
    try:
        if not os.path.isfile(photo):  # gone, or a pipe, which may be endless
            raise PhotoError("This photo is no longer here")
        return open_photo(photo, side)
    except PhotoError:
        if not os.path.isfile(photo) and are_gone():
            raise PredictError(f"{photo} and others are gone. Put the card or drive back. {KEPT}") from None
        raise


def is_empty(folder):
    """Return whether a folder is gone or empty."""
    try:
        return not os.listdir(folder)
    except OSError:
        return True
