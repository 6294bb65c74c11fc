"""Store visitors' feedback about answers and, if they allow it, their photos (`--feedback`).

`counts.csv` says how often the app gave each answer (bears/app/counts.py). `answers.csv` has one row per feedback,
without photos or IP addresses. `unreviewed` has visitors' photos in one folder per label, and a metadata.csv. Training
refuses the photos in `unreviewed` until you have reviewed them with `python3 -m bears clean`.
"""

import csv
import os
import shutil
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import gradio as gr
from bears.app.counts import Counts
from bears.app.feedback_hub import Uploads, run_folder
from bears.app.gradio_internals import find_caller
from bears.app.guard import address
from bears.app.uploads import RESERVE, received
from bears.errors import ExportError, PhotoError
from bears.files import check_writable, version_of, write_whole
from bears.hub import DATA_SETS
from bears.model import wording
from bears.model.answers import GROUP, NONE, likeliest
from bears.model.photo import as_jpeg
from bears.photos import NONE_OF_THESE, NOT_KNOWN, UNREVIEWED, list_photos
from bears.text import as_table, read_table, to_cells

SIDE = 1024  # pixels of a stored photo's longer side; the page sends no more (LONG_SIDE in bears/web/pictures.js)
MAX_PHOTOS = 2000  # in `unreviewed`
MAX_OF_ONE, MAX_OF_A_PROXY = 100, 1500  # photos while the app runs: from one visitor, from all behind one proxy
MAX_ROWS = 10**7  # bytes of answers.csv, enough for about 100,000 answers
PER_HOUR, PER_HOUR_OF_A_PROXY, ALL_PER_HOUR = 20, 750, 1000  # feedback of one visitor, all behind one proxy, everybody
MAX_VISITORS = 10_000  # visitors and IP addresses to remember, in memory only
ANSWERS = ("id", "day", "model", "answer", "certainty", "probability", "visitor", "photo")
PHOTOS = ("file_name", "visitor", "answer", "certainty", "probability", "model", "day")
YES = "yes"
NO_ROOM = "Thank you, but there was no space to keep your feedback."


def create_feedback(place: str | None, model: Path, facts: dict) -> "Feedback | NoFeedback":
    """Return a `Feedback` that stores feedback in `place`, or a `NoFeedback` if `place` is None.

    `place` is the value of the option --feedback. If feedback can't be stored in `place`, exit with a message.
    """
    if not place:
        return NoFeedback()
    try:
        return Feedback(place, model, facts.get("classes", []), wording.names(facts))
    except ExportError as e:
        sys.exit(f"app.py: {e}")


class NoFeedback:
    """Take the place of `Feedback` in an app without --feedback: ask visitors nothing, and store nothing."""

    def words(self):
        return None

    def offer(self, learn, photo):
        pass

    def privacy(self):
        return wording.PRIVACY

    def close(self):
        pass


