"""Ask one model for many people at once: photos that wait together go through it in one batch."""

import asyncio
import contextlib
import os
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from bears.heatmap import draw_heatmap
from bears.photo import open_photo

MAX_BATCH = 4  # a larger batch is no faster on two cores and takes more memory


class Predictor:
    """Answers any number of callers at once: one thread owns the model, one per core opens photos for it.

    The worker takes whatever photos are waiting, up to `MAX_BATCH`, so that a busy model runs full batches and an
    idle one never lets a lone photo wait. Photos that come before the model is loaded wait for it.
    """

    def __init__(self, file, trust=False):
        self.file, self.trust = file, trust
        self.waiting = queue.SimpleQueue()
        self.openers = ThreadPoolExecutor(os.cpu_count())
        self.worker = threading.Thread(target=self.work, daemon=True)
        self.loaded = Future()
        self.callers = 0  # in `predict` just now; only the event loop changes it

    def load(self):
        """Start to load the model, once; the returned Future tells when it is done, or raises `ExportError`."""
        with contextlib.suppress(RuntimeError):  # it was started before
            self.worker.start()
        return self.loaded

    async def predict(self, file):
        """What the model makes of the photo in `file`; a triple.

        `probs` is a dict from label to probability, `known` says whether the photo shows any of the classes at all,
        `heatmap` is the photo with the evidence for the top class laid over it, or nothing.
        Raises `PhotoError` and `ExportError`.
        """
        self.callers += 1
        try:
            return await self.open_ask_draw(file)
        finally:
            self.callers -= 1

    async def open_ask_draw(self, file):
        loop = asyncio.get_running_loop()
        photo = await loop.run_in_executor(self.openers, open_photo, file)
        await asyncio.shield(asyncio.wrap_future(self.load()))  # shielded: all others wait for the same load
        probs, known, cam = await asyncio.wrap_future(self.submit(photo))
        return probs, known, await loop.run_in_executor(self.openers, draw_heatmap, photo, cam)

    def submit(self, photo):
        """Queue an upright RGB PIL image for the model; returns a Future of (probs, known, cam)."""
        answer = Future()
        self.waiting.put((photo, answer))
        return answer

    def work(self):
        try:
            from bears.inference import Model  # imports torch and fastai, which take longer than the page may

            model = Model(self.file, self.trust)
        except Exception as e:
            self.loaded.set_exception(e)
            return
        self.loaded.set_result(model)
        while True:
            photos, answers = zip(*self.take())
            settle(answers, model, list(photos), alone=self.callers == 1)

    def take(self):
        """Wait for a photo, then take along all others that have come meanwhile, but none that nobody waits for."""
        batch = []
        with contextlib.suppress(queue.Empty):
            while len(batch) < MAX_BATCH:
                photo, answer = self.waiting.get(block=not batch)
                if answer.set_running_or_notify_cancel():
                    batch.append((photo, answer))
        return batch


def settle(answers, model, photos, alone):
    """Give each Future its share of what the model says, or what it raises: somebody waits for every one."""
    try:
        for answer, result in zip(answers, model.ask(photos, alone), strict=True):
            answer.set_result(result)
    except Exception as e:
        for answer in answers:
            if not answer.done():
                answer.set_exception(e)
