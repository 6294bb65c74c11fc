"""Write docs/cli.md, the reference of all commands, from their --help texts.

.venv/bin/python docs/cli.py
"""

import runpy
import sys
from argparse import ArgumentParser
from pathlib import Path
from textwrap import dedent
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "cli.md"
sys.path.insert(0, str(ROOT))
from bears.__main__ import COMMANDS

HEAD = """# Commands and options

`.venv/bin/python docs/cli.py` writes this page from the `--help` texts. The guides show the commands at work:
[train](train.md), [predict](predict.md), [watch](watch.md), [offline](offline.md), [deploy](deploy.md).

Run a command in the folder of the repository, with `python3 -m bears` in front. On Windows, type `python` instead of
`python3`. The first run of a command installs what it needs into `.venv`.
"""
WITHOUT_OPTIONS = """
## Other commands

| command | what it does |
| --- | --- |
| `python3 -m bears notebook` | open the lesson in Jupyter; options after it go to Jupyter |
| `python3 -m bears licences` | write [the list of all licences](licences.md) |
| `python3 -m bears test` | run the tests; options after it go to pytest |
| `python3 -m bears --version` | print the version, the git commit, and the version of Python |
"""


class Found(Exception):
    """Carry a parser out of the program that created it."""


def stop(parser, *args):
    raise Found(parser)


def file_of(command):
    """Return the path of the program that a command runs."""
    *option, program = COMMANDS[command][1]
    path = ROOT.joinpath(*program.split(".")) if option else program
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def parser_of(command):
    """Return the argument parser of a command. Run its program, but only up to its slow imports."""
    with patch("bears.cli.begin", lambda parse_args: parse_args()), patch.object(ArgumentParser, "parse_args", stop):
        try:
            runpy.run_path(str(file_of(command)), run_name="__main__")
        except Found as e:
            return e.args[0]


def describe(text):
    """Yield the paragraphs of a description, with commands as blocks of code."""
    for block in text.strip().split("\n\n"):
        block = dedent(block)
        yield f"```sh\n{block}\n```\n" if block.startswith(("python3 ", ".venv")) else f"{block}\n"


def row(action):
    """Return a table row for an option or argument."""
    choices = f"{{{','.join(action.choices)}}}" if action.choices else action.dest.upper()
    value = action.metavar or choices
    words = [*action.option_strings[:1], *([value] if action.nargs != 0 else [])]
    return f"| `{' '.join(words)}` | {(action.help % vars(action)).replace('|', chr(92) + '|')} |"


def section(command):
    """Return the section of docs/cli.md about a command."""
    parser = parser_of(command)
    actions = [action for action in parser._actions if action.dest != "help"]
    table = ["| option | what it does |", "| --- | --- |", *map(row, actions)]
    return "\n".join([f"\n## {command}\n", *describe(parser.description), *table, ""])


def page():
    """Return the text of docs/cli.md."""
    described = [command for command in COMMANDS if command not in ("notebook", "licences", "test")]
    return HEAD + "".join(map(section, described)) + WITHOUT_OPTIONS


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
