"""Open photos for the app, one after another. `python -m bears.app.decode_worker` starts this worker process.

Each line of stdin is JSON: a path and options of `open_photo`. For each photo, stdout gets a line of JSON. If this line
has a `size`, the pixels of the photo follow. The app never unpickles a worker's answer, since a hostile photo may have
taken over the worker.
"""

import json
import os
import queue
import signal
import sys
import threading
from functools import partial

import pillow_heif
from bears.cli import limit_memory, one_at_a_time
from bears.errors import PhotoError
from bears.model.photo import open_photo
from PIL import AvifImagePlugin

MAX_MEMORY = 1_200_000_000  # bytes of address space; photos within the limits of bears/model/photo.py need less
IN_TURN = partial(one_at_a_time, __file__)  # only one worker at a time decodes a large photo (hundreds of megabytes)


def read_jobs(jobs):
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(0)  # the app has ended: exit at once, even while decoding


def answer(file, options, pipe):
    """Call `open_photo(file, **options)`, and write the photo's pixels, or the error, to `pipe`."""
    try:
        photo = open_photo(file, in_turn=IN_TURN, **options)
        head, pixels = {"size": photo.size}, photo.tobytes()
    except PhotoError as e:
        # `refused` is the reason, and `spent` says whether the worker's memory ran out.
        head, pixels = {"refused": e.args, "spent": isinstance(e.__context__, MemoryError)}, b""
    pipe.write(json.dumps(head).encode() + b"\n" + pixels)
    pipe.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # end on Ctrl-C without a traceback
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a decoder prints goes to the log, not into the pipe
    # Let each decoder use one thread: there is a process per core, and each thread reserves memory.
    AvifImagePlugin.DEFAULT_MAX_THREADS = pillow_heif.options.DECODE_THREADS = 1
    limit_memory(MAX_MEMORY)
    jobs = queue.SimpleQueue()
    threading.Thread(target=read_jobs, args=[jobs], daemon=True).start()
    while True:
        answer(*jobs.get(), pipe)
