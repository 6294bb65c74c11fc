"""Record a watch: all scores, and a folder for each alarm. The oldest records are deleted to save space.

`scores/` has files of JSON lines: first a description of the watch, then a line for each pass of the model. `events/`
has a folder for each alarm with the reason (event.json), the crops that were classified, the frame with a box, and a
clip.
"""

import errno
import json
import os
import shutil
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import cv2
from bears.model.photo import as_jpeg
from bears.watch.engine import as_photo
from bears.watch.notify import log, now
from PIL import ImageDraw

NEW_FILE = 3600  # seconds after which a new file of scores begins, so that old ones can be deleted
BEFORE, AFTER = 8, 4  # seconds of a clip before and after the alarm
CLIP_WIDTH, CLIP_RATE = 480, 5  # of a clip: the most pixels in width, and the most frames per second
COMPLAIN = 600  # seconds between two messages that the disk can't be written to
NAME = "????-??-??T??-??-??.???"  # only files and folders with such names are deleted
PART, PART_CLIP = ".part", "part.mp4"  # the end of an unfinished event's name, and the name of an unfinished clip
STALE = 60  # seconds; an unfinished event or clip that is older is from a watch that was killed
GB = 10**9


class Record:
    """Write the output folder of a watch. If the disk is full or was removed, log a message and continue."""

    def __init__(self, folder: Path, max_gb: float, about: dict):
        self.folder, self.max_bytes, self.about = folder, max_gb * GB, about
        self.latest, self.memory = about["rule"]["latest"], about["rule"]["memory"]
        self.file, self.begun, self.complained = None, 0, float("-inf")
        self.looks = {}  # for each track, its latest passes (as in event.json) with their crops as JPEG
        self.recent, self.clip, self.writer = deque(), None, None
        (folder / "scores").mkdir(parents=True, exist_ok=True)
        (folder / "events").mkdir(exist_ok=True)
        self.prune()

    def add(self, step) -> Path | None:
        """Record a `Step`. Return the alarm's folder if the step has an alarm, else None."""
        seconds, picture = step.frame
        new = [self.remember(seconds, look) for look in step.looks]
        if picture is not None and not self.about["whole_only"]:
            self.remember_frame(seconds, picture)
        try:
            self.write_scores(new)
            [alarm] = [event for event in step.events if event["event"] == "alarm"] or [None]
            return alarm and self.write_alarm(alarm, step)
        except OSError as e:
            self.complain(e)
            return None

    def remember(self, seconds, look):
        """Return an entry about a pass for the file of scores. Keep the entry for the event.json of the next alarm.

        If the score of the pass is above 0, also keep the crop.
        """
        entry = {"seconds": round(seconds, 3), "time": now(), "track": look.track, "score": round(look.score, 4)}
        entry |= {"certainty": look.certainty, "probs": {k: round(p, 4) for k, p in look.probs.items()}}
        entry |= {"box": list(look.box), "took": round(look.took, 3)} | ({"group": look.group} if look.group else {})
        jpeg = as_jpeg(look.picture, 85) if look.score else None
        self.looks.setdefault(look.track, deque(maxlen=self.latest)).append((entry, jpeg))
        self.looks = {t: h for t, h in self.looks.items() if abs(seconds - h[-1][0]["seconds"]) <= self.memory}
        return entry

    def write_scores(self, entries):
        """Append entries to the current file of scores, and close the file, so that a crash loses nothing."""
        if not entries:
            return
        file, begun = self.file, self.begun
        if file is None or time.monotonic() - begun > NEW_FILE:
            entries = [{**self.about, "time": now(), "continues": file is not None}, *entries]
            file, begun = self.folder / "scores" / f"{unique_name()}.jsonl", time.monotonic()
            self.prune()
        with file.open("ab", buffering=0) as scores:
            append(scores, "".join(json.dumps(entry) + "\n" for entry in entries).encode())
        self.file, self.begun = file, begun

    def write_alarm(self, alarm, step):
        """Write the folder of an event, or nothing if the disk is full. The event's clip follows some seconds later."""
        folder = self.folder / "events" / unique_name()
        part = folder.with_name(folder.name + PART)
        try:
            part.mkdir()
            self.write_event(part, alarm, step)
            part.rename(folder)
        except OSError:
            delete(part)
            raise
        if not self.about["whole_only"]:
            self.finish_clip()
            self.clip = folder, alarm["seconds"] + AFTER
        self.prune(folder)
        return folder

    def write_event(self, folder, alarm, step):
        history = [h for h in self.looks[alarm["track"]] if step.frame.seconds - h[0]["seconds"] <= self.memory]
        scores = [dict(entry) for entry, _ in history]
        for n, (entry, (_, jpeg)) in enumerate(zip(scores, history), 1):
            if jpeg:
                entry["picture"] = f"crop-{n}.jpg"
                (folder / entry["picture"]).write_bytes(jpeg)
        [look] = [look for look in step.looks if look.track == alarm["track"]]
        (folder / "frame.jpg").write_bytes(frame_with_box(step.frame.picture, look.box))
        about = {**self.about, **alarm, "time": now(), "why": why(alarm, scores, self.about["rule"]), "scores": scores}
        (folder / "event.json").write_bytes(json.dumps(about, indent=1).encode())

    # The clip

    def remember_frame(self, seconds, picture):
        """Keep a small copy of the frame for the clips of alarms. Write an alarm's clip as soon as it is complete."""
        if self.recent and 0 <= seconds - self.recent[-1][0] < 0.9 / CLIP_RATE:
            return
        height, width = picture.shape[:2]
        if width > CLIP_WIDTH:
            picture = cv2.resize(
                picture, (CLIP_WIDTH, round(CLIP_WIDTH * height / width)), interpolation=cv2.INTER_AREA
            )
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
        self.recent.append((seconds, jpeg))
        if self.clip and not self.clip[1] - AFTER - BEFORE <= seconds < self.clip[1]:
            self.finish_clip()
        while not 0 <= seconds - self.recent[0][0] <= BEFORE + AFTER:
            self.recent.popleft()

    def finish_clip(self):
        if self.clip:
            folder, end = self.clip
            frames = [(t, jpeg) for t, jpeg in self.recent if end - AFTER - BEFORE <= t <= end]
            self.clip = None
            self.writer = threading.Thread(target=write_clip, args=(folder / "clip.mp4", frames))
            self.writer.start()

    def close(self):
        self.finish_clip()
        if self.writer:
            self.writer.join()

    # The disk

    def prune(self, newest=None):
        """Delete the oldest events and files of scores until the rest takes at most `max_bytes`.

        Never delete the current file of scores or the event folder `newest` (by default, the one changed last). A
        file's age is the time since its last change. The time in a file's name isn't used, since the clock may have
        been wrong.
        """
        for part in [*self.folder.glob(f"events/{NAME}{PART}"), *self.folder.glob(f"events/{NAME}/{PART_CLIP}")]:
            delete_old(part)
        events, files = by_age(self.folder.glob(f"events/{NAME}/")), by_age(self.folder.glob(f"scores/{NAME}.jsonl"))
        kept = {newest or next(reversed(events), None), self.file or next(reversed(files), None)}
        sizes = {path: size(path) for path in by_age([*events, *files])}
        for path in [path for path in sizes if path not in kept]:
            if sum(sizes.values()) <= self.max_bytes:
                break
            delete(path)
            del sizes[path]

    def complain(self, e):
        if time.monotonic() - self.complained > COMPLAIN:
            self.complained = time.monotonic()
            log(f"Can't write to {self.folder} ({e.strerror}). Still watching, but nothing is being saved")


