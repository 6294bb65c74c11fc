"""Save results next to the output file during a run, so that you can continue an interrupted run.

Each process of each run writes its own file, such as `predictions.csv.1.part`. The first line of a `.part` file
describes the run. Each later line is one result in JSON, a list that begins with the photo's key. Lines are sorted by
key, so that merging the files needs little memory.
"""

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


class Journal:
    """Save the rows of the output file `to` during a run. A row is a list that begins with its key.

    `about` describes the run. Raises `PredictError` if saved rows are from a run with another description.
    """

    def __init__(self, to, about):
        self.to, self.about = to, json.dumps(about) + "\n"

    def part(self, n):
        return Path(f"{self.to}.{n}.part")

    def parts(self):
        return [part for part in takewhile(os.path.lexists, map(self.part, count(1))) if part.is_file()]

    def read(self, part):
        with part.open(encoding="ascii", errors="replace") as lines:
            about = next(lines, "")
            if about != self.about and about.endswith("\n"):  # a first line that is cut off is from a full disk
                raise PredictError(
                    f"{part} is left over from a run with another model, options or photos. Finish that run, delete"
                    " this file, or choose another output with --out."
                )
            for line in lines:
                with suppress(ValueError):  # a line that was cut off when the power failed
                    yield json.loads(line)

    def rows(self):
        """Return an iterator of all saved rows, sorted by key. If two rows have the same key, only one is used."""
        rows = heapq.merge(*map(self.read, self.parts()), key=itemgetter(0))
        return (next(same) for _, same in groupby(rows, itemgetter(0)))

    def remaining(self, keys):
        done = {key for key, *_ in self.rows()}
        return [key for key in keys if key not in done]

    @contextmanager
    def appending(self) -> Iterator:
        """Open a new file. The `with` block gets a function that appends a row to the file. Raises `PredictError`."""
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
