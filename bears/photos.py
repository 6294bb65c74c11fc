"""List the photos in a folder."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from bears.errors import DataError

# File extensions of the formats that bears/model/photo.py opens.
EXTENSIONS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
}
# Folders in which network drives and operating systems keep thumbnails, deleted files and old versions.
SYSTEM_FOLDERS = {
    *("@eadir", "@tmp", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"),  # Synology, QNAP
    *("$recycle.bin", "system volume information", "__macosx", "lost+found"),  # Windows, macOS, Linux
}
SET_ASIDE = "set-aside"  # the folder into which `bears.clean` moves photos that training shouldn't use
UNREVIEWED = "unreviewed"  # the folder of visitors' photos, which training refuses until they are reviewed
OURS = {SET_ASIDE, UNREVIEWED}
NONE_OF_THESE, NOT_KNOWN = "none of these", "I don't know"  # visitors' answers other than a class
COUNTED = 10_000  # stop counting the photos in system folders at this number; a drive may keep many old versions


def list_photos(folder: Path, tell: Callable[[str], None] | None = None) -> list[Path]:
    """Return the photos in `folder` and its subfolders, sorted by path.

    Skip hidden files, hidden folders and `SYSTEM_FOLDERS`. If `SYSTEM_FOLDERS` contain photos, call `tell` with a
    sentence that says how many. Search each folder once, even if several links lead to it. Raises `DataError` if a
    folder can't be read.
    """
    return [Path(name) for name in list_names(folder, tell)]


def list_names(folder: Path, tell: Callable[[str], None] | None = None) -> list[str]:
    """Return the result of `list_photos` as strings, since 100,000 Path objects would take twice as long."""
    system = []
    photos = sorted(find(Path(folder), system), key=lambda name: name.split(os.sep))
    count = len(list(islice((photo for place in system for photo in find_readable(place)), COUNTED))) if tell else 0
    if count:
        names = ", ".join(sorted({place.name for place in system}))
        more = " or more" * (count == COUNTED)
        tell(f"{count:,}{more} photos in system folders are skipped: {names}")
    return photos


def find(folder: Path, system: list[Path]) -> Iterator[str]:
    """Yield the photos in a folder and its subfolders. Skip `SYSTEM_FOLDERS`, but add their paths to `system`."""
    folders, links, searched = [folder], [], set()
    while folders or links:  # follow links last, so that a photo is listed by its real path if possible
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
    """Return the entries of a folder that aren't hidden, sorted. Raises `DataError` if the folder can't be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as e:
        raise DataError(f"{folder} can't be read ({e.strerror}). Fix that, or choose another folder.") from None


def is_folder(entry):
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()


def is_file(entry):
    """Return whether an entry of `os.scandir` is a regular file. Reading a pipe or a device may never end."""
    return os.path.isfile(entry) if entry.is_symlink() else entry.is_file()


def find_readable(folder):
    """Yield the photos in a folder. If a subfolder can't be read, stop without an error."""
    try:
        yield from find(folder, [])
    except DataError:
        return
