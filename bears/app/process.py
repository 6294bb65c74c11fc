"""Keep the model in a process of its own, so that the page answers while the model thinks, loads or crashes.

Python runs one thread at a time (its "global interpreter lock"): in one process, uploads and the network would wait
for each other at every step. And should a hostile file ever bring a decoder down, only this process goes with it.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from multiprocessing.managers import BaseManager
from multiprocessing.util import get_temp_dir
from pathlib import Path

from bears.errors import ExportError, PhotoError
from bears.lifecycle import STOP_SIGNALS

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-u", "-m", "bears.app.process"]  # -u: what it prints is in the log at once


class Manager(BaseManager):
    """Carries calls and answers between the two processes, through a local socket that needs a key."""


class PredictorProcess:
    """A `Predictor` that lives in another process; safe from any number of threads, started by the first call."""

    def __init__(self, file, trust=False):
        self.file, self.trust = Path(file).absolute(), trust
        self.starting = threading.Lock()
        self.latest = None

    def start(self) -> "Started":
        """Start a process if there is none, or if it has died; returns the `Started` one. Raises `ExportError`."""
        with self.starting:
            if self.latest is None or self.latest.process.poll() is not None:
                self.latest = Started(self.file, self.trust)
            return self.latest

    def load(self) -> None:
        """Wait until the model is loaded. Raises `ExportError`."""
        asked = self.start()
        stopped = ExportError("The model stopped while it was loaded: most likely the memory is full.")
        with asked.unless_it_died(stopped):
            asked.predictor.load()

    def predict(self, file: str) -> tuple:
        """`Predictor.predict`; also raises `PhotoError` when the process died while it had the photo."""
        asked = self.start()
        again = PhotoError("The model stopped at this moment and starts anew", "Please send the photo again.")
        with asked.unless_it_died(again):
            return asked.predictor.predict(file)


class Started:
    """One process, from its start to its end; `predictor` speaks for the `Predictor` in it."""

    def __init__(self, file, trust):
        """Raises `ExportError` when it cannot start."""
        job = {"file": str(file), "trust": trust, "key": secrets.token_hex()}
        try:
            self.process = subprocess.Popen(
                COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
            print(json.dumps(job), file=self.process.stdin, flush=True)
            with self.process.stdout as pipe:
                address = json.loads(pipe.readline())
            manager = Manager(tuple(address) if isinstance(address, list) else address, job["key"].encode())
            manager.connect()
            self.predictor = manager.predictor()
        except (EOFError, OSError, ValueError):  # no room for it, or it ended while it started
            raise ExportError("The model's process could not start; it may have said why above.") from None

    @contextlib.contextmanager
    def unless_it_died(self, error):
        """Raise `error` instead of what a process causes that is gone, or goes within a second."""
        try:
            yield
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
            if self.process.poll() is None:
                raise
            raise error from None


def serve(pipe, file, trust, key):
    """What the other process does: answer calls until the first process is gone, however it went.

    The first line in `pipe` is the address for them.
    """
    from bears.app.batching import Predictor

    predictor = Predictor(file, trust)
    Manager.register("predictor", callable=lambda: predictor, exposed=("load", "predict"))
    server = Manager(authkey=key.encode()).get_server()
    with pipe:
        print(json.dumps(server.address), file=pipe)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # ends when the first process does
    shutil.rmtree(get_temp_dir(), ignore_errors=True)  # with the socket in it, which a sudden end would leave behind
    os._exit(0)  # whatever the model is at


Manager.register("predictor")

if __name__ == "__main__":
    for stop in (signal.SIGINT, *STOP_SIGNALS):  # are for the first process, which takes this one along
        signal.signal(stop, signal.SIG_IGN)
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a model prints belongs in the log: nobody reads the pipe once it has brought the address
    serve(pipe, **json.loads(sys.stdin.readline()))
