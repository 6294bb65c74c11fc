"""Keep the progress next to the output file, so that an interruption only loses the photos in progress.

Every process of every run appends to a file of its own, `predictions.csv.1.part` and so on. Its first line says what
the run is about; then there is a line of JSON for each key. All of them are in the order of the keys, so that merging
them takes no memory.
"""

import hashlib
import heapq
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, groupby, takewhile
from operator import itemgetter
from pathlib import Path

from bears.errors import PredictError

KEPT = "Finished photos are kept; run the same command again to continue."


def digest(file):
    """Return the first half of the SHA-256 of a file."""
    sha256 = hashlib.sha256()
    try:
        with open(file, "rb") as f:
            while piece := f.read(2**20):
                sha256.update(piece)
        return sha256.hexdigest()[:32]
    except OSError as e:
        raise PredictError(f"{file} can't be read ({e.strerror}). Choose another file.") from None


class Journal:
    """The rows of the file `to`: lists, each of which starts with its key. `about` is what must be the same again."""

    def __init__(self, to, about):
        self.to, self.about = to, json.dumps(about) + "\n"

    def part(self, n):
        return Path(f"{self.to}.{n}.part")

    def parts(self):
        return [part for part in takewhile(os.path.lexists, map(self.part, count(1))) if part.is_file()]

    def read(self, part):
        with part.open(encoding="ascii", errors="replace") as lines:
            about = next(lines, "")
            if about != self.about and about.endswith("\n"):  # without, the disk was full at the first line
                raise PredictError(
                    f"{part} is left over from a run with another model, options or photos. Finish that run, delete"
                    " this file, or choose another output with --out."
                )
            for line in lines:
                with suppress(ValueError):  # the end of a line is missing where the power failed
                    yield json.loads(line)

    def rows(self):
        """All rows, in the order of their keys; one of each, should the command have been given twice at once."""
        rows = heapq.merge(*map(self.read, self.parts()), key=itemgetter(0))
        return (next(same) for _, same in groupby(rows, itemgetter(0)))

    def remaining(self, keys):
        done = {key for key, *_ in self.rows()}
        return [key for key in keys if key not in done]

    @contextmanager
    def appending(self) -> Iterator:
        """A function that adds a row, to a file that no other process and no earlier run has."""
        for part in map(self.part, count(1)):
            with suppress(FileExistsError):
                file = part.open("x", encoding="ascii")
                break
        try:
            with file:
                file.write(self.about)
                yield lambda *row: print(json.dumps(row), file=file, flush=True)
        except OSError as e:
            raise PredictError(f"{part} can't be written ({e.strerror}). Free some disk space there. {KEPT}") from None

    def delete(self):
        for part in self.parts():
            part.unlink()
