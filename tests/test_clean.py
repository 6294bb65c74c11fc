"""Cleaning: what is planted among the photos is found, and every step with them is logged and can be taken back."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import requests
from bears.clean import __main__ as clean
from bears.clean.checks import CHECKS, Finding
from bears.clean.decisions import COLUMNS, Decisions
from bears.clean.page import Review, picture
from bears.clean.ranking import measure, rank, rank_folder, read_photos
from bears.errors import DataError
from bears.photo import open_photo
from bears.train.data import find_photos, read_leave_out
from helpers import DESKTOP, PHONE, ROOT, Server, serious_findings
from PIL import Image, ImageColor, ImageOps

SUM = (
    r"Of 33 photos to look at, (\d+) may be near-duplicates, (\d+) may show none of the classes,"
    r" (\d+) may lie in the wrong class\."
)


@pytest.fixture(scope="module")
def planted(shapes, tmp_path_factory):
    """The drawn photos with a square among the discs, a white photo and a mirrored copy."""
    data = shutil.copytree(shapes, tmp_path_factory.mktemp("planted") / "data")
    shutil.move(data / "square" / "03.jpg", data / "disc" / "square.jpg")
    Image.new("RGB", (96, 96), "white").save(data / "square" / "white.png")
    with Image.open(data / "disc" / "05.jpg") as im:
        ImageOps.mirror(im).save(data / "disc" / "mirrored.png")
    return data


@pytest.fixture(scope="module")
def measured(planted):
    """What the checks are told about the planted photos."""
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
    """All photos below a folder and what is in them."""
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*.*g") if f.is_file()}


def test_every_photo_is_ranked_in_its_class_worst_first(ranking, planted):
    assert list(ranking) == ["disc", "square"]
    for label, ranked in ranking.items():
        assert {s.name for s in ranked} == {f"{label}/{f.name}" for f in (planted / label).iterdir()}
        scores = [s.score for s in ranked]
        assert scores == sorted(scores) and scores[0] >= 0 and scores[-1] <= 1


def test_a_photo_in_the_wrong_class_is_found(ranking):
    place = [s.name for s in ranking["disc"]].index("disc/square.jpg")
    assert place < 4
    assert ranking["disc"][place].guess == "square" and "looks like square" in ranking["disc"][place].opinion


def test_a_photo_of_something_else_is_found(ranking):
    assert ranking["square"][0].name == "square/white.png"
    assert "shows none of them" in ranking["square"][0].opinion


def test_a_copy_is_found_and_names_its_original(ranking):
    copies = {s.name: s.near_duplicate for ranked in ranking.values() for s in ranked if s.near_duplicate}
    assert copies in ({"disc/05.jpg": "disc/mirrored.png"}, {"disc/mirrored.png": "disc/05.jpg"})
    [copy] = [s for s in ranking["disc"] if s.near_duplicate]
    assert copy.opinion.startswith(f"nearly the same photo as {copy.near_duplicate}") and copy in ranking["disc"][:6]


def test_one_more_check_is_one_more_entry(measured, planted, monkeypatch):
    def too_bright(photos):
        found = np.array([np.mean(open_photo(file)) > 250 for file in photos.files])
        return Finding(found, np.where(found, 1e-9, 1), ["too bright" if bright else "" for bright in found])

    monkeypatch.setitem(CHECKS, "may be too bright", too_bright)
    ranking = rank(measured)
    worst = ranking["square"][0]
    assert worst.name == "square/white.png" and worst.opinion.endswith("too bright") and worst.score < 1e-8
    assert "1 may be too bright" in clean.sum_up(Review(Decisions(planted), ranking))


def test_the_bears_that_were_left_out_by_eye_are_found(photos, tmp_path):
    left_out = set(read_leave_out(ROOT / "bears" / "train" / "left_out.csv"))
    for label in ("black", "grizzly", "teddy"):
        some = sorted((photos / "bears" / label).iterdir())[:25]
        (tmp_path / label).mkdir()
        for file in {*some, *(photos / "bears" / name for name in left_out if name.startswith(label))}:
            shutil.copy(file, tmp_path / label)
    ranked = rank_folder(tmp_path)[0]
    assert ranked["grizzly"][0].name == "grizzly/14ec1d3fbc32.jpg"  # the placeholder
    first = {s.name for s in ranked["teddy"][:12]}
    assert "teddy/39c447c5e3d0.jpg" in first  # the cat
    assert len(first & left_out) >= 9  # the dogs, and others


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
    assert tuple(log[0]) == COLUMNS and [row["action"] for row in log].count("undo") == 3


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
    with pytest.raises(DataError, match="no longer there"):
        Decisions(data).set_aside("disc/nothing.jpg")


def test_a_damaged_log_is_a_sentence(data):
    decisions = Decisions(data)
    decisions.set_aside("disc/00.jpg")
    decisions.log.write_text("when,what\nnow,that\n")
    with pytest.raises(DataError, match="rename it"):
        decisions.undo()


def test_a_folder_that_cannot_be_written_to_is_a_sentence_and_moves_nothing(data):
    decisions = Decisions(data)
    decisions.log.mkdir(parents=True)  # stands in the way for every user, root too
    with pytest.raises(DataError, match="stays where it is"):
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
    assert squares.startswith("square/white.png  shows none of them\n")
    assert discs.count("unlike the others") + squares.count("unlike the others") <= 4  # of 34


@pytest.mark.slow
def test_the_list_ends_in_words_and_in_commands(planted, tmp_path, capsys, monkeypatch):
    (tmp_path / "my list.csv").write_text("file,reason\ndisc/00.jpg,blurred\n")
    monkeypatch.chdir(planted.parent)
    clean.main(["--list", planted.name, "--leave-out", str(tmp_path / "my list.csv")])
    *_, found, on, further = capsys.readouterr().out.splitlines()
    copies, none, wrong = map(int, re.fullmatch(SUM, found).groups())
    assert 1 <= wrong <= 5 and 1 <= none <= 3 and copies >= 1
    assert on == f'To put them right: python3 -m bears clean data --leave-out "{tmp_path}/my list.csv"'
    assert further.endswith(f': python3 -m bears train --data data --leave-out "{tmp_path}/my list.csv" --out my_model')


@pytest.mark.parametrize("name", ["nowhere", "photo.jpg"])
def test_a_folder_that_is_not_there_is_a_sentence(tmp_path, name):
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(SystemExit) as exit:
        clean.main([str(tmp_path / name)])
    assert str(exit.value).startswith("bears.clean: There is no folder")


def test_ctrl_c_while_it_judges_is_a_sentence(planted):
    process = subprocess.Popen(
        [sys.executable, "-m", "bears.clean", planted],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "Judging" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert err == "bears.clean: stopped. What was decided is kept.\n" and process.returncode == 1


def test_a_photo_of_a_nested_folder_moves_to_the_class_that_there_is(data):
    (data / "disc" / "more").mkdir()
    shutil.copy(data / "square" / "00.jpg", data / "disc" / "more" / "mine.jpg")
    Decisions(data).move("disc/more/mine.jpg", "square")
    assert (data / "square" / "mine.jpg").exists()


@pytest.fixture(scope="module")
def cleaner(planted, tmp_path_factory):
    """`python -m bears.clean` on a copy of the planted photos; the folder and the server."""
    folder = tmp_path_factory.mktemp("cleaner")
    data = shutil.copytree(planted, folder / "data")
    server = Server(folder / "log", "bears.clean", str(data), app="-m", seconds=180)
    yield data, server
    server.close()


@pytest.mark.parametrize("screen", [DESKTOP, {**PHONE, "color_scheme": "dark"}], ids=["desktop", "phone"])
def test_photos_are_put_right_on_the_page(cleaner, browser, screen):
    data, server = cleaner
    before, context = files(data), browser.new_context(**screen)
    page = context.new_page()
    page.goto(server.url)
    page.get_by_label("square", exact=True).check()
    page.get_by_text("square/white.png: shows none of them").wait_for()
    page.get_by_role("button", name="Set aside").focus()
    page.keyboard.press("Enter")
    page.get_by_text("set aside square/white.png").wait_for()
    assert (data / "set-aside" / "square" / "white.png").exists()

    page.get_by_label("disc", exact=True).check()
    page.get_by_text("of 18 in disc").wait_for()
    page.locator("#grid button", has_text="looks like square").first.click()
    page.get_by_text("disc/square.jpg: looks like square").wait_for()
    assert page.get_by_label("Class to move it to").input_value() == "square"
    page.get_by_role("button", name="Move to").click()
    page.get_by_text("of 17 in disc").wait_for()
    assert (data / "square" / "square.jpg").read_bytes() == before["disc/square.jpg"]

    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    assert not serious_findings(page)

    page.get_by_role("button", name="Undo").click()
    page.get_by_text("disc/square.jpg: looks like square").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("square/white.png: shows none of them").wait_for()
    assert files(data) == before
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("There is nothing to undo.").wait_for()
    context.close()


@pytest.mark.parametrize("sent", [["disc", "disc/00.jpg", "square"], ["..", "/etc/hostname", "../.."]])
def test_a_caller_of_the_api_cannot_name_files(cleaner, sent):
    data, server = cleaner
    before, api = files(data), f"{server.url}/gradio_api/queue"
    for event in requests.get(f"{server.url}/config", timeout=30).json()["dependencies"]:
        session = {"session_hash": f"caller {event['id']}"}
        body = {"data": sent[: len(event["inputs"])], "fn_index": event["id"], **session}
        requests.post(f"{api}/join", json=body, timeout=30).raise_for_status()
        with requests.get(f"{api}/data", params=session, stream=True, timeout=30) as answer:
            messages = [json.loads(line[6:]) for line in answer.iter_lines() if line]
        assert any(message["msg"] == "process_completed" for message in messages)
    assert files(data) == before


def test_the_page_is_for_this_machine_only(cleaner):
    assert cleaner[1].url.startswith("http://127.0.0.1:")


def test_only_what_was_decided_this_time_and_still_holds_is_summed_up(data):
    decisions = Decisions(data)
    decisions.keep("disc/00.jpg")
    before = decisions.steps()
    assert clean.sum_up_steps(before, decisions.steps()) == "Nothing new was decided."
    decisions.keep("disc/01.jpg")
    decisions.keep("disc/02.jpg")
    decisions.move("disc/square.jpg", "square")
    decisions.undo()
    decisions.set_aside("square/white.png")
    assert "kept 2, moved 0 and set aside 1;" in clean.sum_up_steps(before, decisions.steps())


def test_a_photo_that_was_changed_is_shown_as_it_is_now(tmp_path):
    file = tmp_path / "00.png"
    for colour in ("red", "blue"):
        Image.new("RGB", (60, 60), colour).save(file)
        os.utime(file, ns=(0, {"red": 1, "blue": 2}[colour] * 10**9))
        assert picture(file, 30).getpixel((0, 0)) == ImageColor.getrgb(colour)
    assert picture(file, 30) is picture(file, 30)


def test_a_link_to_a_photo_is_not_moved(data):
    (data / "disc" / "link.jpg").symlink_to(data / "square" / "00.jpg")
    with pytest.raises(DataError, match="is a link"):
        Decisions(data).set_aside("disc/link.jpg")
    assert (data / "square" / "00.jpg").is_file() and (data / "disc" / "link.jpg").is_symlink()


def test_what_was_set_aside_in_a_folder_below_is_no_photo_of_a_class(data, tmp_path):
    Decisions(data).set_aside("disc/00.jpg")
    assert tmp_path / "data" / "set-aside" / "disc" / "00.jpg" not in find_photos(tmp_path)[0]


def test_the_page_ends_in_words_and_in_commands(cleaner):  # comes last, since it stops the page
    data, server = cleaner
    Decisions(data).set_aside("disc/00.jpg")
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(20) == 0
    assert server.log.read_text().splitlines()[-3:] == [
        "You have kept 0, moved 0 and set aside 1; the page can undo each of these steps, today or later.",
        f"To go on: python3 -m bears clean {data}",
        f"To train on what is there: python3 -m bears train --data {data} --out my_model",
    ]
