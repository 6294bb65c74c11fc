"""Store collected photos in a folder, and list their authors in attribution.csv, as free licences require."""

import csv
from pathlib import Path

from bears.errors import DataError
from bears.files import write_whole
from bears.photos import list_photos
from bears.text import as_table, printable, read_table
from tqdm import tqdm

COLUMNS = ["file", "title", "creator", "license", "license_url", "source", "url"]


class Collection:
    """Store photos below `folder`, with a row for each photo in attribution.csv.

    A photo's row is written before the photo. If a run is interrupted before it has written the photo, the next run
    removes the row. Raises `DataError` if another program wrote attribution.csv.
    """

    def __init__(self, folder):
        self.folder, self.table = folder, folder / "attribution.csv"
        rows = self.read()
        # File names are hashes, so a photo is still found after `bears.clean` has moved it to another folder.
        there = {f.stem: f.relative_to(folder).as_posix() for f in list_photos(folder)} if rows else {}
        placed = [row | {"file": there[stem]} for row in rows if (stem := Path(row["file"]).stem) in there]
        self.rows = {row["file"]: row for row in placed}
        self.places = {key: file for file, row in self.rows.items() for key in (row["url"], Path(file).stem)}
        if placed != rows:
            self.write()

    def read(self):
        try:
            rows = read_table(self.table)
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError, csv.Error):
            rows = [{}]
        if any(row.keys() != set(COLUMNS) or None in row.values() for row in rows):
            raise DataError(f"{self.table} was not written by this command. Move it elsewhere and try again.")
        return rows

    def count(self, label):
        return sum(Path(file).parent == Path(label) for file in self.rows)

    def has(self, key, label):
        """Return whether any class has a photo with this URL or hash.

        If another class than `label` has the photo, print that it stays in that class.
        """
        place = self.places.get(key)
        if place and Path(place).parent.name != label:
            tqdm.write(printable(f"{place} also came up for {label}; it stays where it is"))
        return place is not None

    def keep(self, label, result, sha256, jpeg):
        """Store a photo and its row in attribution.csv. Return 1, or 0 if the photo was already stored."""
        name = sha256[:16]
        if self.has(name, label):
            return 0
        file = f"{label}/{name}.jpg"
        # Each value becomes a single line, since titles and names may contain line breaks.
        self.rows[file] = {column: " ".join(str(result.get(column) or "").split()) for column in COLUMNS}
        self.rows[file]["file"] = file
        self.places |= {result["url"]: file, name: file}
        self.write()
        (self.folder / label).mkdir(exist_ok=True)
        write_whole(self.folder / file, jpeg)
        return 1

    def write(self):
        rows = ([row[column] for column in COLUMNS] for row in self.rows.values())
        write_whole(self.table, as_table(COLUMNS, rows, line_end="\n"))
