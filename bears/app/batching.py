"""Ask one model for many people at once: photos that wait together go through it in one batch."""

import contextlib
import queue
import threading
from concurrent.futures import Future

from bears.app.heatmap import draw_heatmap
from bears.photo import open_photo
from joblib import cpu_count

MAX_BATCH = 4  # a larger batch is no faster on two cores and takes more memory


class Predictor:
    """Answers any number of threads at once: one more thread owns the model, photos are opened one per core.

    The worker takes whatever photos are waiting, up to `MAX_BATCH`, so that a busy model runs full batches and an
    idle one never lets a lone photo wait. Photos that come before the model is loaded wait for it.
    """

    def __init__(self, file, trust=False):
        self.file, self.trust = file, trust
        self.waiting = queue.SimpleQueue()
        self.opening = threading.Semaphore(cpu_count())
        self.loaded = Future()
        self.callers, self.counting = 0, threading.Lock()  # in `predict` just now
        threading.Thread(target=self.work, daemon=True).start()

    def load(self):
        """Wait until the model is loaded. Raises `ExportError`."""
        self.loaded.result()

    def predict(self, file):
        """What the model makes of the photo in `file`; a triple.

        `probs` is a dict from label to probability, `in_distribution` says whether the photo shows any of the classes
        at all, `heatmap` is the photo with the evidence for the top class laid over it, or nothing.
        Raises `PhotoError` and `ExportError`.
        """
        with self.counted():
            with self.opening:
                photo = open_photo(file)
            self.load()
            probs, in_distribution, cam = self.submit(photo).result()
            return probs, in_distribution, draw_heatmap(photo, cam)

    @contextlib.contextmanager
    def counted(self):
        with self.counting:
            self.callers += 1
        try:
            yield
        finally:
            with self.counting:
                self.callers -= 1

    def submit(self, photo):
        """Queue an upright RGB PIL image for the model; returns a Future of (probs, in_distribution, cam)."""
        answer = Future()
        self.waiting.put((photo, answer))
        return answer

    def work(self):
        try:
            from bears.app.model import Model  # imports torch and fastai: seconds in which photos can be opened

            model = Model(self.file, self.trust)
        except Exception as e:
            self.loaded.set_exception(e)
            return
        self.loaded.set_result(None)
        while True:
            photos, answers = zip(*self.take())
            answer_all(answers, model, list(photos), alone=self.callers == 1)

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
