"""Find the files of this project, and write files completely or not at all."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from bears.errors import ExportError

# HOME is the folder of app.py, train.py and the shipped export: the parent folder of this package. If pip has installed
# a copy, HOME is the folder `lesson` in the package.
PACKAGE = Path(__file__).parent
IS_COPY = (PACKAGE / "lesson").is_dir()
HOME = PACKAGE / "lesson" if IS_COPY else PACKAGE.parent
MODEL = HOME / "export.pkl"


def export_file(name: str) -> Path:
    """Return the path of an export. If `name` is a folder, return the path of export.pkl in this folder."""
    return Path(name, "export.pkl") if os.path.isdir(name) else Path(name)


def fingerprint(file: Path) -> str:
    """Return the SHA-256 of a file in hex. The offline version stores the fingerprint of its export."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def version_of(model: Path) -> str:
    """Return a short id of an export. Files with a model's answers name the model by this id."""
    return fingerprint(model)[:12]


def check_writable(folder: Path, option="--out") -> None:
    """Create a folder and check that files can be written to it. Call this function before hours of work.

    Raises `ExportError`. The error message tells the user to choose another folder with the option `option`.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise ExportError(
            f"{folder} can't be written to ({e.strerror}). Choose another folder with {option}."
        ) from None


def write_whole(file: Path, data: bytes) -> None:
    """Write bytes to a temporary file and rename it, so that `file` is never incomplete. Raises `ExportError`."""
    with whole(file) as part:
        part.write(data)


@contextmanager
def whole(file: Path) -> Iterator[BinaryIO]:
    """Open a temporary file for writing bytes, and rename it to `file` after the `with` block. Raises `ExportError`."""
    # The random name and the mode "x" ensure that no file or link of the user is overwritten.
    part = Path(file).with_name(f".{uuid4().hex}.part")
    try:
        with part.open("xb") as f:
            yield f
        os.replace(part, file)
    except OSError as e:
        raise ExportError(
            f"{file} can't be written ({e.strerror}). An earlier file with that name is unchanged."
        ) from None
    finally:
        with suppress(OSError):  # `part` was renamed, or the disk has become read-only
            part.unlink()
