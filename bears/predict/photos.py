"""Photos that are classified as they are: a row of a table (CSV) for each."""

import csv

from bears.app.wording import headline
from bears.errors import PredictError
from bears.files import whole
from bears.photo import open_photo
from bears.photos import list_photos


class Photos:
    """The photos that `list_photos` finds in a folder; or one photo. Their names are the keys."""

    unit, about = "photos", {}

    def __init__(self, path):
        self.folder, photos = (path.parent, [path]) if path.is_file() else (path, list_photos(path, tell=print))
        self.keys = sorted(photo.relative_to(self.folder).as_posix() for photo in photos)
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
