"""Test `clean`: planted mistakes are found, and every step is logged and can be undone."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np
import pytest
import requests
from bears.clean import __main__ as clean
from bears.clean.checks import CHECKS, NEAR_DUPLICATE, WRONG_CLASS, Finding, none_of_the_classes
from bears.clean.decisions import COLUMNS, Decisions
from bears.clean.page import Review
from bears.clean.ranking import RankedPhoto, measure, rank, rank_folder, read_photos
from bears.errors import DataError
from bears.learning.data import find_photos, read_excluded
from bears.model.photo import open_photo
from helpers import DESKTOP, PHONE, ROOT, Server, serious_findings
from PIL import Image, ImageOps

SUM = (
    r"33 photos to review: (\d+) may be near-duplicates, (\d+) may show none of your classes,"
    r" (\d+) may be in the wrong folder\."
)


@pytest.fixture(scope="module")
def planted(shapes, tmp_path_factory):
    """Return the drawn photos with a square among the discs, a white photo and a mirrored copy."""
    data = shutil.copytree(shapes, tmp_path_factory.mktemp("planted") / "data")
    shutil.move(data / "square" / "03.jpg", data / "disc" / "square.jpg")
    Image.new("RGB", (96, 96), "white").save(data / "square" / "white.png")
    with Image.open(data / "disc" / "05.jpg") as im:
        ImageOps.mirror(im).save(data / "disc" / "mirrored.png")
    return data


@pytest.fixture(scope="module")
def measured(planted):
    """Return the checks' input for the planted photos."""
    files, _ = find_photos(planted)
    learn, features, targets = read_photos(files)
    return measure(planted, files, features, targets, learn.dls.vocab)


@pytest.fixture(scope="module")
def ranking(measured):
    return rank(measured)


@pytest.fixture
def data(planted, tmp_path):
    return shutil.copytree(planted, tmp_path / "data")


def files(folder):
    """Return all photos below a folder with their bytes."""
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*.*g") if f.is_file()}


@pytest.mark.slow
def test_every_photo_is_ranked_in_its_class_worst_first(ranking, planted):
    assert list(ranking) == ["disc", "square"]
    for label, ranked in ranking.items():
        assert {s.name for s in ranked} == {f"{label}/{f.name}" for f in (planted / label).iterdir()}
        scores = [s.score for s in ranked]
        assert scores == sorted(scores) and scores[0] >= 0 and scores[-1] <= 1


@pytest.mark.slow
def test_a_photo_in_the_wrong_class_is_found(ranking):
    place = [s.name for s in ranking["disc"]].index("disc/square.jpg")
    assert place < 4
    assert ranking["disc"][place].guess == "square" and "looks like square" in ranking["disc"][place].opinion


@pytest.mark.slow
def test_a_photo_of_something_else_is_found(ranking):
    assert ranking["square"][0].name == "square/white.png"
    assert "may show none of your classes" in ranking["square"][0].opinion


@pytest.mark.slow
def test_a_copy_is_found_and_names_its_original(ranking):
    copies = {s.name: s.near_duplicate for ranked in ranking.values() for s in ranked if s.near_duplicate}
    assert copies in ({"disc/05.jpg": "disc/mirrored.png"}, {"disc/mirrored.png": "disc/05.jpg"})
    [copy] = [s for s in ranking["disc"] if s.near_duplicate]
    assert copy.opinion.startswith(f"nearly the same photo as {copy.near_duplicate}") and copy in ranking["disc"][:6]


@pytest.mark.slow
def test_one_more_check_is_one_more_entry(measured, planted, monkeypatch):
    def too_bright(photos):
        found = np.array([np.mean(open_photo(file)) > 250 for file in photos.files])
        return Finding(found, np.where(found, 1e-9, 1), ["too bright" if bright else "" for bright in found])

    monkeypatch.setitem(CHECKS, "may be too bright", too_bright)
    ranking = rank(measured)
    worst = ranking["square"][0]
    assert worst.name == "square/white.png" and worst.opinion.endswith("too bright") and worst.score < 1e-8
    assert "1 may be too bright" in clean.sum_up(Review(Decisions(planted), ranking))


@pytest.mark.slow
def test_the_bears_that_were_left_out_by_eye_are_found(photos, tmp_path):
    left_out = set(read_excluded(ROOT / "bears" / "train" / "excluded.csv"))
    for label in ("black", "grizzly", "teddy"):
        some = sorted((photos / "bears" / label).iterdir())[:25]
        (tmp_path / label).mkdir()
        for file in {*some, *(photos / "bears" / name for name in left_out if name.startswith(label))}:
            shutil.copy(file, tmp_path / label)
    read = []
    ranked = rank_folder(tmp_path, progress=lambda *of: read.append(of))[0]
    total = sum(map(len, ranked.values()))
    assert read[-1] == (total, total) and read == sorted(read) and len(set(read)) == total
    placeholder = ranked["grizzly"][0]
    assert placeholder.name == "grizzly/14ec1d3fbc32.jpg" and placeholder.suggestion == ("set aside", "")
    first = {s.name for s in ranked["teddy"][:12]}
    assert "teddy/39c447c5e3d0.jpg" in first  # the cat
    assert len(first & left_out) >= 9  # the dogs, and others