class Feedback(NoFeedback):
    """Store visitors' feedback in `place`, a folder or `hf://datasets/USER/NAME`. Raises `ExportError`.

    `names` is a dict from label to the name that visitors read (`wording.names`).
    """

    def __init__(self, place, model, classes, names=()):
        self.labels = check_labels(classes)
        self.names = {NONE_OF_THESE: NONE_OF_THESE.capitalize(), **names} if names else {}
        self.on_hub = place.startswith(DATA_SETS)
        self.folder = run_folder() if self.on_hub else Path(place)
        make_private(self.folder)
        self.uploads = Uploads(place, self.folder) if self.on_hub else None
        self.visitors, self.lock = Visitors(), threading.Lock()
        self.version = version_of(model) if model.is_file() else ""
        self.counts = Counts(self.folder / "counts.csv", self.version)

    def words(self):
        """Return the labels and sentences for the feedback form, as a dict for bears/web/feedback.js."""
        who = os.getenv("SPACE_AUTHOR_NAME") or "The owner of this page"
        where = "in a private data set on Hugging Face" if self.on_hub else "in a private folder"
        keeper = f"{who} keeps the photo {where}, and looks at it before a model learns from it."
        labels = {"labels": [*self.labels, NONE_OF_THESE], "names": self.names, "unknown": NOT_KNOWN, "yes": YES}
        return {**labels, "keeper": keeper}

    def offer(self, learn, photo):
        """Add `/feedback` and `/undo_feedback` to the API, and count the answers of the `LearnerProcess` `learn`.

        Call this method inside a `gr.Blocks`. `photo` is the component through which visitors send photos.
        """
        learn.note = self.counts.note
        with gr.Row(visible=False):
            label, keep, given = gr.Textbox(label="Label"), gr.Checkbox(label="Keep the photo"), gr.JSON()

        def feedback(photo, label, keep, request: gr.Request):
            try:
                return self.give(learn, received(photo or {}), label, keep is True, *visitor(request))
            except (PhotoError, ExportError) as e:
                raise gr.Error(str(e), duration=None, print_exception=False) from None

        says = f"Say what a photo shows: {YES} if the answer was right, or one of {', '.join(self.words()['labels'])}"
        label.submit(feedback, [photo, label, keep], given, api_name="feedback", api_description=says, preprocess=False)
        undo = {"api_name": "undo_feedback", "api_description": "Delete your feedback, by its id.", "preprocess": False}
        label.change(self.undo, label, given, **undo)

    def give(self, learn, file, label, keep, who, session=""):
        """Store a visitor's label for a photo. If `keep` is true and there is space, also store the photo.

        Returns a dict: the `id` of the feedback, whether the photo was `kept`, and a sentence for the visitor (`says`).
        Raises `PhotoError` for an unknown label or too much feedback.
        """
        if label not in (YES, *self.labels, NONE_OF_THESE, NOT_KNOWN):
            others = f"{YES}, “{NONE_OF_THESE}”, “{NOT_KNOWN}”"
            raise PhotoError(f"Please say {others}, or one of the classes: {', '.join(self.labels)}")
        if not self.visitors.may_speak(who, session):
            raise PhotoError("That is a lot of feedback for an hour, thank you", "Please come back later.")
        row = self.describe(*learn.predict(file, explain=False)[:4], label)
        keep = keep and self.visitors.may_keep(who, session) and self.has_room()
        try:
            photo = learn.decode_workers.open(file, find_caller(), side=SIDE, long_side=SIDE) if keep else None
            with self.lock:
                self.write(row, photo)
        except (OSError, ExportError):  # the disk is full
            with suppress(OSError, ExportError):
                self.forget(row["id"])
            return {"id": None, "kept": False, "says": NO_ROOM}
        if keep:
            self.visitors.has_kept(who, session)
        said = "and this photo are kept." if keep else "is counted. No photo is kept."
        answer = "Your answer" if label == YES else f"Your answer “{self.names.get(label, label)}”"
        return {"id": row["id"], "kept": bool(keep), "says": f"Thank you. {answer} {said}"}

    def describe(self, probs, certainty, _, limits, label):
        """Return a row for answers.csv.

        If a visitor confirms an answer that names a group of classes, the row gets the label `NOT_KNOWN`.
        """
        said = NONE_OF_THESE if certainty == NONE else likeliest(probs)
        confirmed = NOT_KNOWN if certainty == GROUP else said
        return {
            "id": uuid4().hex,
            "day": time.strftime("%Y-%m-%d"),
            "model": self.version,
            "answer": said,
            "certainty": certainty,
            "probability": round(max(probs.values()), 4),
            "visitor": confirmed if label == YES else label,
            "photo": "",
        }

    def has_room(self):
        """Return whether one more photo may be stored: `unreviewed` is not full, and the disk has space."""
        free = shutil.disk_usage(self.folder).free
        return free > RESERVE and len(list_photos(self.folder / UNREVIEWED)) < MAX_PHOTOS

    def write(self, row, photo):
        """Add `row` to answers.csv. If `photo` is not None, write the photo and add a row to metadata.csv.

        Raises `OSError` or `ExportError`.
        """
        answers = self.folder / "answers.csv"
        if answers.is_file() and answers.stat().st_size > MAX_ROWS:
            raise OSError("answers.csv is full")
        if photo:
            photo.thumbnail((SIDE, SIDE))
            row["photo"] = name = f"{row['visitor']}/{row['id']}.jpg"
            (self.folder / UNREVIEWED / row["visitor"]).mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / UNREVIEWED / name, as_jpeg(photo, quality=88))
            append(self.folder / UNREVIEWED / "metadata.csv", PHOTOS, row | {"file_name": name})
        append(answers, ANSWERS, row)

    def undo(self, name):
        """Delete the feedback with the id `name`. Return a dict like that of `give`.

        Only the visitor who gave the feedback knows the id.
        """
        forgotten = isinstance(name, str) and len(name) == 32 and name.isalnum() and self.forget(name)
        says = "Undone: your feedback is deleted." if forgotten else "There is nothing to undo."
        return {"id": None, "kept": False, "says": says}

    def forget(self, name):
        with self.lock:
            places = (f"*/*/{name}.jpg", f"*/{name}.jpg")  # the app's owner may have reviewed and moved the photo
            for photo in [photo for place in places for photo in self.folder.glob(place)]:
                photo.unlink(missing_ok=True)
                if self.uploads:
                    self.uploads.delete(photo)
            table = self.folder / UNREVIEWED / "metadata.csv"
            drop(table, PHOTOS, lambda row: (row.get("file_name") or "").endswith(f"/{name}.jpg"))
            return drop(self.folder / "answers.csv", ANSWERS, lambda row: row.get("id") == name)

    def privacy(self):
        """Return the sentences for "About this model" that say what happens to photos."""
        return wording.PRIVACY.replace("within an hour.", "within an hour, unless you tick “Keep this photo”.", 1)

    def close(self):
        self.counts.write()
        if self.uploads:
            self.uploads.close()


