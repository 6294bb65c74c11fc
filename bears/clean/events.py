"""Review the alarms of `python3 -m bears watch`: which were right, and which were false.

Your decisions are logged in `set-aside/log.csv` in the folder of `watch`. No file is moved.
"""

import json
from contextlib import contextmanager
from pathlib import Path

from bears.clean.decisions import Decisions
from bears.clean.ranking import MAY_BE_FALSE, RankedPhoto
from bears.errors import DataError
from bears.model.answers import likeliest
from bears.model.wording import percent

FALSE_ALARM, UNCLEAR = "false alarm", "can't tell"


def find_events(folder: Path) -> list[Path]:
    """Return the event.json file of each alarm in a folder of `watch`, the latest first."""
    return sorted(folder.glob("events/*/event.json"), reverse=True)


def rank_events(folder: Path) -> dict[str, list[RankedPhoto]]:
    """Return a dict from each class that raised an alarm to the photos of its alarms.

    The dict also has the keys `false alarm` and `can't tell`, without photos, so that you can choose them on the review
    page.
    """
    photos = [photo for file in find_events(folder) if (photo := describe(file, folder))]
    labels = [*sorted({photo.label for photo in photos}), FALSE_ALARM, UNCLEAR]
    return {label: [photo for photo in photos if photo.label == label] for label in labels}


def find_false_alarms(folder: Path, source: str | None = None) -> list[Path]:
    """Return the pictures of all alarms that you have marked as false, the latest first. Raises `DataError`.

    If `source` is given, return only the pictures of alarms from this camera or file.
    """
    said = {Path(step["from"]).parent: step["action"] for step in Decisions(folder).steps()}
    files = [file for file in find_events(folder) if said.get(file.parent.relative_to(folder)) == FALSE_ALARM]
    return [picture for file in files for picture in pictures_of(file, source)]


def pictures_of(file, source):
    """Return the pictures of an alarm, or an empty list if the alarm is from another source than `source`."""
    with in_words(file):
        event = json.loads(file.read_text(encoding="utf-8"))
        return [picture for _, picture in looks_of(event, file) if source in (None, event["source"])]


def looks_of(event, file):
    """Return a pair for each stored picture of an alarm: the model's answer, and the path of the picture."""
    looks = [(look, file.parent / look["picture"]) for look in event["scores"] if "picture" in look]
    return [(look, picture) for look, picture in looks if picture.parent == file.parent and picture.is_file()]


@contextmanager
def in_words(file):
    """Raise `DataError` if the `with` block fails because `file`, an event.json, is damaged."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise DataError(f"{file} can't be read. Move the folder of this event elsewhere, and try again.") from None


def describe(file, folder):
    """Return a `RankedPhoto` for the alarm's picture with the highest score, or None if there is no picture.

    Raises `DataError`.
    """
    with in_words(file):
        looks = looks_of(json.loads(file.read_text(encoding="utf-8")), file)
        if not looks:
            return None
        best, picture = max(looks, key=lambda look: look[0]["score"])
        label, score = likeliest(best["probs"]), float(best["score"])
    says = f"an alarm of {file.parent.name[:16].replace('T', ' ')}: {label}, {percent(score)}"
    name = picture.relative_to(folder).as_posix()
    return RankedPhoto(name, label, score, says, frozenset({MAY_BE_FALSE}), label, None)


class Alarms(Decisions):
    """Log your decisions about alarms. `keep` means that an alarm was right."""

    def move(self, name, label):
        """Log your decision about the alarm with the picture `name`: `false alarm`, `can't tell`, or a class."""
        self.take(label, name, name)

    def set_aside(self, name):
        self.take(UNCLEAR, name, name)
