"""What is done so far, beside the file that it is for: an interruption costs the photos that were just looked at.

Every process of every run appends to a file of its own, `predictions.csv.1.part` and so on: a line that says what the
run is about, and a line of JSON for each key. All of them are in the order of the keys, so that merging them takes no
memory.
"""

import hashlib
import heapq
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count, groupby, takewhile
from operator import itemgetter
from pathlib import Path

from bears.errors import PredictError


def digest(file):
    """The first half of the SHA-256 of a file."""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:32]
    except OSError as e:
        raise PredictError(f"{file} cannot be read ({e.strerror}): name another.") from None


class Journal:
    """The rows of the file `to`: lists, each of which starts with its key. `about` is what must be the same again."""

    def __init__(self, to, about):
        self.to, self.about = to, json.dumps(about) + "\n"

    def part(self, n):
        return Path(f"{self.to}.{n}.part")

    def parts(self):
        return list(takewhile(Path.exists, map(self.part, count(1))))

    def read(self, part):
        with part.open(encoding="ascii", errors="replace") as lines:
            if next(lines, self.about) != self.about:
                raise PredictError(
                    f"{part} is of a run with another model or other photos: give that command again, delete this file,"
                    " or name another with --to."
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
        with file:
            file.write(self.about)
            yield lambda *row: print(json.dumps(row), file=file, flush=True)

    def delete(self):
        for part in self.parts():
            part.unlink()