def make_private(folder):
    """Create the folders for feedback, and check that files can be written there. Raises `ExportError`."""
    photos = folder / UNREVIEWED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        photos.mkdir(mode=0o700, exist_ok=True)
    except OSError as e:
        raise ExportError(f"{folder} can't be created ({e.strerror}). Choose another folder with --feedback.") from None
    check_writable(photos, "--feedback")


def check_labels(classes):
    """Return the classes as a list.

    Raises `ExportError` if there is no class, or if a class can't be the name of a folder, or is a label of the form.
    """
    for label in classes:
        if label in ("", ".", "..") or Path(label).name != label or "\\" in label or "\0" in label:
            problem = "can't be the name of a folder for visitors' photos"
        elif label in (YES, NONE_OF_THESE, NOT_KNOWN):
            problem = "has the same name as a button of the feedback form"
        else:
            continue
        raise ExportError(f"The class {label!r} {problem}. Leave out --feedback, or give the class another name.")
    if not classes:
        raise ExportError("The classes are unknown: there is no export.json next to the model. Leave out --feedback.")
    return list(classes)


def append(file, columns, row):
    """Add a row to a CSV file. If writing fails, remove the incomplete row and raise `OSError`."""
    size = file.stat().st_size if file.exists() else 0
    try:
        with file.open("a", newline="", encoding="utf-8") as f:
            writer = csv.writer(f)
            if not size:
                writer.writerow(columns)
            writer.writerow(to_cells([row[column] for column in columns]))
    except OSError:
        os.truncate(file, size)
        raise


def drop(file, columns, unwanted):
    """Remove the rows of a CSV file for which `unwanted(row)` is true. Return whether any row was removed."""
    if not file.is_file():
        return False
    rows = read_table(file)
    kept = [[row.get(column) for column in columns] for row in rows if not unwanted(row)]
    if len(kept) < len(rows):
        write_whole(file, as_table(columns, kept))
    return len(kept) < len(rows)


def visitor(request):
    """Return a request's sender, a pair (IP address, session). The session is empty unless a proxy sent the request."""
    scope = request.request.scope if request and request.request else {}
    return scope.get("asker") or (address(scope), "")


class Visitors:
    """Count the feedback of the last hour and the stored photos, per visitor and per IP address, in memory only.

    Usually, requests from one IP address count as one visitor. Behind a proxy that hides IP addresses, each session
    counts as one visitor.
    """

    def __init__(self):
        self.times, self.kept, self.lock = {}, {}, threading.Lock()

    def may_speak(self, who, session=""):
        """Return whether a visitor may give feedback now, and count the feedback if the visitor may give it."""
        limits = {(who, session): PER_HOUR, (who,): PER_HOUR_OF_A_PROXY, (): ALL_PER_HOUR}
        now = time.monotonic()
        with self.lock:
            for key in limits:
                times = remember(self.times, key, deque())
                while times and times[0] < now - 3600:
                    times.popleft()
            recent = [self.times[key] for key in limits]
            forget_oldest(self.times)
            if any(len(times) >= most for times, most in zip(recent, limits.values())):
                return False
            for times in recent:
                times.append(now)
            return True

    def may_keep(self, who, session=""):
        return self.kept.get((who, session), 0) < MAX_OF_ONE and self.kept.get((who,), 0) < MAX_OF_A_PROXY

    def has_kept(self, who, session=""):
        with self.lock:
            for key in ((who, session), (who,)):
                self.kept[key] = remember(self.kept, key, 0) + 1
            forget_oldest(self.kept)


def remember(memory, key, new):
    """Return the value of a key, and move the key to the end of the dict. A missing key gets the value `new`."""
    memory[key] = memory.pop(key, new)
    return memory[key]


def forget_oldest(memory):
    while len(memory) > MAX_VISITORS:
        del memory[next(iter(memory))]
