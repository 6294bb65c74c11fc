"""Frames of a film, a camera, a stream, or a folder into which photos are written; live ones always the newest.

OpenCV, which finds the movement, also decodes: its wheels bring FFmpeg for films and streams, V4L, DirectShow and
AVFoundation for cameras. The time of a live frame is that of its arrival: the time stamps of streams begin anew with
each connection, and those of MJPEG are made up. HLS alone is shown by its own, since it arrives in pieces.
"""

import atexit
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, takewhile
from pathlib import Path

import cv2
import numpy as np
from bears.errors import DataError, PhotoError, WatchError
from bears.photo import open_photo
from bears.photos import list_photos
from bears.watch.engine import Frame
from bears.watch.tell import say

MJPEG = cv2.VideoWriter_fourcc(*"MJPG")
TIMEOUT = 10  # seconds in which a stream connects, and in which its next frame comes
MAX_PAUSE = 30  # seconds between two tries to connect
PATIENCE = 2  # seconds that the end waits for the next frame
TICK = 1  # seconds after which there is a Frame without a picture, if nothing comes: time passes all the same
MAX_BAD = 100  # frames in a row that are no pictures, after which a stream is connected anew
LATE = 0.5  # seconds after which a frame that had to be waited for begins a new piece of a stream
SETTLED = 0.5  # seconds for which a photo does not grow before it is opened,
GIVEN_UP = 20  # and after which one that does not open is given up
SIDE = 720  # pixels of a photo's shorter side, at least


class Film:
    """The frames of a video file, as fast as they are wanted; times are its own."""

    live, whole_only = False, False

    def __init__(self, source, every):
        self.name, self.every = str(source), every
        self.capture = cv2.VideoCapture(self.name, cv2.CAP_FFMPEG)
        if not self.capture.isOpened():
            raise WatchError(f"{source} is no film that can be opened here: name another, or convert it to MP4.")

    def frames(self) -> Iterator[Frame]:
        rate, latest = self.capture.get(cv2.CAP_PROP_FPS) or 25, None
        for n in takewhile(lambda n: self.capture.grab(), count()):
            seconds = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or n / rate
            if latest is not None and 0 <= seconds - latest < 0.9 * self.every:
                continue
            ok, picture = self.capture.retrieve()
            if ok:
                latest = seconds
                yield Frame(seconds, picture)
        if latest is None:
            raise WatchError(f"{self.name} holds no frame that can be decoded: name another, or convert it to MP4.")

    def close(self):
        self.capture.release()


class Live:
    """A camera or a stream: a thread reads it, so that a slow model gets the newest frame and none that has waited."""

    live, whole_only = True, False

    def __init__(self, source, every):
        self.source, self.every = source, every
        self.is_stream = not isinstance(source, int) and not source.startswith("/dev/")
        self.name = f"camera {source}" if isinstance(source, int) else without_password(source)
        self.wanted, self.ended, self.news = threading.Event(), threading.Event(), threading.Condition()
        self.newest = self.trouble = None
        self.reader = threading.Thread(target=self.read, daemon=True)

    def frames(self) -> Iterator[Frame]:
        self.reader.start()
        due, said = 0.0, None
        while True:
            time.sleep(max(0, due - time.monotonic()))
            due = time.monotonic() + self.every
            with self.news:
                self.wanted.set()
                self.news.wait_for(lambda: self.newest is not None, TICK)
                picture, self.newest, trouble = self.newest, None, self.trouble
            if trouble != said:
                say(trouble or f"{self.name} is there again")
                said = trouble
            yield Frame(time.monotonic(), picture)

    def read(self):
        pause = 1
        while not self.ended.is_set():
            capture = self.connect()
            for picture in self.pictures(capture):
                pause = 1
                self.show(picture, None)
            capture.release()
            self.show(None, f"{self.name} gives no picture: trying again and again")
            self.ended.wait(pause)
            pause = min(MAX_PAUSE, 2 * pause)

    def connect(self):
        if not self.is_stream:
            return cv2.VideoCapture(self.source, cv2.CAP_ANY if isinstance(self.source, int) else cv2.CAP_V4L2)
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 1000 * TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 1000 * TIMEOUT]
        return cv2.VideoCapture(self.source, cv2.CAP_FFMPEG, timeouts)

    def pictures(self, capture):
        """Every frame is received; only one that is wanted is made a picture of. Ends where there are none for long."""
        # FFmpeg decodes every frame, since most need those before them. JPEGs do not, and are had as they came.
        jpegs = self.is_stream and capture.get(cv2.CAP_PROP_FOURCC) == MJPEG and capture.set(cv2.CAP_PROP_FORMAT, -1)
        pieces = Pieces() if self.is_stream and re.search(r"\.m3u8?\b", self.source) else None
        waiting = 0  # frames in a row that were wanted, and are none
        while not self.ended.is_set() and waiting < MAX_BAD and capture.grab():
            if pieces:
                self.ended.wait(pieces.early(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000))
            if self.wanted.is_set():
                ok, picture = capture.retrieve()
                if ok and jpegs:
                    picture = decode(picture)
                waiting += 1
                if ok and picture is not None:
                    waiting = 0
                    self.wanted.clear()
                    yield picture

    def show(self, picture, trouble):
        with self.news:
            self.newest, self.trouble = picture, trouble
            self.news.notify_all()

    def close(self):
        self.ended.set()
        if self.reader.ident:
            self.reader.join(PATIENCE)
        if self.reader.is_alive():  # it waits for a stream; OpenCV crashes where a program ends meanwhile
            atexit.register(os._exit, 1)


