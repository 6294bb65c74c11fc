"""Test `python3 -m bears predict` for each photo of a folder, or each animal that MegaDetector found in it."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from bears.model.photo import SIDE
from bears.predict import __main__ as predict
from bears.predict import detections
from bears.predict.detections import Detections
from helpers import ROOT, facts_of
from PIL import Image
from test_detections import found_in
from test_distributed import launch

pytestmark = pytest.mark.slow  # nearly all tests open the model
CLASSES = facts_of(ROOT)["classes"]
PROBABLY = "A bear: black or grizzly, probably black"
VERDICTS = {"black": PROBABLY, "grizzly": "Grizzly bear, 96% sure", "teddy": "Teddy bear, 96% sure"}
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")


def read(table):
    with table.open(newline="", encoding="utf-8-sig") as f:
        return list(csv.DictReader(f))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shapes):
    """Return a folder with the examples, a drawn photo, a damaged photo, and files that are not photos."""
    folder = tmp_path_factory.mktemp("card")
    (folder / "DCIM" / "100").mkdir(parents=True)
    for label in CLASSES:
        shutil.copy(ROOT / "examples" / f"{label}.jpg", folder / "DCIM" / "100")
    shutil.copy(shapes / "disc" / "00.jpg", folder / "DCIM" / "DISC 1, à côté.JPG")
    data = (ROOT / "examples" / "teddy.jpg").read_bytes()
    (folder / "DCIM" / "broken.jpg").write_bytes(data[: len(data) // 2])
    (folder / "notes.txt").write_text("no photo")
    (folder / "._teddy.jpg").write_bytes(b"what a Mac leaves behind")
    return folder


def test_each_photo_of_a_folder_gets_a_row_and_a_damaged_one_the_reason(folder, tmp_path, capsys):
    predict.main([str(folder), "--out", str(tmp_path / "table.csv")])
    rows = read(tmp_path / "table.csv")
    names = ["DISC 1, à côté.JPG", "broken.jpg"]
    assert [row["file"] for row in rows] == [
        *(f"DCIM/100/{label}.jpg" for label in CLASSES),
        *(f"DCIM/{n}" for n in names),
    ]
    for label, row in zip(CLASSES, rows):
        assert row["verdict"] == VERDICTS[label] and row["status"] == ("group" if label == "black" else "sure")
        assert float(row[label]) > 0.5 and sum(float(row[other]) for other in CLASSES) == pytest.approx(1, abs=0.001)
    *_, disc, broken = rows
    assert (disc["verdict"], disc["status"]) == ("No bear here", "no_match")
    assert broken["error"] == "This photo is damaged or incomplete" and broken["status"] == "error"
    assert broken["verdict"] == broken["teddy"] == disc["error"] == ""
    assert "5 of 5 photos, " in (said := capsys.readouterr().out) and " a second" in said
    assert "5 photos, 1 of which could not be opened, are in" in said
    assert [f.name for f in tmp_path.iterdir()] == ["table.csv"]


def test_one_photo_can_be_named(tmp_path):
    predict.main([str(ROOT / "examples" / "teddy.jpg"), "--out", str(tmp_path / "table.csv")])
    [row] = read(tmp_path / "table.csv")
    assert row["file"] == "teddy.jpg" and row["verdict"] == "Teddy bear, 96% sure"


@needs_posix
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(shapes, tmp_path, capsys):
    card, table, part = tmp_path / "card", tmp_path / "table.csv", tmp_path / "table.csv.1.part"
    shutil.copytree(shapes / "disc", card)
    options = [str(card), "--out", str(table)]
    command = [sys.executable, "-m", "bears.predict", *options]
    with subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE) as process:
        while not (part.exists() and part.read_text().count("\n") > 1) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert said == "bears.predict: stopped. Finished photos are kept; run the same command again to continue.\n"
    done = part.read_text().count("\n") - 1
    assert 0 < done < 16 and not table.exists()
    with part.open("a") as f:
        f.write('["15.jpg", "No be')  # as a power cut leaves it
    shutil.copy(part, tmp_path / "table.csv.2.part")  # as two runs at once leave it
    predict.main(options)
    assert f"Continuing: {done} of 16 photos are done" in capsys.readouterr().out
    predict.main([str(card), "--out", str(tmp_path / "at_once.csv")])
    assert table.read_bytes() == (tmp_path / "at_once.csv").read_bytes()
    assert [row["file"] for row in read(table)] == [f"{n:02}.jpg" for n in range(16)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Return a folder with a large upright photo of a small teddy, and MegaDetector's JSON."""
    folder = tmp_path_factory.mktemp("scene")
    scene = Image.new("RGB", (2400, 3200), "darkgreen")
    with Image.open(ROOT / "examples" / "teddy.jpg") as teddy:
        side = min(teddy.size)
        scene.paste(teddy.crop((0, 0, side, side)).resize((480, 480)), (1900, 2700))
    scene.paste("white", (0, 0, 500, 500))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    scene.transpose(Image.Transpose.ROTATE_90).save(folder / "scene.jpg", exif=exif)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    teddy, white = [1900 / 2400, 2700 / 3200, 480 / 2400, 480 / 3200], [0, 0, 500 / 2400, 500 / 3200]
    detections = [
        {"category": "2", "conf": 0.9, "bbox": white},
        {"category": "1", "conf": 0.95, "bbox": teddy, "classifications": [["7", 0.5]]},
        {"category": "1", "conf": 0.1, "bbox": white, "classifications": [["7", 0.5]]},
        {"category": "1", "conf": 0.3, "bbox": white},
    ]
    images = [
        {"file": "scene.jpg", "detections": detections},
        {"file": "empty.jpg", "detections": []},
        {"file": "broken.jpg", "detections": [{"category": "1", "conf": 0.8, "bbox": white}]},
        {"file": "unread.jpg", "detections": None, "failure": "Failure image access"},
    ]
    doc = {
        "info": {"format_version": "1.5", "detector": "md_v5a.0.0.pt"},
        "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"},
        "classification_categories": {"7": "fox"},
        "images": images,
    }
    (folder / "md.json").write_text(json.dumps(doc))
    return folder


