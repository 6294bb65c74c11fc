"""Make names of files and classes safe for terminals, command lines and spreadsheets. Read and write CSV files."""

import csv
import io
import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

# Characters that a terminal doesn't show: control characters, marks of text direction, bytes that are not UTF-8.
HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Cells that begin like this are formulas in a spreadsheet (https://owasp.org/www-community/attacks/CSV_Injection).
FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def printable(text: str) -> str:
    """Replace characters that a terminal doesn't show with escapes such as `\\x1b`."""
    return HIDDEN.sub(lambda hidden: hidden[0].encode("unicode_escape").decode(), text)


def print_line(text: str) -> None:
    """Print a line at once, with escapes for characters that a terminal doesn't show."""
    print(printable(text), flush=True)


def as_typed(path: Path | str) -> str:
    """Return a path as you would type it in a command, with quotes if needed.

    On Windows, the quotes are for cmd and PowerShell, elsewhere for bash. A path that begins with `-` gets `./` before
    it, so that the command doesn't read it as an option.
    """
    text = f"./{path}" if str(path).startswith("-") else str(path)
    if os.name == "nt":
        return subprocess.list2cmdline([text])
    if HIDDEN.search(text):
        quoted = re.sub(r"[\\']", r"\\\g<0>", text)
        return f"$'{HIDDEN.sub(lambda hidden: as_bytes(hidden[0]), quoted)}'"
    without_spaces = text.replace(" ", "")
    if shlex.quote(without_spaces) == without_spaces:
        return f'"{text}"' if " " in text else text
    return shlex.quote(text)


def as_bytes(text):
    """Return the UTF-8 bytes of a text as escapes such as `\\xc2\\x9b`, for a bash string like `$'…'`."""
    return "".join(f"\\x{byte:02x}" for byte in text.encode("utf-8", "surrogateescape"))


def to_cells(values: Sequence) -> list:
    """Return a row for `csv.writer`, with a `'` before each text that a spreadsheet would run as a formula."""
    return [f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value for value in values]


def from_cells(row: Mapping) -> dict:
    """Return a row of `csv.DictReader` without the `'` that `to_cells` has put before some values."""
    return {key: value[1:] if is_escaped(value) else value for key, value in row.items()}


def read_table(file: Path) -> list[dict]:
    """Return the rows of a CSV file. Raises `OSError`, `csv.Error`, or `ValueError` if the file is not UTF-8."""
    with open(file, newline="", encoding="utf-8-sig") as f:  # Excel writes a byte order mark
        return list(map(from_cells, csv.DictReader(f)))


def as_table(columns: Sequence[str], rows: Iterable[Sequence], line_end: str = "\r\n") -> bytes:
    """Return a CSV file with these columns and rows, as bytes."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=line_end).writerows([columns, *map(to_cells, rows)])
    return text.getvalue().encode(errors="replace")


def is_escaped(value):
    return isinstance(value, str) and value.startswith("'") and FORMULA.match(value) is not None
