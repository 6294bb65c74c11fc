"""Write names of files and classes for a terminal, a command line and a spreadsheet: anybody may have chosen them."""

import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# What a terminal obeys and does not show: control characters, changes of direction, bytes that are not UTF-8.
HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# What a spreadsheet runs as a formula begins with one of these (https://owasp.org/www-community/attacks/CSV_Injection).
FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def printable(text: str) -> str:
    """Return the text with `\\x1b` and the like in place of characters that would change what a terminal shows."""
    return HIDDEN.sub(lambda hidden: hidden[0].encode("unicode_escape").decode(), text)


def print_line(text: str) -> None:
    """Print a line that may hold names, at once."""
    print(printable(text), flush=True)


def as_typed(path: Path | str) -> str:
    """Return a path as it is typed on a command line: in bash, and on Windows in its own shells."""
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
    """Return `\\xc2\\x9b` and the like, which bash reads within `$'…'`."""
    return "".join(f"\\x{byte:02x}" for byte in text.encode("utf-8", "surrogateescape"))


def to_cells(values: Sequence) -> list:
    """Return the values of a row for `csv.writer`: what a spreadsheet would run as a formula begins with a `'`."""
    return [f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value for value in values]


def from_cells(row: Mapping) -> dict:
    """Return a row of `csv.DictReader` as it was before `to_cells`."""
    return {key: value[1:] if is_escaped(value) else value for key, value in row.items()}


def is_escaped(value):
    return isinstance(value, str) and value.startswith("'") and FORMULA.match(value) is not None
