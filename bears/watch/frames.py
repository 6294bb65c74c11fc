"""Read frames from a film, a camera, a stream, or a folder into which photos are written.

Films, cameras and streams are read in a separate process (`read_frames.py`). Cameras and streams always give the newest
frame, with this computer's time. The time stamps in streams can't be used: they start again with each connection, and
MJPEG streams have made-up ones.
"""

import ipaddress
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from bears.cli import start_process
from bears.errors import DataError, PhotoError, WatchError
from bears.model.photo import open_photo
from bears.photos import list_names
from bears.watch.engine import Frame
from bears.watch.notify import log
from bears.watch.read_frames import HEAD, is_usable

COMMAND = [sys.executable, "-m", "bears.watch.read_frames"]
TIMEOUT = 10  # seconds for a stream to connect or to send its next frame
MAX_PAUSE = 30  # seconds between two tries to connect
PATIENCE = 2  # seconds to wait at the end for the thread that reads
TICK = 1  # seconds; if no picture comes for so long, yield a Frame without one, since the alarm needs to know the time
SETTLED = 0.5  # seconds without a change after which a photo is opened
GIVEN_UP = 20  # seconds after which a photo that can't be opened is skipped
AT_ONCE = 1000  # known photos that are checked for changes each time a folder is listed
SHARE = 4  # pause after listing a folder, in multiples of the time that listing it took
SIDE = 720  # the least pixels of a photo's shorter side


class Reader:
    """Start a process that reads a source, and return the source's frames. The process ends when this program ends."""

    def __init__(self, source, every=0, live=True):
        env = {**os.environ, "MALLOC_ARENA_MAX": "2"}
        self.process = start_process(COMMAND, env=env, stderr=subprocess.DEVNULL)
        self.send(json.dumps({"source": source, "every": every, "live": live, "timeout": TIMEOUT}).encode() + b"\n")

    def send(self, data):
        with suppress(OSError, ValueError):  # the process has ended, or the pipe is closed
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def about(self):
        """Return a dict with `opened` (a boolean) and `size` (width, height of the frames). Call this method first."""
        try:
            return json.loads(self.process.stdout.readline())
        except ValueError:
            return {"opened": False}

    def want(self):
        self.send(b"\n")

    def frame(self):
        """Wait for the next frame. Return a pair (seconds, picture), or None at the end of the source."""
        head = self.process.stdout.read(HEAD.size)
        if len(head) < HEAD.size:
            return None
        seconds, height, width = HEAD.unpack(head)
        pixels = self.process.stdout.read(3 * height * width)
        complete = len(pixels) == 3 * height * width
        return (seconds, np.frombuffer(pixels, np.uint8).reshape(height, width, 3)) if complete else None

    def close(self):
        self.process.kill()
        self.process.wait()
        with suppress(OSError):
            self.process.stdin.close()
        self.process.stdout.close()


class Film:
    """Read the frames of a video file. Each frame has its time in the film, not the time of day."""

    live, whole_only = False, False

    def __init__(self, source, every):
        self.name = str(source)
        # The path must be absolute, since FFmpeg takes the a in `a:b` for a protocol.
        self.reader = Reader(os.path.abspath(source), every, live=False)
        about = self.reader.about()
        if not about["opened"]:
            self.close()
            raise WatchError(f"Can't open {source} as a film. Convert it to MP4, or choose another.")
        if not is_usable(*about["size"]):
            self.close()
            raise WatchError("{} has frames of {} × {} pixels. Crop or scale it first.".format(source, *about["size"]))

    def frames(self) -> Iterator[Frame]:
        self.reader.want()
        seconds = None
        while found := self.reader.frame():
            self.reader.want()
            seconds, picture = found
            yield Frame(seconds, picture)
        if seconds is None:
            raise WatchError(f"Can't decode any frame of {self.name}. Convert it to MP4, or choose another.")
        if self.reader.process.wait():
            log(f"{self.name} can't be read after {seconds:.0f} seconds. Convert it to MP4 to see the rest")

    def close(self):
        self.reader.close()


class Live:
    """Read a camera or a stream in a thread, so that even a slow model always gets the newest frame."""

    live, whole_only = True, False

    def __init__(self, source, every):
        self.source, self.every = source, every
        self.name = f"camera {source}" if isinstance(source, int) else without_password(source)
        self.ended, self.news = threading.Event(), threading.Condition()
        self.newest = self.trouble = self.reader = None
        self.thread = threading.Thread(target=self.read, daemon=True)

    def frames(self) -> Iterator[Frame]:
        self.thread.start()
        due, said = 0.0, None
        while True:
            time.sleep(max(0, due - time.monotonic()))
            due = time.monotonic() + self.every
            with self.news:
                if self.reader:
                    self.reader.want()
                self.news.wait_for(lambda: self.newest is not None, TICK)
                picture, self.newest, trouble = self.newest, None, self.trouble
            if trouble != said:
                log(trouble or f"{self.name} is back")
                said = trouble
            yield Frame(time.monotonic(), picture)

    def read(self):
        pause = 1
        while not self.ended.is_set():
            for picture in self.pictures():
                pause = 1
                self.show(picture, None)
            self.show(None, f"No picture from {self.name}; reconnecting…")
            self.ended.wait(pause)
            pause = min(MAX_PAUSE, 2 * pause)

    def pictures(self):
        """Connect to the source, and yield its pictures until the connection ends."""
        with self.news:
            if self.ended.is_set():
                return
            try:
                self.reader = Reader(self.source)
            except OSError:  # the process can't be started
                return
        self.reader.about()
        while found := self.reader.frame():
            yield found[1]
        self.reader.close()

    def show(self, picture, trouble):
        with self.news:
            self.newest, self.trouble = picture, trouble
            self.news.notify_all()

    def close(self):
        with self.news:
            self.ended.set()
            if self.reader:
                self.reader.process.kill()
        if self.thread.ident:
            self.thread.join(PATIENCE)


