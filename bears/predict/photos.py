"""Photos that are classified as they are: a row of a table (CSV) for each."""

import csv
import os
from pathlib import Path

from bears.app.wording import headline
from bears.errors import PredictError
from bears.files import whole
from bears.photo import EXTENSIONS, open_photo


class Photos:
    """The photos in a folder and all folders in it, but hidden ones; or one photo. Their names are the keys."""

    unit, about = "photos", {}

    def __init__(self, path):
        self.folder, self.keys = (path.parent, [path.name]) if path.is_file() else (path, find_photos(path))
        if not self.keys:
            raise PredictError(f"There are no photos in {path}: name another folder.")

    def open(self, name):
        return [open_photo(self.folder / name)]

    def row(self, answers, facts):
        [(probs, certainty, *_)] = answers
        return headline(probs, certainty, facts), certainty, *(round(prob, 4) for prob in probs.values())

    def write(self, to, rows, model, file):
        """Write the table; returns how many photos could not be opened."""
        classes, failed = list(model.learn.dls.vocab), 0
        # Names need not be UTF-8; they come out as they came in.
        with whole(to) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(["file", "verdict", "certainty", *classes])
            for row in rows:
                failed += len(row) == 2
                writer.writerow(row if len(row) > 2 else [*row, *[""] * (1 + len(classes))])
        return failed


def find_photos(folder: Path) -> list[str]:
    """The names of all photos in a folder, relative to it and sorted."""
    names = []
    for at, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        photos = (Path(at, name) for name in files if Path(name).suffix.lower() in EXTENSIONS and name[0] != ".")
        names += [photo.relative_to(folder).as_posix() for photo in photos]
    return sorted(names)


def refuse(e):
    raise PredictError(f"{e.filename} cannot be read ({e.strerror}): change that, or name another folder.")