def test_animals_that_megadetector_has_found_are_named_in_its_file(scene, tmp_path, capsys):
    predict.main([str(scene), "--detections", str(scene / "md.json"), "--out", str(tmp_path / "named.json")])
    before, after = (json.loads(f.read_text()) for f in (scene / "md.json", tmp_path / "named.json"))
    names = after.pop("classification_categories")
    assert [*names.values()] == [*CLASSES, *(f"possible {label}" for label in CLASSES), "other animal", "bear"]
    person, teddy, doubtful, white = after["images"][0]["detections"]
    scores = teddy.pop("classifications")
    assert names[scores[0][0]] == "teddy" and [s for _, s in scores] == sorted((s for _, s in scores), reverse=True)
    assert [names[i] for i, _ in white.pop("classifications")] == ["other animal"]
    assert not {"classifications"} & {*person, *doubtful}
    assert after["info"].pop("classifier").startswith("bears ")
    del before["classification_categories"]
    for detection in before["images"][0]["detections"]:
        detection.pop("classifications", None)
    assert after == before
    said = capsys.readouterr().out
    assert "not labelled: broken.jpg (This file is not a photo that can be opened here)" in said
    assert "2 photos with animals, 1 of which could not be opened, are in" in said


def test_two_processes_write_what_one_does(folder, tmp_path):
    predict.main([str(folder), "--out", str(tmp_path / "one.csv")])
    result = launch("-m", "bears.predict", folder, "--out", tmp_path / "two.csv")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("are in") == 1
    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert {f.name for f in tmp_path.iterdir()} == {"one.csv", "two.csv"}


def test_machines_that_do_not_share_a_disk_are_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(predict.distributed, "part_of", lambda todo: [])
    with pytest.raises(SystemExit, match=r"1 of 1 photos are missing next to .* on a disk that all machines share"):
        predict.main([str(ROOT / "examples" / "teddy.jpg"), "--out", str(tmp_path / "table.csv")])
    assert not (tmp_path / "table.csv").exists()


def test_a_small_animal_has_the_pixels_that_the_photo_has(scene):
    pictures = Detections(scene / "md.json", scene).open(0)
    assert all(SIDE <= min(picture.size) < 2 * SIDE for picture in pictures)


@pytest.mark.parametrize(
    "args, said",
    [
        (["nowhere"], "nowhere can't be read (No such file or directory). Fix that, or choose another folder."),
        (["."], "There are no photos in .. Choose another folder."),
        (
            ["photo.jpg", "--out", "mine.csv"],
            "mine.csv already exists. Move it elsewhere, or choose another file with --out.",
        ),
        (
            ["photo.jpg", "--out", "old.csv"],
            "old.csv.1.part is left over from a run with another model, options or photos. Finish",
        ),
        (["photo.jpg", "--model", "none.pkl"], "There is no model none.pkl."),
        ([".", "--detections", "none.json"], "none.json can't be read (No such file or directory). Give the JSON"),
        ([".", "--detections", "mine.csv"], "mine.csv is not in MegaDetector's format"),
        ([".", "--detections", "list.json"], "list.json is not in MegaDetector's format"),
        (["photo.jpg", "--detections", "list.json"], "There is no folder photo.jpg. Give the folder that MegaDetector"),
    ],
)
def test_what_is_wrong_is_one_sentence(args, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "old.csv.1.part").write_text('{"model": "another"}\n')
    (tmp_path / "list.json").write_text('[{"file": "a.jpg", "detections": []}]')
    if "photo.jpg" in args:
        shutil.copy(ROOT / "examples" / "teddy.jpg", tmp_path / "photo.jpg")
    with pytest.raises(SystemExit, match=r"^bears\.predict: ") as e:
        predict.main(args)
    assert str(e.value).startswith(f"bears.predict: {said}") and "\n" not in str(e.value)
    assert (tmp_path / "mine.csv").read_text() == "mine"


