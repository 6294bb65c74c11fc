"""Write the files of the offline version into a folder, and keep all other files in it."""

import tempfile
from pathlib import Path

from bears.errors import OfflineError
from bears.files import check_writable, fingerprint
from bears.static_site import files_of, is_inside


def check_folder(folder: Path) -> None:
    """Raise a `BearsError` if a folder can't be written to, or if it has files but no offline version."""
    if folder.is_dir() and any(folder.iterdir()) and not files_of(folder):
        raise OfflineError(f"{folder} already contains other files. Choose an empty folder with --out.")
    check_writable(folder)


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write `files`, a dict from name to contents, into a folder. Raises `OfflineError`.

    Delete files of an earlier offline version that are not in `files`. Keep files that somebody has changed.
    """
    if not all(is_inside(folder, name) for name in files):
        raise OfflineError(f"{folder} has links to other folders. Choose a new folder with --out.")
    left = {folder / name: digest for name, digest in files_of(folder).items() if name not in files}
    try:
        with tempfile.TemporaryDirectory(dir=folder) as part:
            for name, data in files.items():  # write all to temporary files before any file is replaced
                (Path(part) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(part) / name).write_bytes(data)
            for name in files:  # the last one is the service worker, which lists all other files
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(part) / name).replace(folder / name)
        for file, digest in left.items():
            if file.is_file() and fingerprint(file) == digest:
                file.unlink()
    except OSError as e:
        raise OfflineError(f"{folder} can't be written to ({e.strerror}). Choose another folder with --out.") from None