def by_age(paths):
    """Return files and folders sorted by the time of their last change, oldest first."""
    times = {}
    for path in paths:
        with suppress(OSError):  # deleted meanwhile
            times[path] = path.stat().st_mtime_ns
    return sorted(times, key=lambda path: (times[path], path.name))


def delete(path):
    """Delete a file or folder, and ignore errors."""
    with suppress(OSError):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def delete_old(part):
    """Delete an unfinished file or folder that is older than `STALE` seconds, since its watch was killed."""
    with suppress(OSError):
        if time.time() - part.stat().st_mtime > STALE:
            delete(part)


def append(file, lines):
    """Write all lines at the end of a file, or none of them."""
    at = file.seek(0, os.SEEK_END)
    try:
        if file.write(lines) < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        with suppress(OSError):  # the disk may have been removed
            file.truncate(at)
        raise


def unique_name():
    """Return the current time as a file name, so that sorting by name sorts by time."""
    return datetime.now().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]


def size(path):
    """Return the size in bytes of a file, or of all files in a folder."""
    total = 0
    for file in path.glob("*") if path.is_dir() else [path]:
        try:
            total += file.stat().st_size
        except OSError:
            continue
    return total


def why(alarm, scores, rule):
    """Return a sentence that says why the rule raised an alarm."""
    if rule["latest"] == 1:
        return f"The score of the photo, {alarm['median']:.2f}, is at least the threshold, {rule['threshold']:.2f}."
    values = ", ".join(f"{entry['score']:.2f}" for entry in scores)
    what = f"track {alarm['track']}" if alarm["track"] else "the whole frame"
    which = "median" if len(scores) >= rule["least"] else "lower one"
    return (
        f"The latest scores of {what} are {values}; their {which}, {alarm['median']:.2f}, is at least the threshold,"
        f" {rule['threshold']:.2f}."
    )


def frame_with_box(picture, box):
    photo = as_photo(picture)
    ImageDraw.Draw(photo).rectangle(box, outline="yellow", width=max(2, photo.width // 400))
    return as_jpeg(photo, 85)


def write_clip(file, frames):
    """Write pairs (seconds, JPEG) to a video file that browsers can play. If the disk is full, write no file."""
    pictures = [cv2.imdecode(jpeg, cv2.IMREAD_COLOR) for _, jpeg in frames]
    if len(pictures) < 2:
        return
    part = file.with_name(PART_CLIP)
    rate = min(25, max(0.5, (len(frames) - 1) / max(0.001, frames[-1][0] - frames[0][0])))
    height, width = pictures[0].shape[:2]
    # The path must be absolute, since FFmpeg takes the a in `a:b` for a protocol.
    fourcc = cv2.VideoWriter_fourcc(*"vp09")
    writer = cv2.VideoWriter(os.path.abspath(part), cv2.CAP_FFMPEG, fourcc, rate, (width, height))
    for picture in pictures:
        writer.write(picture)
    writer.release()
    with suppress(OSError):
        part.replace(file) if can_be_played(part) else part.unlink(missing_ok=True)


def can_be_played(film):
    """Return whether a video file is complete, since OpenCV doesn't report a full disk."""
    capture = cv2.VideoCapture(os.path.abspath(film), cv2.CAP_FFMPEG)
    shown, promised = sum(iter(capture.grab, False)), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    return 0 < promised <= shown
