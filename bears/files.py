"""Find the files of this project, and write files whole or not at all."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from bears.errors import ExportError

# Where app.py, train.py and the shipped export are: beside this package, or in it if pip has installed a copy.
PACKAGE = Path(__file__).parent
IS_COPY = (PACKAGE / "lesson").is_dir()
HOME = PACKAGE / "lesson" if IS_COPY else PACKAGE.parent
MODEL = HOME / "export.pkl"


def export_file(name: str) -> Path:
    """Return the path of an export, given its own name or that of its folder."""
    return Path(name, "export.pkl") if os.path.isdir(name) else Path(name)


def fingerprint(file: Path) -> str:
    """Return the SHA-256, by which the offline version knows the export that it was made from, too."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def version_of(model: Path) -> str:
    """Return what counts of answers and feedback call an export."""
    return fingerprint(model)[:12]


def check_writable(folder: Path, option="--out") -> None:
    """Find out before hours of work, not after, that a folder cannot take its results; `option` names another one."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise ExportError(
            f"{folder} can't be written to ({e.strerror}). Choose another folder with {option}."
        ) from None


def write_whole(file: Path, data: bytes) -> None:
    """Write bytes to a new file next to `file` and move it into place, so that no reader sees half of it."""
    with whole(file) as part:
        part.write(data)


@contextmanager
def whole(file: Path) -> Iterator[BinaryIO]:
    """`write_whole` for what is too much to have in memory: the block writes to the binary file that it is given."""
    # A name of its own, opened with "x": a file or link of the user's is never written to.
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
        with suppress(OSError):  # gone already, or a disk that has turned read-only
            part.unlink()
