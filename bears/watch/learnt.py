"""Raise no alarm for things that look like earlier false alarms, which were marked with `python3 -m bears clean`."""

from pathlib import Path

from bears.clean.events import find_false_alarms
from bears.errors import PhotoError, WatchError
from bears.model.classifier import Classifier
from bears.model.photo import open_photo
from bears.text import as_typed
from bears.watch.frames import SIDE, Film, Folder, Live
from bears.watch.notify import log

MOST = 200  # pictures to learn from, the latest ones; each takes the model some time at the start


def learn(model: Classifier, folder: Path, source: Film | Live | Folder) -> None:
    """Make a model ignore what looks like a false alarm. `folder` is a watch's output with marked false alarms.

    If `source` is a film, false alarms of all sources count, since a camera names each film differently. Otherwise,
    only false alarms of `source` count. Raises `WatchError`, `DataError` or `ExportError`.
    """
    if not folder.is_dir():
        raise WatchError(f"There is no folder {folder}. Give --learn the folder of a watch.")
    pictures, name = find_false_alarms(folder, source.name if source.live else None)[:MOST], as_typed(folder)
    if pictures:
        model.learn_false_alarms(map(open_picture, pictures))
        log(f"No alarm for anything that looks like the {len(pictures)} pictures of false alarms in {name}")
    else:
        log(f"{name} has no false alarms of {source.name}. Mark them: python3 -m bears clean {name}")


def open_picture(file):
    try:
        return open_photo(file, SIDE)
    except PhotoError as e:
        raise WatchError(f"{file} can't be used: {e.reason}. Move its folder away.") from None
