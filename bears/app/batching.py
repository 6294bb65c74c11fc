"""Classify photos of several visitors in one batch.

bears/app/process.py starts this module as a separate process, which runs the model.
"""

import contextlib
import gc
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

from bears.cli import STOP_SIGNALS, without_gc

MAX_BATCH = 4  # a larger batch is no faster on two cores and takes more memory


class Predictor:
    """Classify photos in batches. Any number of threads may call `predict`.

    Only one thread uses the model. A batch has all photos that are waiting, up to `MAX_BATCH`. A single photo never
    waits for others to fill a batch. All photos wait until the model is loaded.
    """

    def __init__(self, file, trust=False, strictness=1.0):
        self.file, self.trust, self.strictness = file, trust, strictness
        self.waiting = queue.SimpleQueue()
        self.loaded = Future()
        threading.Thread(target=self.work, daemon=True).start()

    def load(self):
        """Wait until the model is loaded, and return its `Limits`. Raises `ExportError`."""
        return self.loaded.result()

    def predict(self, photo):
        """Classify an upright RGB image. Return the tuple that `Classifier.ask` gives. Raises `ExportError`."""
        self.load()
        return self.submit(photo).result()

    def submit(self, photo):
        """Queue a photo for the model. Return a `Future` that will have the answer."""
        answer = Future()
        self.waiting.put((photo, answer))
        return answer

    def work(self):
        try:
            with without_gc():
                # Importing torch takes seconds. In this thread, the import doesn't delay the start of the app.
                from bears.model.classifier import Classifier

                model = Classifier(self.file, self.trust, strictness=self.strictness)
        except Exception as e:
            self.loaded.set_exception(e)
            return
        gc.freeze()  # otherwise, each full garbage collection would check a million objects, while photos wait
        self.loaded.set_result(model.limits)
        while True:
            photos, answers = zip(*self.take())
            answer_all(answers, model, list(photos))

    def take(self):
        """Wait for a photo. Return a list of all waiting photos with their Futures, up to `MAX_BATCH`."""
        batch = [self.waiting.get()]
        with contextlib.suppress(queue.Empty):
            while len(batch) < MAX_BATCH:
                batch.append(self.waiting.get_nowait())
        return batch


def answer_all(answers, model, photos):
    """Classify photos. Put the results, or the exception if the model fails, into the Futures `answers`."""
    try:
        for answer, result in zip(answers, model.ask(photos), strict=True):
            answer.set_result(result)
    except Exception as e:
        for answer in answers:
            if not answer.done():
                answer.set_exception(e)


class Manager(BaseManager):
    """Connect the app's process and the model's process through a local socket that needs a key."""


def serve(pipe, file, trust, strictness, key):
    """Answer calls in the model's process until the main process ends or crashes.

    First write a line to `pipe`, a JSON list: the address of the socket for calls, and the folder that contains this
    socket.
    """
    predictor = Predictor(file, trust, strictness)
    Manager.register("predictor", callable=lambda: predictor, exposed=("load", "predict"))
    server = Manager(authkey=key.encode()).get_server()
    with pipe:
        print(json.dumps([server.address, get_temp_dir()]), file=pipe)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # returns when the main process has ended
    shutil.rmtree(get_temp_dir(), ignore_errors=True)  # this folder has the socket
    os._exit(0)  # at once, even if the model is busy


if __name__ == "__main__":
    for stop in (signal.SIGINT, *STOP_SIGNALS):  # the main process handles signals, and ends this process
        signal.signal(stop, signal.SIG_IGN)
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a model prints goes to the log, not into the pipe
    serve(pipe, **json.loads(sys.stdin.readline()))
