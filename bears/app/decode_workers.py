"""Open photos in worker processes, which don't import torch and can be stopped at any time.

A hostile photo can crash a decoder, or take much time or memory. In a worker process, a hostile photo only blocks one
core for a few seconds.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import time

from bears.cli import start_process
from bears.errors import PhotoError
from joblib import cpu_count
from PIL import Image

COMMAND = [sys.executable, "-m", "bears.app.decode_worker"]
DEADLINE = 10  # seconds to open a photo, as in imgproxy; 50 megapixels take at most 3 seconds on an idle core
# Use one thread and one arena of malloc, since each reserves memory, and a worker's memory is limited.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class DecodeWorkers:
    """Open photos in one worker process per core. Any number of threads may call `open`."""

    def __init__(self):
        self.idle, self.all = queue.SimpleQueue(), [DecodeWorker() for _ in range(cpu_count())]
        for worker in self.all:
            self.idle.put(worker)

    def open(self, file, hung_up, **options):
        """Call `open_photo(file, **options)` in a worker and return the photo.

        If `hung_up()` returns true, nobody is waiting for the photo, so stop the worker. Raises `PhotoError`, for
        example if the photo takes too much time or memory.
        """
        worker = self.idle.get()
        try:
            worker.start()
            return worker.open(file, hung_up, options)
        except OSError:
            raise PhotoError("The server has no memory left to open photos", "Please try again in a minute.") from None
        finally:
            with contextlib.suppress(OSError):
                worker.start()
            self.idle.put(worker)

    def start(self):
        for worker in self.all:
            with contextlib.suppress(OSError):  # `open` tries again
                worker.start()

    def close(self):
        for worker in self.all:
            worker.close()


class DecodeWorker:
    """Run one worker process. The method `start` starts the process again if it has ended."""

    process = None

    def start(self):
        """Start the process if it isn't running. Raises `OSError` if the process can't start."""
        if self.process and self.process.poll() is not None:
            self.close()
        if not self.process:
            self.process = start_process(COMMAND, env={**os.environ, **ENVIRONMENT})

    def open(self, file, hung_up, options):
        start = time.monotonic()
        with end_after(DEADLINE, self.process, hung_up):
            head, pixels = self.ask(file, options)
        if "size" in head and len(pixels) == 3 * head["size"][0] * head["size"][1]:
            return Image.frombytes("RGB", head["size"], pixels)
        if not head or head.get("spent"):
            self.close()
        if "refused" in head:
            raise PhotoError(*head["refused"])
        if time.monotonic() - start >= DEADLINE:
            raise PhotoError("This photo takes too long to open", "Please send a smaller copy.")
        raise PhotoError("Opening this photo failed", "Please send it again, or a smaller copy.")

    def ask(self, file, options):
        """Return the worker's answer: a dict, which is empty if the worker has ended, and the photo's pixels."""
        try:
            self.process.stdin.write(json.dumps([str(file), options]).encode() + b"\n")
            self.process.stdin.flush()
            head = json.loads(self.process.stdout.readline() or "{}")
        except (BrokenPipeError, ValueError):  # the process has ended, maybe in the middle of a line
            head = {}
        width, height = head.get("size", (0, 0))
        return head, self.process.stdout.read(3 * width * height)

    def close(self):
        """Stop the worker process if it is running."""
        if self.process:
            with contextlib.suppress(OSError), self.process as process:
                process.kill()
        self.process = None


@contextlib.contextmanager
def end_after(seconds, process, hung_up=lambda: False):
    """Kill `process` if the `with` block takes longer than `seconds`, or as soon as `hung_up()` returns true."""
    done, start = threading.Event(), time.monotonic()

    def watch():
        while not done.wait(0.2):
            if time.monotonic() - start >= seconds or hung_up():
                process.kill()
                process.wait()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
