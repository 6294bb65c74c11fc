"""List the photos in a folder."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from bears.errors import DataError

# Endings of the formats that bears/model/photo.py opens.
EXTENSIONS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
}
# Folders in which network drives and systems keep thumbnails, deleted files and old versions.
SYSTEM_FOLDERS = {
    *("@eadir", "@tmp", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"),  # Synology, QNAP
    *("$recycle.bin", "system volume information", "__macosx", "lost+found"),  # Windows, macOS, Linux
}
SET_ASIDE = "set-aside"  # the folder into which `bears.clean` moves photos that training shouldn't use
UNREVIEWED = "unreviewed"  # the folder of visitors' photos, which training refuses until they are reviewed
OURS = {SET_ASIDE, UNREVIEWED}
NONE_OF_THESE, NOT_KNOWN = "none of these", "I don't know"  # visitors' answers other than a class
COUNTED = 10_000  # photos in system folders are only counted up to this, since a drive may keep many old versions


def list_photos(folder: Path, tell: Callable[[str], None] | None = None) -> list[Path]:
    """Return the photos in `folder` and in all folders below it, sorted by name.

    Hidden files and `SYSTEM_FOLDERS` are skipped. `tell` gets a sentence with the number of photos in `SYSTEM_FOLDERS`.
    Each real folder is searched once, even if several links lead to it. Files that are not photos are left out.
    Raises `DataError` if a folder can't be read.
    """
    return [Path(name) for name in list_names(folder, tell)]


def list_names(folder: Path, tell: Callable[[str], None] | None = None) -> list[str]:
    """Return what `list_photos` does, but as strings: for 100,000 photos, Path objects would take twice the time."""
    system = []
    photos = sorted(find(Path(folder), system), key=lambda name: name.split(os.sep))
    count = len(list(islice((photo for place in system for photo in find_readable(place)), COUNTED))) if tell else 0
    if count:
        names = ", ".join(sorted({place.name for place in system}))
        more = " or more" * (count == COUNTED)
        tell(f"{count:,}{more} photos in system folders are skipped: {names}")
    return photos


def find(folder: Path, system: list[Path]) -> Iterator[str]:
    """Yield the photos in a folder and below it. Add its `SYSTEM_FOLDERS` to the list `system` instead."""
    folders, links, searched = [folder], [], set()
    while folders or links:  # links come last, so that a photo is listed by the name in its own folder
        place = folders.pop() if folders else links.pop(0)
        if (real := os.path.realpath(place)) in searched:
            continue
        searched.add(real)
        for entry in visible_entries(place):
            if not is_folder(entry):
                if os.path.splitext(entry.name)[1].lower() in EXTENSIONS and is_file(entry):
                    yield entry.path
            elif entry.name.lower() in SYSTEM_FOLDERS:
                system.append(Path(entry.path))
            else:
                (links if entry.is_symlink() else folders).append(Path(entry.path))


def visible_entries(folder):
    """Return the entries of a folder that are not hidden, sorted by name. Raises `DataError` if it can't be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as e:
        raise DataError(f"{folder} can't be read ({e.strerror}). Fix that, or choose another folder.") from None


def is_folder(entry):
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()


def is_file(entry):
    """Return whether an entry is a real file. Reading a pipe or device may never end."""
    return os.path.isfile(entry) if entry.is_symlink() else entry.is_file()


def find_readable(folder):
    """Yield the photos in a folder, and stop without an error where it can't be read."""
    try:
        yield from find(folder, [])
    except DataError:
        return