class Folder:
    """Read photos that arrive in a folder, each as soon as it is complete. Skip photos that are there at the start."""

    live, whole_only = True, True

    def __init__(self, source, every):
        self.folder, self.every, self.name, self.at = Path(source), max(0.2, every), str(source), 0
        self.photos = {name: Photo(name, done=True) for name in list_names(self.folder, tell=log)}

    def frames(self) -> Iterator[Frame]:
        if self.photos:
            log(f"Skipping {len(self.photos):,} photos that are already there; waiting for new ones")
        while True:
            start = time.monotonic()
            complete = self.complete()
            took = time.monotonic() - start
            for photo in complete:
                if (picture := photo.open()) is not None:
                    yield Frame(time.monotonic(), picture)
            yield Frame(time.monotonic(), None)
            time.sleep(max(self.every, SHARE * took))

    def complete(self):
        """Return the complete photos that are new or were overwritten, oldest first."""
        with suppress(DataError):  # the disk or network may come back
            if names := list_names(self.folder):  # a disk that was removed can leave an empty folder
                self.photos = {name: self.photos.get(name) or Photo(name) for name in names}
        photos = list(self.photos.values())
        some, self.at = photos[self.at : self.at + AT_ONCE], self.at + AT_ONCE if self.at + AT_ONCE < len(photos) else 0
        waiting = {photo for photo in photos if not photo.done} | set(some)
        return sorted((photo for photo in waiting if photo.is_complete()), key=lambda photo: photo.state)

    def close(self):
        pass


class Photo:
    """Watch the file of one photo. The file may still grow, and some cameras overwrite one file with each new photo."""

    def __init__(self, file, done=False):
        self.file, self.done, self.state, self.since = file, False, None, time.monotonic()
        self.is_complete()
        self.done = done

    def is_complete(self):
        """Return whether the file is new or changed, and is no longer growing."""
        try:
            status = os.stat(self.file)
        except OSError:  # deleted meanwhile
            return False
        state = status.st_mtime_ns, status.st_size
        if state != self.state:
            self.done, self.state, self.since = False, state, time.monotonic()
        return not self.done and time.monotonic() - self.since >= SETTLED

    def open(self):
        """Return the picture, or None if it can't be opened. Skip the file after `GIVEN_UP` seconds of failures."""
        try:
            picture = cv2.cvtColor(np.asarray(open_photo(self.file, SIDE)), cv2.COLOR_RGB2BGR)
        except PhotoError as e:
            self.done = time.monotonic() - self.since >= GIVEN_UP
            if self.done:
                log(f"{self.file} was skipped: {e.reason}")
            return None
        self.done = True
        return picture


STREAM = re.compile("(rtsps?|https?)://", re.I)
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+([^/?#\\]*)(.*)", re.I | re.S)
HOST = re.compile(r"(\[[0-9a-f:.]+(?:%\w+)?\]|[\w.-]+)(:\d*)?", re.I)


def without_password(address):
    """Return the scheme, host and port of an address, without parts that may contain a password.

    Passwords can be before the host, in the path or in the query, and can contain `@`, `/`, `?` or `#`. If it is
    unclear which part is the host, return only the scheme. Return an address without a scheme unchanged.
    """
    if not (found := ADDRESS.match(address)):
        return address
    scheme, authority, rest = found.groups()
    host = HOST.fullmatch(authority.rpartition("@")[2])
    if "@" in rest and not is_ip(host):
        later = HOST.fullmatch(re.split(r"[/?#\\]", rest.rpartition("@")[2])[0])
        host = later if not host or is_ip(later) else None
    return f"{scheme}://{host[0] if host else '…'}"


def is_ip(host):
    with suppress(ValueError):
        return bool(host and ipaddress.ip_address(host[1].strip("[]")))
    return False


def open_source(source: str, every: float) -> Film | Live | Folder:
    """Open a camera (a number or a device), a stream (a URL), a folder or a film.

    `every` is the number of seconds between two frames. Raises `WatchError`.
    """
    if source.isdecimal():
        return Live(int(source), every)
    if STREAM.match(source) or source.startswith("/dev/"):
        return Live(source, every)
    if os.path.isdir(source):
        return Folder(source, every)
    if not os.path.exists(source):
        there_is_no = f"There is no {without_password(source)}"
        raise WatchError(f"{there_is_no}. Give a film, a folder, a camera (0) or a stream (rtsp://, http://).")
    if not os.path.isfile(source):
        raise WatchError(f"{source} is neither a file nor a folder. Give a film, a folder, a camera or a stream.")
    return Film(source, every)
