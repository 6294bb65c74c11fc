"""Keep the model in a process of its own, so that the page answers while the model thinks, loads or crashes.

Python runs one thread at a time (its "global interpreter lock"): in one process, uploads and the network would wait
for each other at every step. The model gets small pictures, which other processes have opened
(bears/app/decode_workers.py).
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
from bears.errors import ExportError, NoModelError, PhotoError
from bears.model.heatmap import draw_heatmap

ROOT = Path(__file__).parents[2]
MAX_OPEN = 2 * MAX_BATCH  # photos in memory, in the model or ready for it; all others wait as files
LOADING, ANSWERING = 600, 60  # seconds that the model may take for either, before it is ended and started again
COMMAND = [sys.executable, "-u", "-m", "bears.app.batching"]  # -u: what it prints is in the log at once

Manager.register("predictor")


class LearnerProcess:
    """A fastai Learner in another process, with a `predict` of its own; safe from any number of threads.

    `start` it before the first call. The process is started again whenever it ends, until `close`.
    """

    def __init__(self, file, trust=False, strictness=1.0):
        self.file, self.trust, self.strictness = Path(file).absolute(), trust, strictness
        self.decode_workers = DecodeWorkers()
        self.open_at_once = threading.Semaphore(MAX_OPEN)
        self.callers, self.counting = 0, threading.Lock()  # in `predict` just now
        self.starting = threading.Lock()
        self.latest, self.closed = None, False

    def start(self) -> "Started":
        """Start all processes that do not run; returns the `Started` one of the model. Raises `ExportError`."""
        with self.starting:
            if self.closed:
                raise ExportError("The page is closing.")
            if self.latest is None:
                self.decode_workers.start()
                self.latest = Started(self.file, self.trust, self.strictness)
                threading.Thread(target=self.start_again, daemon=True).start()
            elif self.latest.process.poll() is not None:
                self.latest.close()
                self.latest = Started(self.file, self.trust, self.strictness)
            return self.latest

    def start_again(self):
        """Wait for the model's process to end, and start another one; a thread does so as long as this program runs."""
        while not self.closed:
            ended = self.latest
            ended.process.wait()
            ended.close()
            time.sleep(1)  # one that ends as soon as it starts leaves the core to the page
            with contextlib.suppress(ExportError):  # the next photo says why
                self.start()

    def load(self) -> None:
        """Wait until the model is loaded. Raises `ExportError`."""
        asked = self.start()
        stopped = ExportError("The model crashed while it was loading, most likely because memory ran out.")
        with asked.unless_it_died(stopped):
            asked.load()

    def predict(self, file: str, explain: bool = True) -> tuple:
        """Ask the model about the photo in `file`, and return a tuple of four.

        `probs` is a dict from label to probability; `certainty` is one of the answers of bears/model/answers.py.
        `heatmap` is the photo with the evidence for the top class laid over the square that this is about. It has an
        outline around the square or the animal; it is nothing without `explain`. The `Limits` of the model are last.
        Raises `ExportError`; and `PhotoError`, also when the model stopped while it had the photo.
        """
        again = PhotoError("The model has just restarted", "Please send the photo again.")
        hung_up = find_caller()
        with self.counted(), self.open_at_once:
            photo = self.decode_workers.open(file, hung_up)
            asked = self.start()
            with asked.unless_it_died(again):
                probs, certainty, cam, *boxes = asked.predict(photo, alone=self.callers == 1)
            if explain:  # a camera's pictures are not counted
                self.note(probs, certainty)
            return probs, certainty, draw_heatmap(photo, cam, *boxes) if explain else None, asked.limits

    def note(self, probs, certainty):
        """Do nothing about an answer; bears/app/feedback.py puts something else here where answers are counted."""

    @contextlib.contextmanager
    def counted(self):
        with self.counting:
            self.callers += 1
        try:
            yield
        finally:
            with self.counting:
                self.callers -= 1

    def close(self):
        """End all processes."""
        with self.starting:
            self.closed = True
            self.decode_workers.close()
            if self.latest:
                self.latest.close()


class Started:
    """One process, from its start to its end; `predictor` speaks for the `Predictor` in it."""

    def __init__(self, file, trust, strictness):
        """Raises `ExportError` when it cannot start."""
        if not file.is_file():
            raise NoModelError(file)
        self.limits = None  # until it is loaded
        job = {"file": str(file), "trust": trust, "strictness": strictness, "key": secrets.token_hex()}
        try:
            self.process = subprocess.Popen(
                COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
            print(json.dumps(job), file=self.process.stdin, flush=True)
            with self.process.stdout as pipe:
                address, self.folder = json.loads(pipe.readline())
            manager = Manager(tuple(address) if isinstance(address, list) else address, job["key"].encode())
            manager.connect()
            self.predictor = manager.predictor()
            self.address = manager.address
        except (EOFError, OSError, ValueError):  # no room for it, or it ended while it started
            raise ExportError("Couldn't start the model. See above for the reason, if there is one.") from None

    def load(self):
        """`Predictor.load`; a process that takes too long is ended."""
        if self.limits is None:
            with end_after(LOADING, self.process):
                self.limits = self.predictor.load()

    def predict(self, photo, alone):
        """`Predictor.predict`; a process that gives no answer is ended."""
        self.load()
        with end_after(ANSWERING, self.process):
            return self.predictor.predict(photo, alone)

    def close(self):
        """End the process if it runs, and remove its socket."""
        self.process.kill()
        forget_connections(self.address)
        self.predictor = Gone()  # errors that were raised meanwhile still know `self`
        with contextlib.suppress(OSError), self.process:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def unless_it_died(self, error):
        """Raise `error` instead of the exception that a process causes when it dies, if it is dead within a second."""
        try:
            yield
        except (EOFError, OSError) as e:
            traceback.clear_frames(e.__traceback__)  # they keep this thread's connection open
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            if self.process.poll() is None:
                raise
            raise error from None


def forget_connections(address):
    """Drop every thread's connection to an address, which multiprocessing keeps in a private dict until we end."""
    BaseProxy._address_to_local.pop(address, None)


class Gone:
    """Speaks for the `Predictor` in a process that has ended."""

    def load(self):
        raise EOFError

    def predict(self, photo, alone):
        raise EOFError
