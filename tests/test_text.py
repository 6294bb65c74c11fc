"""Test that names of files and classes do no harm in commands, terminals and spreadsheets."""

import csv
import io
import os
import shutil
import subprocess
import sys
import time

import pytest
from bears.clean.decisions import Decisions
from bears.cli import ends_in_words
from bears.collect.attribution import Collection
from bears.errors import DataError, ExportError
from bears.files import write_whole
from bears.learning.data import find_photos, read_excluded
from bears.model.wording import log_line
from bears.text import as_typed, from_cells, print_line, printable, to_cells

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other names and shells")
ODD = [
    *("my photos", "my_photos(1)", "cats&dogs", "$HOME", "it's", 'a "b"', "a;b", "~", "#1", "*", "!", "a|b", "`id`"),
    *(
        "-rf",
        "--help",
        "a\nb",
        "a\x1b[31mb",
        "\udce9t\udce9",
        "tab\there's \\n",
        "灰熊 à côté",
        "\u202egpj.exe",
        "plain",
    ),
]
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''-1", "＝1"]
HARMLESS = ["'quoted'", "grizzly/a=b.jpg", "it's", 0.5, -0.5]


@needs_posix
@pytest.mark.slow
def test_printed_paths_lead_bash_to_the_same_file():
    command = "printf '%s\\0' " + " ".join(map(as_typed, ODD))
    assert printable(command) == command
    result = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    typed = [os.fsdecode(name) for name in result.stdout.split(b"\0")[:-1]]
    assert typed == [f"./{name}" if name.startswith("-") else name for name in ODD]


def test_what_a_terminal_would_obey_is_shown_instead(capsys):
    print_line("grizzly\x1b[2J\r\nall is well \x9b31m \u202egpj \udce9 灰熊 👨‍👩‍👧")
    assert capsys.readouterr().out == "grizzly\\x1b[2J\\r\\nall is well \\x9b31m \\u202egpj \\udce9 灰熊 👨‍👩‍👧\n"


def test_what_ends_a_program_shows_no_escapes_either():
    with pytest.raises(SystemExit) as e, ends_in_words("bears.predict"):
        raise DataError("\x1b]0;title\x07 is no photo.")
    assert e.value.code == "bears.predict: \\x1b]0;title\\x07 is no photo."


def test_the_log_of_the_page_shows_no_escapes():
    assert " Black\\x1b[2J bear, 99% sure in " in log_line("Black\x1b[2J bear, 99% sure", time.monotonic())


def test_no_cell_is_a_formula_and_every_one_can_be_read_back():
    cells = to_cells([*FORMULAS, *HARMLESS])
    assert [str(cell)[0] for cell in cells[: len(FORMULAS)]] == ["'"] * len(FORMULAS) and cells[
        len(FORMULAS) :
    ] == HARMLESS
    table = io.StringIO(newline="")
    csv.writer(table).writerows([["file"], *([cell] for cell in cells)])
    table.seek(0)
    read = [from_cells(row)["file"] for row in csv.DictReader(table)]
    assert read == [*FORMULAS, *map(str, HARMLESS)]


@needs_posix
def test_a_list_of_photos_and_the_log_of_cleaning_keep_such_names(shapes, tmp_path):
    data = shutil.copytree(shapes, tmp_path / "data")
    (data / "disc").rename(data / "=disc")
    (tmp_path / "list.csv").write_text("file,reason\n'=disc/00.jpg,blurred\n=disc/01.jpg,dark\n")
    assert read_excluded(tmp_path / "list.csv") == {"=disc/00.jpg": "blurred", "=disc/01.jpg": "dark"}
    decisions = Decisions(data)
    decisions.move("=disc/00.jpg", "square")
    assert ",move,'=disc/00.jpg,square/00-2.jpg" in (data / "set-aside" / "log.csv").read_text()
    assert decisions.undo("=disc/00.jpg") and (data / "=disc" / "00.jpg").is_file()


def test_a_title_that_is_a_formula_is_kept_as_text_and_read_as_it_was(shapes, tmp_path):
    jpeg = (shapes / "disc" / "00.jpg").read_bytes()
    collection = Collection(tmp_path)
    collection.keep("disc", {"url": "https://a.b/c.jpg", "title": '=HYPERLINK("http://evil")'}, "0" * 64, jpeg)
    assert """"'=HYPERLINK(""" in (tmp_path / "attribution.csv").read_text()
    assert Collection(tmp_path).rows == collection.rows
    assert collection.rows["disc/0000000000000000.jpg"]["title"] == '=HYPERLINK("http://evil")'


@needs_posix
def test_a_class_whose_name_no_file_can_carry_is_refused_before_training(shapes, tmp_path):
    data = shutil.copytree(shapes, tmp_path / "data")
    (data / "disc").rename(data / ("d" * 250))
    with pytest.raises(
        DataError, match=r"The class d{20}… has a name of 250 bytes\. Shorten the name of its folder to 200"
    ):
        find_photos(data)


@needs_posix
def test_a_file_is_written_whole_whatever_lies_beside_it(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "table.csv.part").symlink_to("mine")
    os.umask(umask := os.umask(0))
    name = "n" * 250 + ".csv"  # the longest possible name
    for file in (tmp_path / "table.csv", tmp_path / name):
        write_whole(file, b"table")
        assert file.read_bytes() == b"table" and file.stat().st_mode & 0o777 == 0o666 & ~umask
    assert (tmp_path / "mine").read_text() == "mine" and (tmp_path / "table.csv.part").is_symlink()
    assert {f.name for f in tmp_path.iterdir()} == {"mine", "table.csv", "table.csv.part", name}


def test_a_disk_that_has_turned_read_only_is_a_sentence(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    for name in ("unlink", "open"):
        monkeypatch.setattr(f"pathlib.Path.{name}", refuse)
    with pytest.raises(
        ExportError, match=r"can't be written \(Read-only file system\)\. An earlier file with that name"
    ):
        write_whole(tmp_path / "table.csv", b"table")
