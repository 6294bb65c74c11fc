"""Photos are opened in processes of their own, which import no torch and may be ended at any time.

A hostile photo can take a decoder's time, its memory or its life. Here that is a core for some seconds, and no more.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

from bears.errors import PhotoError
from joblib import cpu_count
from PIL import Image

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "bears.app.decode_worker"]
DEADLINE = 10  # seconds, as imgproxy has it: 50 megapixels take three at most on a core of their own
# Each thread of theirs would set memory aside, of which these processes may have little.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


class DecodeWorkers:
    """Opens photos in as many processes as there are cores; safe from any number of threads."""

    def __init__(self):
        self.idle, self.all = queue.SimpleQueue(), [DecodeWorker() for _ in range(cpu_count())]
        for opener in self.all:
            self.idle.put(opener)

    def open(self, file, hung_up, **options):
        """`open_photo(file, **options)`; the process is ended when `hung_up()` says that nobody waits any more.

        Raises `PhotoError`, also when the photo takes more time or memory than a photo may.
        """
        opener = self.idle.get()
        try:
            opener.start()
            return opener.open(file, hung_up, options)
        except OSError:
            raise PhotoError("The server has no memory left to open photos", "Please try again in a minute.") from None
        finally:
            with contextlib.suppress(OSError):
                opener.start()
            self.idle.put(opener)

    def start(self):
        for opener in self.all:
            with contextlib.suppress(OSError):  # the first photo tries again
                opener.start()

    def close(self):
        for opener in self.all:
            opener.close()


class DecodeWorker:
    """One process, and the one that takes its place."""

    process = None

    def start(self):
        """Start the process unless it runs. Raises `OSError`."""
        if self.process and self.process.poll() is not None:
            self.close()
        if not self.process:
            env = {**os.environ, **ENVIRONMENT}
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(COMMAND, cwd=ROOT, env=env, stdin=pipe, stdout=pipe, start_new_session=True)

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
        """Return what the process writes: a dict, which is empty if the process is gone, and pixels."""
        try:
            self.process.stdin.write(json.dumps([str(file), options]).encode() + b"\n")
            self.process.stdin.flush()
            head = json.loads(self.process.stdout.readline() or "{}")
        except (BrokenPipeError, ValueError):  # it is gone, maybe in the middle of the line
            head = {}
        width, height = head.get("size", (0, 0))
        return head, self.process.stdout.read(3 * width * height)

    def close(self):
        """End the process, if there is one."""
        if self.process:
            with contextlib.suppress(OSError), self.process as process:
                process.kill()
        self.process = None


@contextlib.contextmanager
def end_after(seconds, process, hung_up=lambda: False):
    """End `process` if the block takes longer than so many seconds, or when `hung_up()` says that nobody waits."""
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