@pytest.mark.parametrize(
    ("found_by", "group", "suggestion"),
    [
        ([], "look right", ("keep", "")),
        ([NEAR_DUPLICATE], "near-duplicates", ("set aside", "")),
        ([WRONG_CLASS], "look wrong", ("move", "square")),
        ([WRONG_CLASS, NEAR_DUPLICATE], "look wrong", ("set aside", "")),
        (["may be too bright"], "look wrong", ("set aside", "")),
    ],
)
def test_what_is_suggested_follows_from_what_was_found(found_by, group, suggestion):
    photo = RankedPhoto("disc/00.jpg", "disc", 0.5, "", frozenset(found_by), "square", None)
    assert (photo.group, photo.suggestion) == (group, suggestion)


def test_what_is_unlike_everything_is_not_moved_to_the_class_that_it_looks_like():
    likeness = np.array([0.01, 0.02, *[0.8] * 28])
    labels = ["disc"] * 30
    guesses = ["square", "disc", "square", *labels[3:]]
    photos = SimpleNamespace(likeness=likeness, show_none=likeness < 0, guesses=guesses, labels=labels)
    found = none_of_the_classes(photos)
    assert found.found.tolist() == [True] + [False] * 29
    assert [says for says in found.says if says] == [
        "unlike your other photos (1% alike)",
        "unlike your other photos (2% alike)",
    ]


def test_keep_move_and_set_aside(data):
    before, decisions = files(data), Decisions(data)
    decisions.keep("disc/00.jpg")
    decisions.move("disc/square.jpg", "square")
    decisions.set_aside("square/white.png")
    after = files(data)
    assert after["square/square.jpg"] == before["disc/square.jpg"] and "disc/square.jpg" not in after
    assert after["set-aside/square/white.png"] == before["square/white.png"] and "square/white.png" not in after
    assert sorted(after.values()) == sorted(before.values())


def test_training_does_not_see_what_was_set_aside(data):
    Decisions(data).set_aside("square/white.png")
    found = {f.relative_to(data).as_posix() for f in find_photos(data)[0]}
    assert "square/00.jpg" in found and not any("white.png" in name for name in found)


def test_every_step_can_be_taken_back_after_a_restart_too(data):
    before = files(data)
    Decisions(data).move("disc/square.jpg", "square")
    Decisions(data).set_aside("square/square.jpg")
    Decisions(data).keep("disc/00.jpg")
    assert [Decisions(data).undo()["action"] for _ in range(3)] == ["keep", "set aside", "move"]
    assert files(data) == before
    assert Decisions(data).undo() is None and Decisions(data).steps() == []
    log = Decisions(data).read()
    assert len(log) == 6 and tuple(log[0]) == COLUMNS and [row["action"] for row in log].count("undo") == 3


def test_a_step_can_be_taken_back_by_the_name_of_its_photo(data):
    before, decisions = files(data), Decisions(data)
    decisions.set_aside("disc/00.jpg")
    decisions.keep("disc/01.jpg")
    assert decisions.undo("disc/00.jpg")["action"] == "set aside" and decisions.undo("disc/00.jpg") is None
    assert files(data) == before and [step["from"] for step in decisions.steps()] == ["disc/01.jpg"]


@pytest.mark.slow
def test_a_photo_that_was_decided_about_does_not_come_back(data, ranking):
    Decisions(data).keep("square/white.png")
    Decisions(data).set_aside("square/00.jpg")
    left = {s.name for s in Review(Decisions(data), ranking).waiting("square")}
    assert left == {s.name for s in ranking["square"]} - {"square/white.png", "square/00.jpg"}
    Decisions(data).undo()
    assert "square/00.jpg" in {s.name for s in Review(Decisions(data), ranking).waiting("square")}


def test_nothing_is_overwritten(data):
    before, decisions = files(data), Decisions(data)
    decisions.move("disc/00.jpg", "square")
    decisions.move("disc/square.jpg", "square")
    shutil.copy(data / "disc" / "01.jpg", data / "disc" / "00.jpg")
    decisions.move("disc/00.jpg", "square")
    after = files(data)
    assert after["square/00.jpg"] == before["square/00.jpg"]
    assert after["square/00-2.jpg"] == before["disc/00.jpg"]
    assert after["square/00-3.jpg"] == before["disc/01.jpg"]


def test_taking_a_step_back_overwrites_nothing_either(data):
    before, decisions = files(data), Decisions(data)
    decisions.set_aside("disc/00.jpg")
    shutil.copy(data / "disc" / "01.jpg", data / "disc" / "00.jpg")
    decisions.undo()
    after = files(data)
    assert after["disc/00.jpg"] == before["disc/01.jpg"] and after["disc/00-2.jpg"] == before["disc/00.jpg"]
    assert decisions.steps() == []