def decode(jpeg):
    """The picture (h, w, 3), or None: what comes may be anything."""
    try:
        return cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    except cv2.error:  # as of a picture larger than OpenCV opens
        return None


class Pieces:
    """HLS comes in pieces of some seconds, all frames of one at once: how long each has to wait for its turn."""

    def __init__(self):
        self.begin, self.latest = float("-inf"), time.monotonic()  # by this machine's clock: when the stream began

    def early(self, seconds):
        """Seconds until the turn of a frame that has just come; `seconds` is its own time.

        Those that are there at the beginning are old, and wait for nothing, nor does the first frame of a late piece.
        """
        now = time.monotonic()
        early = max(0, self.begin + seconds - now)
        if now - self.latest > LATE or early > TICK:  # or the stream's time has changed
            self.begin, early = now - seconds, 0
        self.latest = now + early
        return early


class Folder:
    """Photos that come into a folder, as whole frames, each once it is complete; those that are there are not."""

    live, whole_only = True, True

    def __init__(self, source, every):
        self.folder, self.every, self.name = Path(source), max(0.2, every), str(source)
        self.photos = {file: Photo(file, done=True) for file in list_photos(self.folder, tell=say)}

    def frames(self) -> Iterator[Frame]:
        if self.photos:
            say(f"Photos that are there already ({len(self.photos):,}) are not looked at, only those that come")
        while True:
            start = time.monotonic()
            with suppress(DataError):  # a disk or a network that comes back
                files = list_photos(self.folder)
                self.photos = {file: self.photos.get(file) or Photo(file) for file in files}
            came = [photo for photo in self.photos.values() if photo.is_complete()]
            for photo in sorted(came, key=lambda photo: photo.state):
                if (picture := photo.open()) is not None:
                    yield Frame(time.monotonic(), picture)
            yield Frame(time.monotonic(), None)
            time.sleep(max(self.every, 20 * (time.monotonic() - start)))  # in a huge folder, more seldom

    def close(self):
        pass


class Photo:
    """A file that may still be written, or be written over: cameras that have one name for all photos do that."""

    def __init__(self, file, done=False):
        self.file, self.done, self.state, self.since = file, done, None, time.monotonic()
        self.is_complete()

    def is_complete(self):
        """Whether it is to be opened now."""
        try:
            stat = self.file.stat()
        except OSError:
            return False
        state = stat.st_mtime_ns, stat.st_size
        if state != self.state:
            self.done = self.done and self.state is None
            self.state, self.since = state, time.monotonic()
        return not self.done and time.monotonic() - self.since >= SETTLED

    def open(self):
        """The picture, or None while it does not open."""
        try:
            picture = cv2.cvtColor(np.asarray(open_photo(self.file, SIDE)), cv2.COLOR_RGB2BGR)
        except PhotoError as e:
            self.done = time.monotonic() - self.since >= GIVEN_UP
            if self.done:
                say(f"{self.file} was not looked at: {e.reason}")
            return None
        self.done = True
        return picture


def without_password(source):
    """An address without what nobody else should read: user and password, and what follows a question mark."""
    return re.sub(r"//[^/@]*@", "//", source).partition("?")[0]


def open_source(source: str, every: float) -> Film | Live | Folder:
    """What `source` names: a number or a device is a camera, an address a stream; a folder or a file is what it is."""
    if source.isdecimal():
        return Live(int(source), every)
    if re.match(r"(rtsps?|https?)://", source) or source.startswith("/dev/"):
        return Live(source, every)
    if Path(source).is_dir():
        return Folder(source, every)
    if not Path(source).exists():
        raise WatchError(f"There is no {source}: name a film, a folder, a camera (0) or a stream (rtsp://, http://).")
    return Film(source, every)
