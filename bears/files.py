"""Write files whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bears.errors import ExportError


def export_file(name: str) -> Path:
    """The path of an export by its own name, or by that of the folder it lies in."""
    return Path(name, "export.pkl") if os.path.isdir(name) else Path(name)


def as_typed(path: Path | str) -> str:
    """A path as one types it on a command line."""
    return f'"{path}"' if " " in str(path) else str(path)


def check_writable(folder: Path, option="--out") -> None:
    """Find out before hours of work, not after, that a folder cannot take its results; `option` names another one."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        raise ExportError(f"{folder} cannot be written to ({e.strerror}): name another folder with {option}.") from None


def write_whole(file: Path, data: bytes) -> None:
    """Write bytes to a temporary file beside `file` and move it into place, so that no reader sees half of it."""
    with whole(file) as part:
        part.write_bytes(data)


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """`write_whole` for what is too much to have in memory: the block writes the Path that it is given."""
    part = Path(f"{file}.part")
    try:
        yield part
        os.replace(part, file)
    except OSError as e:
        part.unlink(missing_ok=True)
        raise ExportError(f"{file} cannot be written ({e.strerror}); what was there before is untouched.") from None
