"""Classify many photos, while other threads open the next photos."""

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from bears import distributed
from bears.errors import PhotoError
from bears.model.metadata import read_facts
from bears.model.runtime import THREADS

BATCH = 4  # crops in a batch, all from one photo, so that answers don't depend on other photos
OPENERS = THREADS  # threads that open photos
AHEAD = 2 * OPENERS  # opened photos that wait for the model
EVERY = 60  # seconds between two progress lines; the first lines come sooner


def opened(keys, open_key):
    """Open photos in other threads. Yield each key with the result of `open_key(key)`, or with its `PhotoError`."""
    with ThreadPoolExecutor(OPENERS) as pool:
        waiting = deque()
        for key in keys:
            waiting.append((key, pool.submit(open_key, key)))
            if len(waiting) > AHEAD:
                yield result(*waiting.popleft())
        while waiting:
            yield result(*waiting.popleft())


def result(key, future):
    try:
        return key, future.result()
    except PhotoError as e:
        return key, e


def batches(pictures):
    """Yield the items of an iterator in lists of at most `BATCH` items."""
    while batch := list(islice(pictures, BATCH)):
        yield batch


def ask_all(keys, total, task, model, file, journal):
    """Classify the photo of each key, and add its row to the journal.

    `total` is the number of keys of all processes. `file` is the export.pkl of `model`.
    """
    facts, progress = read_facts(file), Progress(total, task.unit)
    with journal.appending() as append:
        for key, pictures in opened(keys, task.open):
            if isinstance(pictures, PhotoError):
                append(key, pictures.reason)
            else:
                answers = [answer for batch in batches(iter(pictures)) for answer in model.ask(batch)]
                append(key, *task.row(pictures, answers, facts, model.limits))
            progress.count()
    progress.print()


class Progress:
    """Print the progress of all processes, estimated from the progress of this process."""

    def __init__(self, total, unit):
        self.total, self.unit = total, unit
        self.done, self.start, self.next = 0, time.monotonic(), 5

    def count(self):
        self.done += distributed.WORLD_SIZE
        elapsed = time.monotonic() - self.start
        if elapsed >= self.next:
            self.next = elapsed + min(elapsed, EVERY)
            self.print()

    def print(self):
        rate = self.done / max(0.001, time.monotonic() - self.start)
        left = max(0, self.total - self.done) / max(rate, 1e-9) / 60
        done = min(self.done, self.total)
        print(f"{done:,} of {self.total:,} {self.unit}, {rate:.1f} a second, {left:.0f} minutes to go", flush=True)
