"""Read a film, a camera or a stream for `watch`, in a process `python -m bears.watch.read_frames`.

The first line on stdin is JSON and says what to read. Each byte after the first line on stdin requests one frame. The
first line on stdout is JSON and says whether the source could be opened, and how large its frames are. On stdout, each
frame is a `HEAD` followed by the frame's pixels. Damaged or hostile video can crash this process, hang it or use up its
memory. After a crash, `watch` starts a new process for a camera or a stream.
"""

import faulthandler
import io
import json
import os
import re
import signal
import struct
import sys
import threading
import time
from itertools import count, takewhile

import cv2
from bears.cli import limit_memory
from PIL import Image

HEAD = struct.Struct("<dII")  # seconds, height and width of a frame
MAX_MEMORY = 2_500_000_000  # bytes of address space; H.264 in 8K took 1.4 GB on two cores
STUCK = 30  # seconds without a frame after which this process exits
MAX_MEGAPIXELS = 50  # of a frame; an 8K camera has 33
MAX_RATIO, MIN_SIDE = 20, 16  # longer side divided by shorter side; pixels of a side, so that OpenCV finds movement
MJPEG = cv2.VideoWriter_fourcc(*"MJPG")
MAX_BAD = 100  # unusable frames in a row after which a stream is connected again
LATE = 0.5  # seconds without a frame after which the next one begins a new piece of a stream
TICK = 1  # seconds; the longest time that a frame of an HLS stream waits for its turn


def is_usable(width, height):
    """Return False for frames that are too small, too large, or too long and thin for `watch`."""
    small, large = sorted((width, height))
    return small >= MIN_SIDE and large <= MAX_RATIO * small and small * large <= MAX_MEGAPIXELS * 10**6


def open_capture(source, timeout):
    if isinstance(source, int):
        return cv2.VideoCapture(source, cv2.CAP_ANY)
    if source.startswith("/dev/"):
        return cv2.VideoCapture(source, cv2.CAP_V4L2)
    milliseconds, threads = round(1000 * timeout), min(4, os.cpu_count() or 1)  # each thread takes memory for frames
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds]
    return cv2.VideoCapture(source, cv2.CAP_FFMPEG, [*limits, cv2.CAP_PROP_N_THREADS, threads])


def picture_of(capture, is_jpeg=False):
    """Return the frame that `capture.grab` received, as an array of shape (height, width, 3).

    Return None if the frame is damaged or has an unusable size.
    """
    try:
        ok, picture = capture.retrieve()
        picture = decode(picture) if ok and is_jpeg else picture
    except (cv2.error, MemoryError):
        return None
    return picture if ok and picture is not None and is_usable(*picture.shape[1::-1]) else None


def decode(jpeg):
    """Decode a JPEG, or return None if its header says that the size is unusable."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as header:
            usable = is_usable(*header.size)
    except Exception:  # Pillow can raise anything on a damaged file
        return None
    return cv2.imdecode(jpeg, cv2.IMREAD_COLOR) if usable else None


def film(capture, every, wanted):
    """Yield a pair (seconds, picture) about once in `every` seconds of a film. `seconds` is the time in the film."""
    rate, latest = capture.get(cv2.CAP_PROP_FPS) or 25, None
    for n in takewhile(lambda n: capture.grab(), count()):
        faulthandler.dump_traceback_later(STUCK, exit=True)
        seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or n / rate
        if latest is not None and 0 <= seconds - latest < 0.9 * every:
            continue
        if (picture := picture_of(capture)) is not None:
            latest = seconds
            yield seconds, picture


def live(capture, source, wanted):
    """Yield a pair (0, newest frame) whenever `wanted` is set. Receive all frames, so that old ones don't queue up."""
    # FFmpeg must decode every frame, since most depend on earlier ones. JPEGs don't depend on each other, so only
    # requested ones are decoded.
    is_stream = isinstance(source, str) and not source.startswith("/dev/")
    jpegs = is_stream and capture.get(cv2.CAP_PROP_FOURCC) == MJPEG and capture.set(cv2.CAP_PROP_FORMAT, -1)
    pieces = Pieces() if is_stream and re.search(r"\.m3u8?\b", source) else None
    bad = 0
    while bad < MAX_BAD and capture.grab():
        faulthandler.dump_traceback_later(STUCK, exit=True)
        if pieces:
            time.sleep(pieces.early(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000))
        if wanted.is_set():
            picture = picture_of(capture, jpegs)
            bad = bad + 1 if picture is None else 0
            if picture is not None:
                yield 0, picture


class Pieces:
    """Spread the frames of an HLS stream over time. HLS sends pieces, each with several seconds of video."""

    def __init__(self):
        # Times by this machine's clock: when the stream began, and when the latest frame is shown.
        self.begin, self.latest = float("-inf"), time.monotonic()

    def early(self, seconds):
        """Return how many seconds a new frame must wait for its turn. `seconds` is the frame's time in the stream.

        The result is 0 for all frames of the first piece, since they were filmed before `watch` connected. If another
        piece arrives late, the result is 0 for its first frame, and its other frames are timed from that one.
        """
        now = time.monotonic()
        early = max(0, self.begin + seconds - now)
        if now - self.latest > LATE or early > TICK:  # a late piece, or the stream's time has jumped
            self.begin, early = now - seconds, 0
        self.latest = now + early
        return early


def listen(wanted):
    """Set `wanted` for each byte on stdin. When stdin is closed, `watch` has ended, so end this process."""
    while sys.stdin.buffer.read1(1024):
        wanted.set()
    os._exit(0)


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # anything that a decoder prints must not get between the frames
    limit_memory(MAX_MEMORY)
    job, wanted = json.loads(sys.stdin.buffer.readline()), threading.Event()
    threading.Thread(target=listen, args=[wanted], daemon=True).start()
    faulthandler.dump_traceback_later(STUCK, exit=True)
    capture = open_capture(job["source"], job["timeout"])
    size = [round(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)]
    pipe.write(json.dumps({"opened": capture.isOpened(), "size": size}).encode() + b"\n")
    pipe.flush()
    frames = live(capture, job["source"], wanted) if job["live"] else film(capture, job["every"], wanted)
    for seconds, picture in frames:
        faulthandler.cancel_dump_traceback_later()
        wanted.wait()
        wanted.clear()
        pipe.write(HEAD.pack(seconds, *picture.shape[:2]) + picture.tobytes())
        pipe.flush()
        faulthandler.dump_traceback_later(STUCK, exit=True)
    os._exit(0)  # at once, since the other thread still waits for input


if __name__ == "__main__":
    main()
