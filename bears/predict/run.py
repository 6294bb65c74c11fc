"""Ask a model about many photos, the next of which are opened meanwhile."""

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from bears import distributed
from bears.errors import PhotoError
from bears.model.classifier import CORES
from bears.model.metadata import read_facts

BATCH = 4  # pictures of one photo that go through the network at once; an answer does not depend on other photos
OPENERS = max(1, CORES // 2)  # threads that open photos while the model has the other cores
AHEAD = 2 * OPENERS  # photos that wait for the model, opened
EVERY = 60  # seconds between two lines of progress, once it has run for as long


def opened(keys, open_key):
    """Each key with what `open_key` makes of it, or the `PhotoError` that it raises; a few are opened ahead."""
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
    """Yield what an iterator gives, as lists of `BATCH`."""
    while batch := list(islice(pictures, BATCH)):
        yield batch


def ask_all(keys, total, task, model, file, journal):
    """Put a row for each key into the journal; `total` counts the keys of all processes. Returns an empty list."""
    facts, progress = read_facts(file), Progress(total, task.unit)
    with journal.appending() as append:
        for key, pictures in opened(keys, task.open):
            if isinstance(pictures, PhotoError):
                append(key, pictures.reason)
            else:
                answers = [answer for batch in batches(iter(pictures)) for answer in model.ask(batch, False)]
                append(key, *task.row(pictures, answers, facts, model.limits))
            progress.count()
    progress.print()
    return []


class Progress:
    """How far all processes are, by how far this one is."""

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
