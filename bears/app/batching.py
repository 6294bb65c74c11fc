"""Ask one model for many people at once: photos that wait together go through it in one batch.

This module is also the program of the process that has the model, which bears/app/process.py starts.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import sys
import threading
from concurrent.futures import Future
from multiprocessing.managers import BaseManager
from multiprocessing.util import get_temp_dir

from bears.cli import STOP_SIGNALS

MAX_BATCH = 4  # a larger batch is no faster on two cores and takes more memory


class Predictor:
    """Answers any number of threads at once: one more thread owns the model.

    The worker takes whatever photos are waiting, up to `MAX_BATCH`, so that a busy model runs full batches and an
    idle one never lets a lone photo wait. Photos that come before the model is loaded wait for it.
    """

    def __init__(self, file, trust=False, strictness=1.0):
        self.file, self.trust, self.strictness = file, trust, strictness
        self.waiting = queue.SimpleQueue()
        self.loaded = Future()
        threading.Thread(target=self.work, daemon=True).start()

    def load(self):
        """Wait until the model is loaded, and return its `Limits`. Raises `ExportError`."""
        return self.loaded.result()

    def predict(self, photo, alone):
        """Return `Classifier.ask`'s answer for an upright RGB image; `alone`: nobody waits. Raises `ExportError`."""
        self.load()
        return self.submit(photo, alone).result()

    def submit(self, photo, alone):
        """Queue a photo for the model; returns a Future of what `Classifier.ask` says of it."""
        answer = Future()
        self.waiting.put((photo, alone, answer))
        return answer

    def work(self):
        try:
            from bears.model.classifier import (
                Classifier,  # imports torch and fastai: seconds in which photos can be opened
            )

            model = Classifier(self.file, self.trust, strictness=self.strictness)
        except Exception as e:
            self.loaded.set_exception(e)
            return
        self.loaded.set_result(model.limits)
        while True:
            photos, alone, answers = zip(*self.take())
            answer_all(answers, model, list(photos), all(alone))

    def take(self):
        """Wait for a photo, then take along all others that have come meanwhile."""
        batch = [self.waiting.get()]
        with contextlib.suppress(queue.Empty):
            while len(batch) < MAX_BATCH:
                batch.append(self.waiting.get_nowait())
        return batch


def answer_all(answers, model, photos, alone):
    """Give each Future its share of what the model says, or what it raises: somebody waits for every one."""
    try:
        for answer, result in zip(answers, model.ask(photos, alone), strict=True):
            answer.set_result(result)
    except Exception as e:
        for answer in answers:
            if not answer.done():
                answer.set_exception(e)


class Manager(BaseManager):
    """Carries calls and answers between the two processes, through a local socket that needs a key."""


def serve(pipe, file, trust, strictness, key):
    """Run the model's process: answer calls until the first process is gone, for whatever reason.

    The first line in `pipe` has the address for the calls, and the folder of that address.
    """
    predictor = Predictor(file, trust, strictness)
    Manager.register("predictor", callable=lambda: predictor, exposed=("load", "predict"))
    server = Manager(authkey=key.encode()).get_server()
    with pipe:
        print(json.dumps([server.address, get_temp_dir()]), file=pipe)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # ends when the first process does
    shutil.rmtree(get_temp_dir(), ignore_errors=True)  # with the socket in it, which a sudden end would leave behind
    os._exit(0)  # whatever the model is at


if __name__ == "__main__":
    for stop in (signal.SIGINT, *STOP_SIGNALS):  # are for the first process, which takes this one along
        signal.signal(stop, signal.SIG_IGN)
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a model prints belongs in the log: nobody reads the pipe once it has brought the address
    serve(pipe, **json.loads(sys.stdin.readline()))
