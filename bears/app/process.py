"""Run the model in a separate process, so that the app responds while the model loads, works or crashes.

Python runs only one thread at a time (the "global interpreter lock"). In a single process, uploads would wait for the
model. The model's process gets small images, which worker processes have decoded (bears/app/decode_workers.py).
"""

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
import threading
import time
import traceback
from multiprocessing.managers import BaseProxy
from pathlib import Path

from bears.app.batching import MAX_BATCH, Manager
from bears.app.decode_workers import DecodeWorkers, end_after
from bears.app.gradio_internals import find_caller
from bears.cli import start_process
from bears.errors import ExportError, NoModelError, PhotoError
from bears.model.heatmap import draw_heatmap

MAX_OPEN = 2 * MAX_BATCH  # decoded photos in memory; other photos wait as files
LOADING, ANSWERING = 600, 60  # seconds to load the model, and to answer; after that, the model's process is restarted
COMMAND = [sys.executable, "-u", "-m", "bears.app.batching"]  # -u: write its messages to the log at once

Manager.register("predictor")


class LearnerProcess:
    """Run a fastai Learner in another process. Any number of threads may call `predict`.

    If the process ends before `close` is called, it is started again.
    """

    def __init__(self, file, trust=False, strictness=1.0):
        self.file, self.trust, self.strictness = Path(file).absolute(), trust, strictness
        self.decode_workers = DecodeWorkers()
        self.open_at_once = threading.Semaphore(MAX_OPEN)
        self.starting = threading.Lock()
        self.latest, self.closed = None, False

    def start(self) -> "Started":
        """Start all processes that aren't running. Return the model's process. Raises `ExportError`."""
        with self.starting:
            if self.closed:
                raise ExportError("The app is closing.")
            if self.latest is None:
                self.decode_workers.start()
                self.latest = Started(self.file, self.trust, self.strictness)
                threading.Thread(target=self.start_again, daemon=True).start()
            elif self.latest.process.poll() is not None:
                self.latest.close()
                self.latest = Started(self.file, self.trust, self.strictness)
            return self.latest

    def start_again(self):
        """Start the model's process again whenever it ends, until `close` is called. Another thread runs this."""
        while not self.closed:
            ended = self.latest
            ended.process.wait()
            ended.close()
            time.sleep(1)  # otherwise, a process that always fails would keep a core busy
            with contextlib.suppress(ExportError):  # the next call of `predict` raises it again
                self.start()

    def load(self) -> None:
        """Wait until the model is loaded. Raises `ExportError`."""
        asked = self.start()
        stopped = ExportError("The model crashed while it was loading, most likely because memory ran out.")
        with asked.unless_it_died(stopped):
            asked.load()

    def predict(self, file: str, explain: bool = True) -> tuple:
        """Classify the photo in `file`. Return the tuple (probs, certainty, heatmap, limits, animals).

        `probs` is a dict from class to probability. `certainty` is the kind of answer, as in bears/model/answers.py.
        `heatmap` is the photo as an RGB image with the activation map drawn over it. It is None if `explain` is false,
        or if the model has no linear head. `limits` is a `Limits`: the highest probability to show, and the groups of
        similar classes. `animals` has a tuple (box, probs, certainty) for each animal if the photo shows several. A box
        is left, top, right and bottom, in fractions of the photo.

        Raises `ExportError`. Raises `PhotoError` for a bad photo, or if the model's process ends before it has
        classified the photo.
        """
        again = PhotoError("The model has just restarted", "Please send the photo again.")
        hung_up = find_caller()
        with self.open_at_once:
            photo = self.decode_workers.open(file, hung_up)
            asked = self.start()
            with asked.unless_it_died(again):
                probs, certainty, cam, *boxes, animals = asked.predict(photo)
            if explain:  # camera frames, which have no heatmap, aren't counted
                self.note(probs, certainty)
            heatmap = draw_heatmap(photo, cam, *boxes) if explain else None
            animals = [(in_fractions(box, photo.size), *answer) for box, *answer in animals]
            return probs, certainty, heatmap, asked.limits, animals

    def note(self, probs, certainty):
        """Do nothing. With --feedback, bears/app/feedback.py replaces this method to count answers."""

    def close(self):
        with self.starting:
            self.closed = True
            self.decode_workers.close()
            if self.latest:
                self.latest.close()


def in_fractions(box: tuple, size: tuple) -> list[float]:
    """Return a box in pixels as fractions of the width and height of its photo."""
    return [round(side / whole, 4) for side, whole in zip(box, 2 * size)]


class Started:
    """Start the model's process, and call the methods of its `Predictor`.

    Raises `ExportError` if the process can't start.
    """

    def __init__(self, file, trust, strictness):
        if not file.is_file():
            raise NoModelError(file)
        self.limits = None  # until the model is loaded
        job = {"file": str(file), "trust": trust, "strictness": strictness, "key": secrets.token_hex()}
        try:
            self.process = start_process(COMMAND, text=True)
            print(json.dumps(job), file=self.process.stdin, flush=True)
            with self.process.stdout as pipe:
                address, self.folder = json.loads(pipe.readline())
            manager = Manager(tuple(address) if isinstance(address, list) else address, job["key"].encode())
            manager.connect()
            self.predictor = manager.predictor()
            self.address = manager.address
        except (EOFError, OSError, ValueError):  # no memory for the process, or it ended while it started
            raise ExportError("Couldn't start the model. The app's log may show the reason.") from None

    def load(self):
        """Call `Predictor.load` in the model's process, and kill the process if the call takes too long."""
        if self.limits is None:
            with end_after(LOADING, self.process):
                self.limits = self.predictor.load()

    def predict(self, photo):
        """Call `Predictor.predict` in the model's process, and kill the process if the call takes too long."""
        self.load()
        with end_after(ANSWERING, self.process):
            return self.predictor.predict(photo)

    def close(self):
        """Kill the process if it is running, and delete its socket."""
        self.process.kill()
        forget_connections(self.address)
        self.predictor = Gone()  # frees the old `Predictor`, even if an error still refers to `self`
        with contextlib.suppress(OSError), self.process:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def unless_it_died(self, error):
        """Raise `error` if the `with` block loses its connection because the process has ended or is about to end."""
        try:
            yield
        except (EOFError, OSError) as e:
            traceback.clear_frames(e.__traceback__)  # the frames would keep this thread's connection open
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            if self.process.poll() is None:
                raise
            raise error from None


def forget_connections(address):
    """Close all threads' connections to an address, since multiprocessing keeps them until the program ends."""
    BaseProxy._address_to_local.pop(address, None)


class Gone:
    """Stand in for the `Predictor` of a process that has ended. Each call raises `EOFError`."""

    def load(self):
        raise EOFError

    def predict(self, photo):
        raise EOFError
