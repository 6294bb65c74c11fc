"""Count the app's answers per day, by class, kind of answer and probability.

Only these counts are stored: no photos, IP addresses or single answers.
"""

import csv
import threading
import time
from collections import Counter
from contextlib import suppress

from bears.errors import ExportError
from bears.files import write_whole
from bears.model.answers import STEPS, likeliest
from bears.text import as_table, read_table

COLUMNS = ("day", "model", "answer", "certainty", "probability", "count")
EVERY = 60  # seconds between two writes of the file
MAX_DAYS = 400  # counts of older days are dropped


class Counts:
    """Count the answers of one `version` of the model, and write the counts to a CSV file."""

    def __init__(self, file, version):
        self.file, self.version, self.lock = file, version, threading.Lock()
        self.counter, self.written = read(file), time.monotonic()

    def note(self, probs, certainty):
        """Count one answer. `probs` is a dict from class to probability. `certainty` is the kind, such as `unsure`."""
        label = likeliest(probs)
        step = min(STEPS - 1, int(probs[label] * STEPS)) / STEPS
        with self.lock:
            self.counter[time.strftime("%Y-%m-%d"), self.version, label, certainty, str(step)] += 1
        if time.monotonic() - self.written > EVERY:
            self.write()

    def write(self):
        """Write the counts of the latest `MAX_DAYS` days to the file.

        If the file can't be written, keep the counts in memory and try again later.
        """
        self.written = time.monotonic()
        with self.lock:
            days = sorted({day for day, *_ in self.counter})[-MAX_DAYS:]
            rows = sorted((*key, count) for key, count in self.counter.items() if key[0] in days)
        with suppress(ExportError):
            write_whole(self.file, as_table(COLUMNS, rows))


def read(file):
    """Return the counts that an earlier run wrote, or an empty Counter if they can't be read."""
    try:
        rows = read_table(file)
        return Counter({tuple(row[name] for name in COLUMNS[:-1]): int(row["count"]) for row in rows})
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        return Counter()
