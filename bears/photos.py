"""List the photos in a folder."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from bears.errors import DataError

# Of the formats that bears/model/photo.py opens.
EXTENSIONS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".heic", ".heif"),
}
# Folders that network drives and systems keep for themselves: thumbnails, deleted files, old versions.
SYSTEM_FOLDERS = {
    *("@eadir", "@tmp", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"),  # Synology, QNAP
    *("$recycle.bin", "system volume information", "__macosx", "lost+found"),  # Windows, macOS, Linux
}
SET_ASIDE = "set-aside"  # where `bears.clean` puts photos that are not to be used
UNREVIEWED = "unreviewed"  # where the app puts visitors' photos: nothing is learnt from them until somebody has looked
OURS = {SET_ASIDE, UNREVIEWED}
NONE_OF_THESE, NOT_KNOWN = "none of these", "I don't know"  # what visitors may say instead of a class
COUNTED = 10_000  # a drive may keep a hundred old versions of everything: photos there are counted up to this number


def list_photos(folder: Path, tell: Callable[[str], None] | None = None) -> list[Path]:
    """List the photos in `folder` and in all folders below it, sorted by their names.

    Hidden files and `SYSTEM_FOLDERS` are skipped; `tell` gets a sentence that says how many photos are in these.
    Every real folder is searched once, however many links lead to it. Files that are no photos are not listed.
    Raises `DataError` when a folder cannot be read.
    """
    return [Path(name) for name in list_names(folder, tell)]


def list_names(folder: Path, tell: Callable[[str], None] | None = None) -> list[str]:
    """Do what `list_photos` does, for strings: Path objects take as long again where there are 100,000 photos."""
    system = []
    photos = sorted(find(Path(folder), system), key=lambda name: name.split(os.sep))
    count = len(list(islice((photo for place in system for photo in find_readable(place)), COUNTED))) if tell else 0
    if count:
        names = ", ".join(sorted({place.name for place in system}))
        more = " or more" * (count == COUNTED)
        tell(f"{count:,}{more} photos in system folders are skipped: {names}")
    return photos


def find(folder: Path, system: list[Path]) -> Iterator[str]:
    """Find the photos in a folder and below it; what is in `SYSTEM_FOLDERS` is added to `system` instead."""
    folders, links, searched = [folder], [], set()
    while folders or links:  # links come last: a photo keeps the name that it has in its own folder
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
    """Return what a folder holds, sorted by name, without what is hidden."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as e:
        verb = "may not" if isinstance(e, PermissionError) else "cannot"
        raise DataError(f"{folder} {verb} be read ({e.strerror}). Fix that, or choose another folder.") from None


def is_folder(entry):
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()


def is_file(entry):
    """Return whether it is a file, and no pipe or device: reading one of those may never end."""
    return os.path.isfile(entry) if entry.is_symlink() else entry.is_file()


def find_readable(folder):
    """Find the photos in a folder as far as it can be read."""
    try:
        yield from find(folder, [])
    except DataError:
        return
