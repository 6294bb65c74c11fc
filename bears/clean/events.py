"""Review the alarms of `python3 -m bears watch`: which were right, and which were false.

Decisions are in `set-aside/log.csv` of the folder, like all steps of the review page. No file is moved.
"""

import json
from pathlib import Path

from bears.clean.decisions import Decisions
from bears.clean.ranking import MAY_BE_FALSE, RankedPhoto
from bears.errors import DataError
from bears.model.wording import percent

FALSE_ALARM, UNCLEAR = "false alarm", "can't tell"


def find_events(folder: Path) -> list[Path]:
    """Return the event.json files of a watch's alarms, the latest first."""
    return sorted(folder.glob("events/*/event.json"), reverse=True)


def rank_events(folder: Path) -> dict[str, list[RankedPhoto]]:
    """Return a dict from each class that raised an alarm to photos of its alarms.

    It also has the keys `false alarm` and `can't tell`.
    """
    photos = [photo for file in find_events(folder) if (photo := describe(file, folder))]
    labels = [*sorted({photo.label for photo in photos}), FALSE_ALARM, UNCLEAR]
    return {label: [photo for photo in photos if photo.label == label] for label in labels}


def describe(file, folder):
    """Return the crop with the highest score of an alarm, or None if there is none. Raises `DataError`."""
    try:
        looks = [look for look in json.loads(file.read_text(encoding="utf-8"))["scores"] if "picture" in look]
        best = max(looks, key=lambda look: look["score"], default=None)
        picture = best and file.parent / best["picture"]
        if not picture or picture.parent != file.parent or not picture.is_file():
            return None
        label, score = max(best["probs"], key=best["probs"].get), float(best["score"])
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        raise DataError(f"{file} can't be read. Move the folder of this event elsewhere, and try again.") from None
    says = f"an alarm of {file.parent.name[:16].replace('T', ' ')}: {label}, {percent(score)}"
    name = picture.relative_to(folder).as_posix()
    return RankedPhoto(name, label, score, says, frozenset({MAY_BE_FALSE}), label, None)


class Alarms(Decisions):
    """Log what you say about alarms. `keep` means that an alarm was right."""

    def move(self, name, label):
        """Log that an alarm was false, that you can't tell, or that it was another class."""
        self.take(label, name, name)

    def set_aside(self, name):
        self.take(UNCLEAR, name, name)
