"""Test the list of photos in a folder: system folders are skipped, and linked folders are followed."""

import os
import re
import shutil
import sys

import pytest
from bears.errors import DataError
from bears.learning.data import find_photos
from bears.photos import list_photos
from helpers import ROOT

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other links and no pipes")


@pytest.fixture
def drive(shapes, tmp_path):
    """Return the shapes as on a network drive, with thumbnails, deleted photos and other leftovers."""
    data = shutil.copytree(shapes, tmp_path / "drive")
    leftovers = ["@eaDir/00.jpg", "#recycle", "@Recycle", "#snapshot/monday", "$RECYCLE.BIN", "__MACOSX/disc"]
    for name in ["disc/@eaDir/00.jpg", *leftovers, ".hidden"]:
        (data / name).mkdir(parents=True)
        shutil.copy(shapes / "disc" / "00.jpg", data / name / "SYNOPHOTO_THUMB_M.jpg")
    return data


def names(folder, tell=None):
    return [photo.relative_to(folder).as_posix() for photo in list_photos(folder, tell)]


def test_what_a_drive_keeps_for_itself_is_skipped_and_counted(drive, shapes):
    said = []
    assert names(drive, said.append) == names(shapes)
    assert said == [
        "7 photos in system folders are skipped: #recycle, #snapshot, $RECYCLE.BIN, @Recycle, @eaDir, __MACOSX"
    ]


def test_it_is_no_class_either_and_the_user_reads_how_many_were_skipped(drive, capsys):
    files, _ = find_photos(drive)
    assert {f.parent.name for f in files} == {"disc", "square"} and len(files) == 32
    said = capsys.readouterr().out
    assert "· 7 photos in system folders" in said and "has no photos" not in said


def test_a_folder_with_such_a_name_that_is_named_itself_is_searched(drive):
    assert names(drive / "@eaDir") == ["00.jpg/SYNOPHOTO_THUMB_M.jpg"]


@needs_posix
def test_linked_folders_are_searched_once_and_a_loop_ends(shapes, tmp_path):
    data, elsewhere = shutil.copytree(shapes, tmp_path / "data"), tmp_path / "elsewhere"
    shutil.copytree(shapes / "disc", elsewhere / "deep")
    (data / "a loop").symlink_to(data)
    (elsewhere / "back").symlink_to(data, target_is_directory=True)
    (data / "disc" / "up").symlink_to("..")
    (data / "itself").symlink_to("itself")
    (data / "again").symlink_to(data / "square")  # a link that is first in the alphabet
    for name in ("one", "two"):
        (data / name).symlink_to(elsewhere)
    (data / "three").symlink_to(elsewhere / "deep")
    assert names(data) == sorted([*names(shapes), *(f"one/deep/{n:02}.jpg" for n in range(16))])


@needs_posix
def test_a_pipe_and_a_folder_that_are_named_as_photos_are_none(shapes, tmp_path):
    shutil.copy(shapes / "disc" / "00.jpg", tmp_path / "photo.JPG")
    (tmp_path / "linked.jpg").symlink_to("photo.JPG")
    (tmp_path / "lost.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link to a pipe.jpg").symlink_to("pipe.jpg")
    assert names(tmp_path) == ["linked.jpg", "photo.JPG"]


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match=r"nowhere can't be read \(.+\)\. Fix that, or choose another folder\."):
        list_photos(tmp_path / "nowhere")


def test_no_other_code_searches_folders_for_photos():
    code = {f.relative_to(ROOT).as_posix(): f.read_text(encoding="utf-8") for f in ROOT.glob("bears/**/*.py")}
    words = re.compile(r"get_image_files\(|\.rglob\(|glob\(.\*\*/|EXTENSIONS\b")
    assert {name for name, text in code.items() if words.search(text)} <= {"bears/photos.py"}
