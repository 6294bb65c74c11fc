"""Write the offline version into a folder, whole or not at all, and keep other files there."""

import tempfile
from pathlib import Path

from bears.errors import OfflineError
from bears.files import check_writable, fingerprint
from bears.static_site import files_of, is_inside


def check_folder(folder: Path) -> None:
    """Raise a `BearsError` if a folder can't be written to, or has files that no offline version has."""
    if folder.is_dir() and any(folder.iterdir()) and not files_of(folder):
        raise OfflineError(f"{folder} already contains other files. Choose an empty folder with --out.")
    check_writable(folder)


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write `files`. Delete an earlier version's files, unless somebody has changed them. Raises `OfflineError`."""
    if not all(is_inside(folder, name) for name in files):
        raise OfflineError(f"{folder} has links to other folders. Choose a new folder with --out.")
    left = {folder / name: digest for name, digest in files_of(folder).items() if name not in files}
    try:
        with tempfile.TemporaryDirectory(dir=folder) as part:
            for name, data in files.items():  # write all to temporary files before the first one is replaced
                (Path(part) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(part) / name).write_bytes(data)
            for name in files:  # the service worker, which lists all the others, is last
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(part) / name).replace(folder / name)
        for file, digest in left.items():
            if file.is_file() and fingerprint(file) == digest:
                file.unlink()
    except OSError as e:
        raise OfflineError(f"{folder} can't be written to ({e.strerror}). Choose another folder with --out.") from None