def folder_of(shapes, to, n=12):
    """Return a folder, like a memory card, with some photos of discs."""
    to.mkdir()
    for file in sorted((shapes / "disc").iterdir())[:n]:
        shutil.copy(file, to)
    return to


def loses(lose, after=3):
    """Return `ask_all` with a call of `lose()` after some photos were classified."""

    def ask_all(keys, total, task, *args):
        opened, open_key = [], task.open

        def open_and_lose(key):
            opened.append(key)
            if len(opened) == after:
                lose()
            return open_key(key)

        task.open = open_and_lose
        return asked(keys, total, task, *args)

    asked = predict.ask_all
    return ask_all


@needs_posix
@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
@pytest.mark.parametrize("listed", ["folder", "json"])
def test_a_card_that_is_pulled_out_stops_the_run_which_goes_on_later(
    left, listed, shapes, tmp_path, monkeypatch, capsys
):
    card, elsewhere = folder_of(shapes, tmp_path / "card"), tmp_path / "elsewhere"
    (tmp_path / "md.json").write_text(json.dumps(found_in(sorted(f.name for f in card.iterdir()))))

    def pull():
        card.rename(elsewhere)
        if left == "an empty folder":
            card.mkdir()

    options = [str(card), "--out", str(tmp_path / "out")]
    options += ["--detections", str(tmp_path / "md.json")] if listed == "json" else []
    monkeypatch.setattr(predict, "ask_all", loses(pull))
    with pytest.raises(SystemExit, match=r"are gone\. Put the card or drive back\. Finished photos are kept; run"):
        predict.main(options)
    monkeypatch.undo()
    assert 1 <= (tmp_path / "out.1.part").read_text().count("\n") < 12 and not (tmp_path / "out").exists()
    with pytest.raises(
        SystemExit, match=r"There are no photos|can(not|'t) be read|There is no folder|None of the 12 photos"
    ):
        predict.main(options)
    assert (tmp_path / "out.1.part").exists()
    shutil.rmtree(card, ignore_errors=True)
    elsewhere.rename(card)
    predict.main(options)
    assert "12 photos" in (said := capsys.readouterr().out) and "Continuing: " in said and " 0 of which" in said


@needs_posix
def test_a_photo_that_goes_meanwhile_costs_its_row_only(shapes, tmp_path, monkeypatch):
    card = folder_of(shapes, tmp_path / "card")
    monkeypatch.setattr(predict, "ask_all", loses((card / "11.jpg").unlink))
    predict.main([str(card), "--out", str(tmp_path / "out.csv")])
    *rows, last = read(tmp_path / "out.csv")
    assert len(rows) == 11 and last["error"] == "This photo is no longer here"


def test_animals_that_are_found_are_named_in_megadetectors_format(scene, tmp_path, capsys):
    shutil.copy(ROOT / "examples" / "grizzly.jpg", tmp_path / "grizzly.jpg")
    Image.new("RGB", (640, 480), "grey").save(tmp_path / "empty.jpg")
    shutil.copy(scene / "broken.jpg", tmp_path)
    to = tmp_path / "found.json"
    predict.main([str(tmp_path), "--find-animals", "--out", str(to)])
    doc = json.loads(to.read_text())
    broken, empty, grizzly = doc["images"]
    assert broken["detections"] is None and broken["failure"] == "This file is not a photo that can be opened here"
    assert (empty["file"], empty["detections"]) == ("empty.jpg", [])
    animal = grizzly["detections"][0]
    x, y, w, h = animal["bbox"]
    assert 0 <= x < 0.5 < x + w <= 1 and 0 <= y < 0.5 < y + h <= 1 and animal["conf"] >= detections.MIN_CONF
    assert doc["detection_categories"][animal["category"]] == "animal"
    assert doc["classification_categories"][animal["classifications"][0][0]] == "grizzly"
    assert "3 photos, 1 of which could not be opened, are in" in capsys.readouterr().out
    # The same boxes from MegaDetector's file get the same labels.
    predict.main([str(tmp_path), "--detections", str(to), "--out", str(tmp_path / "again.json")])
    assert json.loads((tmp_path / "again.json").read_text())["images"] == doc["images"]


def test_without_its_network_no_animals_are_found_and_a_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(detections.detector, "Detector", partial(detections.detector.Detector, tmp_path / "gone.gz"))
    with pytest.raises(SystemExit, match=r"gone\.gz can't be read .*\. Copy it again from the repository\.$"):
        predict.main([str(ROOT / "examples" / "teddy.jpg"), "--find-animals", "--out", str(tmp_path / "out.json")])


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--find-animals", "--out", "found.csv"], r"Labels of animals are written as JSON.* ends in \.json"),
        (["--out", "found.JSON"], r"A row per photo is written as CSV.* ends in \.csv"),
    ],
)
def test_a_name_that_promises_another_format_is_refused(options, sentence, capsys):
    with pytest.raises(SystemExit):
        predict.parse_args(["photos", *options])
    assert re.search(sentence, " ".join(capsys.readouterr().err.split()))
