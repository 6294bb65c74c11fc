"""Ask one model for many people at once: photos that wait together go through it in one batch."""

import queue
import threading
from concurrent.futures import Future

MAX_BATCH = 8


class Predictor:
    """Answers `predict` from any number of threads, through one worker thread that owns the model.

    The worker takes whatever photos are waiting, up to `MAX_BATCH`, so that a busy model runs full batches and an
    idle one never lets a lone photo wait.
    """

    def __init__(self, file, trust=False):
        self.file = file
        self.trust = trust
        self.model = None
        self.waiting = queue.SimpleQueue()
        self.loading = threading.Lock()

    def load(self):
        """Open the export and start the worker; later calls return at once. Raises `ExportError`."""
        with self.loading:
            if self.model is None:
                from bears.inference import Model  # imports torch and fastai, which take longer than the page may

                self.model = Model(self.file, self.trust)
                threading.Thread(target=self.work, daemon=True).start()

    def predict(self, photo):
        """What the model makes of an upright RGB PIL image, once it is loaded; a triple.

        `probs` is a dict from label to probability, `known` says whether the photo shows any of the classes at all,
        `cam` is the activation map of the top class, a tensor (h, w), or nothing.
        """
        self.load()
        answer = Future()
        self.waiting.put((photo, answer))
        return answer.result()

    def work(self):
        while True:
            photos, answers = zip(*self.take())
            try:
                results = self.model.ask(list(photos))
            except Exception as e:  # whoever waits must hear of it, and the next batch must still be served
                for answer in answers:
                    answer.set_exception(e)
            else:
                for answer, result in zip(answers, results):
                    answer.set_result(result)

    def take(self):
        """Wait for a photo, then take along all others that have come meanwhile."""
        batch = [self.waiting.get()]
        while len(batch) < MAX_BATCH and not self.waiting.empty():
            batch.append(self.waiting.get())
        return batch
