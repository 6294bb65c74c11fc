"""Ask one model for many people at once: photos that wait together go through it in one batch."""

import queue
import threading
from concurrent.futures import Future

MAX_BATCH = 8


class Predictor:
    """Answers `predict` from any number of threads; `learn.predict` itself is not safe from two (fastai #3385).

    One worker thread owns the Learner. It takes whatever photos are waiting, up to `MAX_BATCH`: a lone photo goes
    through `learn.predict`, several through the same transforms and the network once.
    """

    def __init__(self, file):
        self.file = file
        self.learn = None
        self.waiting = queue.SimpleQueue()
        self.loading = threading.Lock()

    def load(self):
        """Open the export and start the worker; later calls return at once. Raises `ExportError`."""
        with self.loading:
            if self.learn is None:
                from bears.export import open_export  # torch and fastai take seconds to import; the page does not wait

                self.learn = open_export(self.file)
                threading.Thread(target=self.work, daemon=True).start()

    def predict(self, photo):
        """Probabilities of an RGB PIL image as a dict from label to float, once the model is loaded."""
        self.load()
        answer = Future()
        self.waiting.put((photo, answer))
        return answer.result()

    def work(self):
        while True:
            batch = self.take()
            try:
                answers = self.ask([photo for photo, _ in batch])
            except Exception as e:  # whoever waits must hear of it, and the next batch must still be served
                for _, answer in batch:
                    answer.set_exception(e)
            else:
                for (_, answer), value in zip(batch, answers):
                    answer.set_result(value)

    def take(self):
        """Wait for a photo, then take along all others that have come meanwhile."""
        batch = [self.waiting.get()]
        while len(batch) < MAX_BATCH and not self.waiting.empty():
            batch.append(self.waiting.get())
        return batch

    def ask(self, photos):
        learn = self.learn
        if len(photos) == 1:
            _, _, probs = learn.predict(photos[0])
            rows = [probs]
        else:
            rows, _ = learn.get_preds(dl=learn.dls.test_dl(photos, bs=MAX_BATCH, num_workers=0))
        return [dict(zip(learn.dls.vocab, row.tolist())) for row in rows]
