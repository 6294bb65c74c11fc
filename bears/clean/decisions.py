"""Keep photos, move them to another class, set them aside, or undo a step. Log each step in a CSV file.

No photo is deleted or overwritten. Nothing outside the folder is changed.
"""

import csv
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

from bears.errors import DataError
from bears.photos import SET_ASIDE
from bears.text import read_table, to_cells
from filelock import FileLock, Timeout

COLUMNS = ("time", "action", "from", "to")  # the last two are paths in the folder, `class/file`
WAIT = 60  # seconds to wait for another review page on the same folder to finish its step


class Decisions:
    """Keep, move or set aside photos in `folder`, and log each step in `folder/set-aside/log.csv`.

    Methods raise `DataError` if a step is not possible.
    """

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.log = self.folder / SET_ASIDE / "log.csv"
        # The lock works for threads (two tabs of a browser) and for processes (two runs of `clean` on this folder).
        self.lock = FileLock(self.log.with_suffix(".lock"), timeout=WAIT)

    def keep(self, name):
        """Log that you have reviewed a photo and that its class is right."""
        self.take("keep", name, name)

    def move(self, name, label):
        """Move a photo to the folder of the class `label`.

        For example, a photo in `2024/grizzly` moves to `2024/black`, or to `black` if only that folder exists.
        """
        beside = Path(name).parent.parent
        nested = not (self.folder / beside / label).is_dir() and (self.folder / label).is_dir()
        home = Path() if nested else beside
        self.take("move", name, (home / label / Path(name).name).as_posix())

    def set_aside(self, name):
        """Move a photo to the folder `set-aside`, which training doesn't use."""
        self.take("set aside", name, f"{SET_ASIDE}/{name}")

    def undo(self, name=None):
        """Undo the latest step. If `name` is given, undo the latest step of this photo.

        `name` is the photo's path before that step. Returns the undone step, or None if there is nothing to undo.
        """
        with self.locked():
            if steps := [step for step in self.steps() if name in (None, step["from"])]:
                self.take("undo", steps[-1]["to"], steps[-1]["from"])
                return steps[-1]

    def steps(self):
        """Return the steps that were not undone, oldest first, as dicts with the keys `COLUMNS`.

        Leave out steps whose photo is no longer where the step put it.
        """
        steps = []
        try:
            for row in self.read():
                if row["action"] == "undo":
                    del steps[max(i for i, step in enumerate(steps) if step["to"] == row["from"])]
                else:
                    steps.append(row)
            return [step for step in steps if (self.folder / step["to"]).is_file()]
        except (OSError, KeyError, TypeError, ValueError, csv.Error):
            raise DataError(f"{self.log} can't be read. Correct this file, or rename it to start a new one.") from None

    def read(self):
        try:
            return read_table(self.log)
        except FileNotFoundError:
            return []

    def take(self, action, name, goal):
        """Move the photo `name` to `goal`. Log the step first, so that the log has every move even after a crash."""
        source, target = self.inside(name), self.inside(goal)
        with self.locked():
            if not source.is_file():
                raise DataError(f"{name} has been moved. Reload the page.")
            if source.is_symlink():
                raise DataError(f"{name} is a link to another file. Only real files can be moved.")
            if target != source:
                target = free_name(target)
            try:
                self.write(action, source, target)
                if target != source:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(source, target)
            except (OSError, UnicodeError) as e:
                reason = getattr(e, "strerror", None) or "its name is not valid UTF-8"
                raise DataError(f"Can't move {name} ({reason}). Check the permissions of {self.folder}.") from None

    @contextmanager
    def locked(self):
        """Block steps from other tabs and other review pages during the `with` block."""
        try:
            self.log.parent.mkdir(exist_ok=True)
            lock = self.lock.acquire(poll_interval=0.01)
        except Timeout:
            raise DataError(f"Another review page is still working on {self.folder}. Close it and try again.") from None
        except OSError as e:
            raise DataError(f"{self.log.parent} can't be used ({e.strerror}). Check its permissions.") from None
        with lock:
            yield

    def inside(self, name):
        """Return the path of the file `name`. Raises `DataError` if the file is outside the folder."""
        path = self.folder / name
        if not path.resolve().is_relative_to(self.folder):
            raise DataError(f"{name} is outside of {self.folder}. Only photos in this folder can be moved.")
        return path.parent.resolve() / path.name

    def write(self, action, source, target):
        self.log.parent.mkdir(exist_ok=True)
        new = not self.log.exists()
        with self.log.open("a", newline="", encoding="utf-8") as f:
            rows = csv.writer(f)
            if new:
                rows.writerow(COLUMNS)
            paths = (p.relative_to(self.folder).as_posix() for p in (source, target))
            rows.writerow(to_cells([time.strftime("%Y-%m-%d %H:%M:%S"), action, *paths]))


def free_name(path):
    """Return `path`. If the file `path` exists, add `-2`, `-3` and so on to its name."""
    n, free = 1, path
    while os.path.lexists(free):  # counts broken links, too
        n += 1
        free = path.with_stem(f"{path.stem}-{n}")
    return free
