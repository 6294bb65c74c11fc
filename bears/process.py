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
from bears.tidy import STOPS

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-m", "bears.process"]


class Manager(BaseManager):
    """Carries calls and answers between the two processes, through a local socket that needs a key."""


class PredictorProcess:
    """A `Predictor` that lives in another process; safe from any number of threads, started by the first call."""

    def __init__(self, file, trust=False):
        self.file, self.trust = Path(file).absolute(), trust
        self.starting = threading.Lock()
        self.process = None

    def start(self):
        """Start the process if there is none, or if it has died; returns what speaks for the `Predictor` in it.

        Raises `ExportError` when it cannot start.
        """
        with self.starting:
            if self.process is None or self.process.poll() is not None:
                key = secrets.token_hex()
                self.process = subprocess.Popen(
                    COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
                )
                job = {"file": str(self.file), "trust": self.trust, "key": key}
                print(json.dumps(job), file=self.process.stdin, flush=True)
                if not (address := self.process.stdout.readline()):
                    raise ExportError("The model's process could not start; it may have said why above.")
                address = json.loads(address)
                manager = Manager(tuple(address) if isinstance(address, list) else address, key.encode())
                manager.connect()
                self.predictor = manager.predictor()
            return self.predictor

    def load(self):
        """Wait until the model is loaded. Raises `ExportError`."""
        predictor = self.start()
        with self.unless_it_died(ExportError("The model stopped while it was loaded: most likely the memory is full.")):
            predictor.load()

    def predict(self, file):
        """`Predictor.predict`; also raises `PhotoError` when the process died while it had the photo."""
        predictor = self.start()
        again = PhotoError("The model stopped at this moment and starts anew. Please send the photo again.")
        with self.unless_it_died(again):
            return predictor.predict(file)

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


def serve(file, trust, key):
    """What the other process does: answer calls until the first process is gone, however it went."""
    from bears.predictor import Predictor

    predictor = Predictor(file, trust)
    Manager.register("predictor", callable=lambda: predictor, exposed=("load", "predict"))
    server = Manager(authkey=key.encode()).get_server()
    print(json.dumps(server.address), flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # ends when the first process does
    shutil.rmtree(get_temp_dir(), ignore_errors=True)  # with the socket in it, which a sudden end would leave behind
    os._exit(0)  # whatever the model is at


Manager.register("predictor")

if __name__ == "__main__":
    for stop in (signal.SIGINT, *STOPS):  # are for the first process, which takes this one along
        signal.signal(stop, signal.SIG_IGN)
    serve(**json.loads(sys.stdin.readline()))