def test_a_link_that_leads_nowhere_is_not_overwritten_either(data):
    link = data / "square" / "00.jpg"
    link.unlink()
    link.symlink_to(data / "photos that are not here" / "00.jpg")
    Decisions(data).move("disc/00.jpg", "square")
    assert link.is_symlink() and (data / "square" / "00-2.jpg").is_file()


def test_an_undo_takes_back_the_latest_of_equal_steps(data):
    decisions = Decisions(data)
    for name in ("disc/00.jpg", "disc/01.jpg", "disc/00.jpg"):
        decisions.keep(name)
    decisions.undo()
    assert [step["from"] for step in decisions.steps()] == ["disc/00.jpg", "disc/01.jpg"]


def test_a_photo_whose_move_failed_has_left_a_trace_and_no_step(data, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    decisions = Decisions(data)
    monkeypatch.setattr(shutil, "move", fail)
    with pytest.raises(DataError, match="No space left on device"):
        decisions.move("disc/00.jpg", "square")
    assert (data / "disc" / "00.jpg").exists() and decisions.steps() == []
    assert [row["to"] for row in decisions.read()] == ["square/00-2.jpg"]


@pytest.mark.parametrize("name", ['a, "b".jpg', "two\r\nlines.jpg", "bär.jpg"])
def test_any_name_is_logged_and_taken_back_also_once_a_spreadsheet_has_saved_the_log(data, name):
    (data / "disc" / "00.jpg").rename(data / "disc" / name)
    decisions = Decisions(data)
    decisions.set_aside(f"disc/{name}")
    decisions.log.write_bytes(b"\xef\xbb\xbf" + decisions.log.read_bytes())
    assert tuple(decisions.read()[0]) == COLUMNS
    assert decisions.undo(f"disc/{name}")["action"] == "set aside" and (data / "disc" / name).is_file()


def test_a_name_that_is_not_utf8_is_a_sentence_and_stays(data):
    name = os.fsdecode(b"\xff.jpg")
    (data / "disc" / "00.jpg").rename(data / "disc" / name)
    with pytest.raises(DataError, match="not valid UTF-8"):
        Decisions(data).set_aside(f"disc/{name}")
    assert (data / "disc" / name).is_file()


def test_a_page_that_stays_busy_is_a_sentence(data, monkeypatch):
    monkeypatch.setattr("bears.clean.decisions.WAIT", 0.05)
    decisions = Decisions(data)
    decisions.keep("disc/00.jpg")
    holder = threading.Thread(
        target=lambda: (decisions.lock.acquire(), held.set(), done.wait(), decisions.lock.release())
    )
    held, done = threading.Event(), threading.Event()
    holder.start()
    held.wait()
    with pytest.raises(DataError, match="Another review page is still working"):
        decisions.undo()
    done.set()
    holder.join()
    assert decisions.undo()["action"] == "keep"


def test_a_folder_that_takes_no_folder_is_a_sentence(data):
    (data / "set-aside").write_text("mine")
    with pytest.raises(DataError, match="can't be used"):
        Decisions(data).keep("disc/00.jpg")


MOVE_ALL = """
import sys, time
from pathlib import Path
from bears.clean.decisions import Decisions

folder, label = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for file in sorted((folder / label).iterdir()):
    Decisions(folder).move(f"{label}/{file.name}", "both")
    if file.stem.endswith("9"):
        Decisions(folder).undo()
"""


@pytest.mark.slow
def test_two_pages_at_once_overwrite_nothing(tmp_path):
    labels = ("disc", "square")
    for label in labels:
        (tmp_path / label).mkdir()
        for i in range(150):
            (tmp_path / label / f"{i:03}.jpg").write_text(f"{label} {i}")
    before = sorted(files(tmp_path).values())
    command, pipe = [sys.executable, "-c", MOVE_ALL, tmp_path], subprocess.PIPE
    pages = [subprocess.Popen([*command, label], cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for label in labels]
    assert [page.stdout.readline() for page in pages] == ["ready\n", "ready\n"]
    for page in pages:
        page.stdin.write("go\n")
        page.stdin.flush()
    for page in pages:
        page.communicate(timeout=60)
    assert [page.returncode for page in pages] == [0, 0]
    assert sorted(files(tmp_path).values()) == before
    assert len(Decisions(tmp_path).steps()) == 2 * (150 - 15)
    assert len(Decisions(tmp_path).read()) == 2 * (150 + 15)


@pytest.mark.parametrize("name", ["../outside.jpg", "/etc/hostname", "disc/../../outside.jpg", "disc/link.jpg"])
def test_nothing_outside_of_the_folder_is_touched(data, name):
    (data.parent / "outside.jpg").write_bytes(b"mine")
    (data / "disc" / "link.jpg").symlink_to(data.parent / "outside.jpg")
    decisions = Decisions(data)
    for step in (decisions.keep, decisions.set_aside, lambda name: decisions.move(name, "square")):
        with pytest.raises(DataError, match="outside"):
            step(name)
    with pytest.raises(DataError, match="outside"):
        decisions.move("disc/00.jpg", "../..")
    assert (data.parent / "outside.jpg").read_bytes() == b"mine" and not decisions.log.exists()


def test_a_photo_that_went_away_is_a_sentence(data):
    with pytest.raises(DataError, match="has been moved"):
        Decisions(data).set_aside("disc/nothing.jpg")


def test_a_damaged_log_is_a_sentence(data):
    decisions = Decisions(data)
    decisions.set_aside("disc/00.jpg")
    decisions.log.write_text("when,what\nnow,that\n")
    with pytest.raises(DataError, match="rename it"):
        decisions.undo()


@pytest.mark.parametrize(
    "rows", ["now,keep", "now,undo,disc/00.jpg,disc/00.jpg", "now,keep," + "x" * 2**18, "\udcff,,,"]
)
def test_any_damage_to_the_log_is_a_sentence(data, rows):
    decisions = Decisions(data)
    decisions.keep("disc/00.jpg")
    decisions.undo()
    with decisions.log.open("a", encoding="utf-8", errors="surrogateescape") as f:
        f.write(rows + "\n")
    with pytest.raises(DataError, match="rename it"):
        decisions.steps()


def test_a_folder_may_be_named_from_where_one_is_and_has_no_steps_at_first(data, monkeypatch):
    monkeypatch.chdir(data.parent)
    decisions = Decisions(data.name)
    assert decisions.steps() == []
    decisions.keep("disc/00.jpg")
    assert [step["to"] for step in decisions.steps()] == ["disc/00.jpg"]


def test_a_photo_in_a_linked_folder_is_logged_where_it_is(data):
    (data / "link").symlink_to(data / "disc")
    Decisions(data).keep("link/00.jpg")
    assert [step["from"] for step in Decisions(data).steps()] == ["disc/00.jpg"]


def test_a_folder_that_cannot_be_written_to_is_a_sentence_and_moves_nothing(data):
    decisions = Decisions(data)
    decisions.log.mkdir(parents=True)  # a folder, which no user can write to, not even root
    with pytest.raises(DataError, match="Can't move"):
        decisions.set_aside("disc/00.jpg")
    assert (data / "disc" / "00.jpg").exists()
    with pytest.raises(DataError, match="rename it"):
        decisions.steps()


@pytest.mark.slow
def test_the_list_says_what_is_wrong(planted, capsys):
    clean.main(["--list", str(planted)])
    said, discs, squares = capsys.readouterr().out.split("  1. ")
    assert "█" not in said
    assert any("disc/square.jpg  " in line and "looks like square" in line for line in discs.splitlines()[:4])
    assert squares.startswith("square/white.png  may show none of your classes\n")
    assert discs.count("unlike your other photos") + squares.count("unlike your other photos") <= 4  # of 34


@pytest.mark.slow
def test_the_list_ends_in_words_and_in_commands(planted, tmp_path, capsys, monkeypatch):
    (tmp_path / "my list.csv").write_text("file,reason\ndisc/00.jpg,blurred\n")
    monkeypatch.chdir(planted.parent)
    clean.main(["--list", planted.name, "--exclude", str(tmp_path / "my list.csv")])
    *_, found, on, further = capsys.readouterr().out.splitlines()
    copies, none, wrong = map(int, re.fullmatch(SUM, found).groups())
    assert 1 <= wrong <= 5 and 1 <= none <= 3 and copies >= 1
    assert on == f'Next, review them: python3 -m bears clean data --exclude "{tmp_path}/my list.csv"'
    assert further.endswith(f': python3 -m bears train --data data --exclude "{tmp_path}/my list.csv" --out my_model')


@pytest.mark.parametrize("name", ["nowhere", "photo.jpg"])
def test_a_folder_that_is_not_there_is_a_sentence(tmp_path, name):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(SystemExit) as exit:
        clean.main([str(tmp_path / name)])
    assert str(exit.value).startswith("bears.clean: There is no folder")


@pytest.mark.slow
def test_ctrl_c_while_it_judges_is_a_sentence(planted):
    process = subprocess.Popen(
        [sys.executable, "-m", "bears.clean", planted],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert any("Scoring" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert err == "bears.clean: stopped. Your decisions are kept.\n" and process.returncode == 1


def test_a_photo_of_a_nested_folder_moves_to_the_class_that_there_is(data):
    (data / "disc" / "more").mkdir()
    shutil.copy(data / "square" / "00.jpg", data / "disc" / "more" / "mine.jpg")
    Decisions(data).move("disc/more/mine.jpg", "square")
    assert (data / "square" / "mine.jpg").exists()


def test_a_photo_moves_to_the_class_beside_its_own_before_one_further_away(data):
    for label in ("disc", "square"):
        shutil.copytree(data / label, data / "more" / label)
    Decisions(data).move("more/disc/00.jpg", "square")
    assert (data / "more" / "square" / "00-2.jpg").exists() and not (data / "square" / "00-2.jpg").exists()
    Decisions(data).move("more/disc/01.jpg", "new")
    assert (data / "more" / "new" / "01.jpg").exists()


@pytest.fixture(scope="module")
def cleaner(planted, tmp_path_factory):
    """Run `python -m bears.clean` on a copy of the planted photos; yield the folder and the server."""
    folder = tmp_path_factory.mktemp("cleaner")
    data = shutil.copytree(planted, folder / "data")
    server = Server(folder / "log", "bears.clean", str(data), app="-m", seconds=180)
    server.wait_for(r"34 photos to review: .*", 180)  # they are scored
    yield data, server
    server.close()


@pytest.fixture
def open_page(cleaner, browser):
    """Return a function that opens the review page at a photo. Afterwards, check that all files are as before."""
    data, server = cleaner
    before, contexts = files(data), []

    def open_page(name="", **screen):
        contexts.append(browser.new_context(**screen or DESKTOP))
        page = contexts[-1].new_page()
        page.goto(f"{server.url}#{name}")
        page.locator("#grid li").first.wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert files(data) == before and not Decisions(data).steps()


@pytest.fixture
def right(cleaner):
    """Return the discs that look right, in the order of the review page."""
    photos = requests.get(f"{cleaner[1].url}/review", timeout=30).json()["photos"]
    return [photo["name"] for photo in photos if (photo["label"], photo["group"]) == ("disc", "look right")]


def logged(data, count, since=0):
    """Skip `since` lines of the log, and wait for `count` more. Return those as pairs of action and photo."""
    deadline = time.monotonic() + 20
    while len(Decisions(data).read()) < since + count and time.monotonic() < deadline:
        time.sleep(0.05)
    rows = Decisions(data).read()[since:]
    return [(row["action"], row["to" if row["action"] == "undo" else "from"]) for row in rows]


def suggested(page):
    return page.locator("#actions .suggested").get_attribute("aria-label") or page.inner_text("#actions .suggested")


@pytest.mark.slow
@pytest.mark.parametrize("screen", [DESKTOP, {**PHONE, "color_scheme": "dark"}], ids=["desktop", "phone"])
def test_photos_are_put_right_on_the_page(cleaner, open_page, screen):
    data, before, since = cleaner[0], files(cleaner[0]), len(Decisions(cleaner[0]).read())
    page = open_page(**screen)
    page.get_by_text("look wrong; you can stop after these").wait_for()
    page.locator("#labels button", has_text="square").click()
    page.locator("#opinion", has_text="may show none of your classes").get_by_text("square/white.png").wait_for()
    assert "Set aside" in suggested(page)
    page.get_by_role("button", name="Set aside").focus()
    page.keyboard.press("Enter")

    page.locator("#labels button", has_text="disc").click()
    page.locator("#grid button", has_text="looks like square").first.click()
    page.locator("#opinion", has_text="looks like square").get_by_text("disc/square.jpg").wait_for()
    assert suggested(page) == "Move to square"
    page.get_by_role("button", name="Move to square").click()
    assert logged(data, 2, since) == [("set aside", "square/white.png"), ("move", "disc/square.jpg")]
    assert (data / "set-aside" / "square" / "white.png").exists()
    assert (data / "square" / "square.jpg").read_bytes() == before["disc/square.jpg"]

    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    assert page.evaluate("[...document.querySelectorAll('.why')].every(e => e.scrollHeight <= e.clientHeight)")
    page.mouse.wheel(0, 5000)
    for button in page.locator("#actions button:visible").all():
        box = button.bounding_box()
        assert 0 <= box["y"] <= screen["viewport"]["height"] - box["height"] and box["height"] >= 44
    assert not serious_findings(page)

    page.get_by_role("button", name="Undo").click()
    page.locator("#opinion", has_text="disc/square.jpg").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.locator("#opinion", has_text="square/white.png").wait_for()
    page.keyboard.press("u")
    page.get_by_text("There is nothing to undo.").wait_for()
    assert logged(data, 4, since)[2:] == [("undo", "disc/square.jpg"), ("undo", "square/white.png")]


# For each key typed on a page of discs: the action, and the positions of its photos.
TYPED = [
    ("k", "keep", 0),
    ("s", "set aside", 1),
    ("2", "move", 2),
    ("1", "keep", 3),  # it is in that class already
    ("ArrowRight",),
    ("k", "keep", 5),
    ("u", "undo", 5),
    ("s", "set aside", 5),
    ("x",),
    ("ArrowRight",),
    ("x",),
    ("k", "keep", 6, 7),
    ("s", "set aside", 8),
    ("a", "keep", 4, 9, 10, 11),
]


@pytest.mark.slow
def test_no_key_is_lost_however_fast_they_come(cleaner, open_page, right):
    data, since = cleaner[0], len(Decisions(cleaner[0]).read())
    page, held, names = open_page(right[0]), [], right[:12]
    assert names == [button.get_attribute("title") for button in page.locator("#grid button").all()]
    page.route("**/decide", lambda route: held.append(route))  # hold the answers while keys are typed
    for key, *_ in TYPED:
        page.keyboard.press(key)
    assert len(held) == 1 and len(Decisions(data).read()) == since
    held[0].continue_()
    page.unroute("**/decide")
    steps = [(action, names[i]) for _, action, *places in (typed for typed in TYPED if typed[1:]) for i in places]
    assert logged(data, len(steps), since) == steps
    for _ in range(len([typed for typed in TYPED if typed[1:]]) - 2):  # one step, and the undo of it
        page.keyboard.press("u")
    since, steps = since + len(steps), [name for action, name in reversed(steps) if action != "undo"]
    steps.remove(names[5])
    assert logged(data, len(steps), since) == [("undo", name) for name in steps]


@pytest.mark.slow
def test_keys_are_not_for_the_page_in_a_text_field_or_with_others(cleaner, open_page, right):
    data, since = cleaner[0], len(Decisions(cleaner[0]).read())
    page, asked = open_page(right[0]), []
    page.on("request", lambda request: asked.append(request.url))
    for key in ("Control+k", "Alt+s", "Meta+2", "Shift+K", "Control+ArrowRight"):
        page.keyboard.press(key)
    page.evaluate("document.querySelector('#clean').append(document.createElement('input'))")
    page.locator("#clean > input").focus()
    page.keyboard.type("ks12ua")
    assert page.locator("#clean > input").input_value() == "ks12ua"
    assert not page.locator("#grid .over").count() and not any("decide" in url for url in asked)
    page.locator("#grid input").first.focus()  # a checkbox is not a text field
    page.keyboard.press("k")
    page.keyboard.press("u")
    assert logged(data, 2, since) == [("keep", right[0]), ("undo", right[0])]


@pytest.mark.slow
def test_what_cannot_be_saved_yet_is_saved_later(cleaner, open_page, right):
    data, since = cleaner[0], len(Decisions(cleaner[0]).read())
    page = open_page(right[0])
    page.route("**/decide", lambda route: route.abort())
    page.keyboard.press("k")
    page.get_by_text("1 step not saved yet").wait_for()
    page.unroute("**/decide")
    assert logged(data, 1, since) == [("keep", right[0])]
    page.get_by_text("1 step not saved yet").wait_for(state="detached")
    page.keyboard.press("u")
    assert logged(data, 2, since)[1:] == [("undo", right[0])]


@pytest.mark.slow
def test_a_step_that_is_refused_is_a_sentence_and_the_page_shows_what_is_there(cleaner, open_page, right):
    data, page = cleaner[0], open_page(right[0])
    Decisions(data).set_aside(right[0])
    page.keyboard.press("k")
    page.get_by_text(f"{right[0]} has been moved. Reload the page.").wait_for()
    page.locator(f"#grid button[title='{right[0]}']").wait_for(state="detached")
    page.keyboard.press("u")  # also undoes steps of another page
    page.locator("#opinion", has_text=right[0]).wait_for()


@pytest.mark.slow
def test_the_page_says_how_many_photos_are_judged(cleaner, browser):
    page = browser.new_page(**PHONE)
    page.route("**/review", lambda route: route.fulfill(json={"read": [10, 33]}))
    page.goto(cleaner[1].url)
    page.get_by_text("Reading the photos: 10 of 33").wait_for()
    assert page.locator("#progress").evaluate("bar => bar.position") == pytest.approx(10 / 33)
    assert not serious_findings(page)
    page.unroute("**/review")
    page.locator("#grid li").first.wait_for()
    assert page.locator("#progress").is_hidden()
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../data/disc/00.jpg", "/etc/hostname", "disc/../../x.jpg", "log.csv", "disc/99.jpg"])
def test_a_caller_can_only_name_photos_of_the_page(cleaner, name):
    data, server = cleaner
    before = files(data)
    steps = [{"action": action, "name": name, "goal": "square"} for action in ("keep", "move", "set aside", "undo")]
    steps.append({"action": "move", "name": "disc/00.jpg", "goal": "../.."})
    assert len(requests.post(f"{server.url}/decide", json=steps, timeout=30).json()) == len(steps)
    assert requests.get(f"{server.url}/photo", {"name": name}, timeout=30).status_code == 404
    assert files(data) == before and not requests.get(f"{server.url}/config", timeout=30).json()["dependencies"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "text/plain"}, b'[{"action": "keep", "name": "disc/00.jpg"}]'),  # a form on another website
        ({}, b'[{"action": "keep", "name": "disc/00.jpg"}]'),
        ({"Content-Type": "application/json", "Host": "evil.example"}, b'[{"action": "keep", "name": "disc/00.jpg"}]'),
        ({"Content-Type": "application/json"}, b'[{"action": "delete", "name": "disc/00.jpg"}]'),
        ({"Content-Type": "application/json"}, b"keep it"),
    ],
)
def test_a_request_that_is_not_the_pages_own_changes_nothing(cleaner, headers, body):
    data, server = cleaner
    answer = requests.post(f"{server.url}/decide", body, headers=headers, timeout=30)
    assert 400 <= answer.status_code < 500 and not Decisions(data).steps()


ATTACK = """async address => {
    const send = (path, options) => fetch(address + path, options).then(answer => answer.text()).catch(() => "")
    const step = JSON.stringify([{action: "set aside", name: "disc/00.jpg"}])
    const file = new FormData()
    file.append("files", new Blob(["mine"]), "mine.png")
    const picture = new Image(), frame = document.createElement("iframe")
    const tried = new Promise(done => (picture.onload = () => done("shown"), picture.onerror = () => done("")))
    picture.src = address + "/photo?name=disc/00.jpg"
    frame.src = address
    document.body.append(frame)
    await new Promise(done => (frame.onload = done))
    return [
        await tried,
        await send("/review"),
        await send("/photo?name=disc/00.jpg"),
        await send("/decide", {method: "POST", body: step, headers: {"content-type": "application/json"}}),
        await send("/decide", {method: "POST", body: step, mode: "no-cors"}),
        await send("/gradio_api/upload", {method: "POST", body: file, mode: "no-cors"}),
    ].join("")
}"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_page_of_another_port_reads_shows_and_changes_nothing(cleaner, browser, web_server, name):
    data, server = cleaner
    web_server.pages["/"] = f'<a href="{server.url}#disc/00.jpg">The report links here</a>'.encode()
    before, page, answers = files(data), browser.new_page(), []
    page.goto(web_server.url("/").replace("127.0.0.1", name))
    page.on("response", lambda answer: answers.append((answer.request.method, answer.status)))
    told = page.evaluate(ATTACK, server.url)
    assert "disc/" not in told and "shown" not in told
    assert all(status >= 400 for method, status in answers if method != "OPTIONS")
    assert [method for method, _ in answers].count("GET") >= 3  # Chromium reports at least: photo, review, frame
    assert files(data) == before and not Decisions(data).steps()
    page.get_by_text("The report links here").click()
    page.locator("#grid li").first.wait_for()
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("path", ["upload", "queue/join", "file=x", "info"])
def test_only_what_the_page_needs_is_served(cleaner, path):
    assert requests.get(f"{cleaner[1].url}/gradio_api/{path}", timeout=30).status_code == 404
    assert requests.post(f"{cleaner[1].url}/gradio_api/{path}", files={"files": b"mine"}, timeout=30).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:7860"},  # a name pointed at 127.0.0.1 (DNS rebinding)
        {"Host": "localhost.evil.example"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},  # a local file or a sandboxed frame
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"},
    ],
)
def test_another_site_reads_no_photos(cleaner, headers):
    for path in ("/review", "/photo?name=disc/00.jpg"):
        assert requests.get(cleaner[1].url + path, headers=headers, timeout=30).status_code in (403, 421)


@pytest.mark.slow
def test_no_site_may_frame_the_page(cleaner):
    headers = requests.get(cleaner[1].url, timeout=30).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"


@pytest.fixture
def made_up(cleaner, browser):
    """Return a function that opens the review page with made-up photos, given as pairs (name, group).

    The function returns the page and a list of the steps that the page sends.
    """
    contexts = []

    def made_up(*photos, hash="", screen=DESKTOP):
        contexts.append(browser.new_context(**screen))
        page, sent = contexts[-1].new_page(), []
        photos = [
            {
                "name": name,
                "label": name.partition("/")[0],
                "group": group,
                "opinion": f"as {name}",
                "nearDuplicate": None,
            }
            | {"action": "keep", "goal": ""}
            for name, group in photos
        ]
        labels = sorted({photo["label"] for photo in photos})
        state = {"folder": "", "labels": labels, "photos": photos, "steps": [], "train": "python3 -m bears train"}

        def decide(route):
            sent.extend((step["action"], step["name"]) for step in route.request.post_data_json)
            route.fulfill(json=[])

        page.route("**/review", lambda route: route.fulfill(json=state))
        page.route("**/decide", decide)
        page.goto(f"{cleaner[1].url}#{hash}")
        page.locator("#labels button").first.wait_for()
        return page, sent

    yield made_up
    for context in contexts:
        context.close()


GROUPS = [
    *((f"disc/0{i}.jpg", "look wrong") for i in range(2)),
    ("disc/02.jpg", "near-duplicates"),
    *((f"disc/0{i}.jpg", "look right") for i in range(3, 9)),
    ("square/00.jpg", "look wrong"),
    ("square/01.jpg", "look right"),
]


@pytest.mark.slow
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_after_the_last_suspicious_photo_no_key_is_for_another_one(made_up, screen):
    page, sent = made_up(*GROUPS, screen=screen)
    for key in ("s", "k", "s", "s", "s", "ArrowRight", "s", "ArrowDown", "k", "a", "x", "s"):
        page.keyboard.press(key)
    page.get_by_text("You have reviewed all photos that look wrong. Now train again:").wait_for()
    assert page.inner_text("#train") == "python3 -m bears train" and page.locator("#shown").is_hidden()
    for _ in range(50):  # the last ones may still be on their way
        if len(sent) >= 3:
            break
        page.wait_for_timeout(100)
    assert sent == [("set aside", "disc/00.jpg"), ("keep", "disc/01.jpg"), ("set aside", "square/00.jpg")]
    assert not serious_findings(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]

    page.keyboard.press("u")
    page.locator("#opinion", has_text="square/00.jpg").wait_for()
    assert page.locator("#end").is_hidden() and page.locator("#shown").is_visible()
    page.keyboard.press("k")
    page.get_by_role("button", name="Near-duplicates (1)").click()
    page.locator("#opinion", has_text="disc/02.jpg").wait_for()
    page.keyboard.press("k")
    page.get_by_role("button", name="Photos that look right (7)").click()
    page.locator("#opinion", has_text="disc/03.jpg").wait_for()


@pytest.mark.slow
def test_where_nothing_looks_wrong_no_photo_is_chosen(made_up):
    page, sent = made_up(("disc/00.jpg", "look right"), ("square/00.jpg", "near-duplicates"))
    page.get_by_text("No photo looks wrong. Now train:").wait_for()
    for key in ("s", "a", "ArrowRight", "k"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Next page").click()
    page.locator("#opinion", has_text="disc/00.jpg").wait_for()
    assert not sent


@pytest.mark.slow
@pytest.mark.parametrize("write", [str, quote], ids=["typed", "linked"])
def test_a_percent_sign_in_the_address_names_a_photo(made_up, write):
    page, _ = made_up(("100%/100%.jpg", "look right"), *GROUPS, hash=write("100%/100%.jpg"))
    page.locator("#opinion", has_text="100%/100%.jpg").wait_for()


@pytest.mark.slow
def test_thumbnails_show_whole_photos(made_up):
    page, _ = made_up(*GROUPS)
    fits = page.locator("#grid img, #shown img").evaluate_all("all => all.map(img => getComputedStyle(img).objectFit)")
    assert set(fits) == {"contain"}


@pytest.mark.slow
def test_a_photo_that_was_changed_is_shown_as_it_is_now(cleaner):
    data, server = cleaner
    white = (data / "square" / "white.png").read_bytes()

    def shown():
        answer = requests.get(f"{server.url}/photo", {"name": "square/white.png"}, timeout=30)
        return Image.open(io.BytesIO(answer.content)).getpixel((5, 5))

    assert shown() == (255, 255, 255)
    Image.new("RGB", (96, 96), "black").save(data / "square" / "white.png")
    assert shown() == (0, 0, 0)
    (data / "square" / "white.png").write_bytes(white)


@pytest.mark.slow
def test_the_page_is_for_this_machine_only(cleaner):
    assert cleaner[1].url.startswith("http://127.0.0.1:")


def test_only_what_was_decided_this_time_and_still_holds_is_summed_up(data):
    decisions = Decisions(data)
    decisions.keep("disc/00.jpg")
    before = decisions.steps()
    assert clean.sum_up_steps(before, decisions.steps()) == "You made no new decisions."
    decisions.keep("disc/01.jpg")
    decisions.keep("disc/02.jpg")
    decisions.move("disc/square.jpg", "square")
    decisions.undo()
    decisions.set_aside("square/white.png")
    assert "kept 2, moved 0 and set aside 1." in clean.sum_up_steps(before, decisions.steps())


def test_a_link_to_a_photo_is_not_moved(data):
    (data / "disc" / "link.jpg").symlink_to(data / "square" / "00.jpg")
    with pytest.raises(DataError, match="is a link"):
        Decisions(data).set_aside("disc/link.jpg")
    assert (data / "square" / "00.jpg").is_file() and (data / "disc" / "link.jpg").is_symlink()


def test_what_was_set_aside_in_a_folder_below_is_no_photo_of_a_class(data, tmp_path):
    Decisions(data).set_aside("disc/00.jpg")
    assert tmp_path / "data" / "set-aside" / "disc" / "00.jpg" not in find_photos(tmp_path)[0]


@pytest.mark.slow
def test_the_page_ends_in_words_and_in_commands(cleaner):  # comes last, since it stops the page
    data, server = cleaner
    Decisions(data).set_aside("disc/00.jpg")
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(20) == 0
    assert server.log.read_text().splitlines()[-3:] == [
        "You have kept 0, moved 0 and set aside 1. You can undo each step on the review page, today or later.",
        f"To continue: python3 -m bears clean {data}",
        f"To train on these photos (--out can be any folder): python3 -m bears train --data {data} --out my_model",
    ]
