"""The program that opens photos for the page, one after another: `python -m bears.app.decode_worker`.

It reads paths with options, each a line of JSON, and answers with a line of JSON and, if that has a size, the pixels
behind it. No pickle comes out of where strangers' bytes have been.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading

import pillow_heif
from bears.cli import limit_memory
from bears.errors import PhotoError
from bears.model.photo import open_photo
from PIL import AvifImagePlugin

MAX_MEMORY = 1_200_000_000  # bytes of address space, which no photo within the limits of bears/model/photo.py needs


@contextlib.contextmanager
def one_at_a_time():
    """Wait until no other process decodes a large photo, which takes hundreds of megabytes."""
    try:
        import fcntl  # Windows has none
    except ImportError:
        yield
        return
    with open(__file__, "rb") as lock:  # any file does that all these processes can open
        with contextlib.suppress(OSError):  # some network drives cannot
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_jobs(jobs):
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(0)  # the page is gone, whatever this process is at


def answer(file, options, pipe):
    """Write what has become of the photo in `file`; `options` are those of `open_photo`."""
    try:
        photo = open_photo(file, in_turn=one_at_a_time, **options)
        head, pixels = {"size": photo.size}, photo.tobytes()
    except PhotoError as e:
        head, pixels = {"refused": e.args, "spent": isinstance(e.__context__, MemoryError)}, b""
    pipe.write(json.dumps(head).encode() + b"\n" + pixels)
    pipe.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # without a traceback
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a decoder prints belongs in the log
    # One thread each: there is a process per core, and threads set memory aside.
    AvifImagePlugin.DEFAULT_MAX_THREADS = pillow_heif.options.DECODE_THREADS = 1
    limit_memory(MAX_MEMORY)
    jobs = queue.SimpleQueue()
    threading.Thread(target=read_jobs, args=[jobs], daemon=True).start()
    while True:
        answer(*jobs.get(), pipe)
