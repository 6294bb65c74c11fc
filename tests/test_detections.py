"""Test the files of `python3 -m bears predict` without a model: MegaDetector's JSON and the journal."""

import json
import math
import os
import shutil
import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from bears import __version__
from bears.errors import DataError, PhotoError, PredictError
from bears.files import fingerprint, version_of
from bears.model.answers import GROUP, NO_LIMITS, NONE, SURE, UNSURE, Limits
from bears.predict import detections
from bears.predict.detections import (
    Detections,
    Found,
    FoundAnimals,
    around,
    as_image,
    as_parts,
    categories,
    classifications,
)
from bears.predict.journal import Journal
from bears.predict.run import BATCH, ask_all
from bears.predict.table import Photos
from PIL import Image

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes of that kind")


@pytest.mark.parametrize(
    "box, square",
    [
        ([0.4, 0.4, 0.2, 0.1], (350, 300, 650, 600)),  # 200 x 100 pixels, and a quarter of 200 on all sides
        ([0.9, 0.0, 0.1, 0.1], (875, 0, 1000, 125)),
        ([2.0, -3.0, 0.1, 0.0], (999, 0, 1000, 1)),  # an impossible box gives one pixel
    ],
)
def test_an_animal_is_cut_out_with_a_margin_as_a_square(box, square):
    assert around(box, (1000, 1000)) == pytest.approx(square, abs=1)


def found_in(files, box=(0, 0, 1, 1), **changes):
    """Return MegaDetector's JSON with an animal in each of the files."""
    images = [{"file": f, "detections": [{"category": "1", "conf": 0.9, "bbox": list(box)}]} for f in files]
    return {"info": {"format_version": "1.5"}, "detection_categories": {"1": "animal"}, "images": images, **changes}


def write_json(tmp_path, shapes, doc, name="00.jpg"):
    (tmp_path / "md.json").write_text(doc if isinstance(doc, str) else json.dumps(doc))
    shutil.copy(shapes / "disc" / "00.jpg", tmp_path / name)
    return Detections(tmp_path / "md.json", tmp_path)


@needs_posix
@pytest.mark.parametrize("escaped", [True, False])
def test_a_name_that_is_not_utf_8_spoils_no_other(escaped, shapes, tmp_path):
    doc = json.dumps(found_in(["00.jpg", "caf\udce9.jpg", "\ud800.jpg"]), ensure_ascii=escaped)
    (tmp_path / "md.json").write_bytes(doc.replace("\ud800", "x").encode("utf-8", "surrogateescape"))
    shutil.copy(shapes / "disc" / "00.jpg", tmp_path / "caf\udce9.jpg")
    shutil.copy(shapes / "disc" / "00.jpg", tmp_path / "00.jpg")
    detections = Detections(tmp_path / "md.json", tmp_path)
    assert [len(list(detections.open(i))) for i in (0, 1)] == [1, 1]
    with pytest.raises(PhotoError, match="no longer here"):
        detections.open(2)


@pytest.mark.parametrize("category, names", [(1, {"1": "animal"}), ("1", {"1": "Animal"}), ("1", {"1": " ANIMAL "})])
def test_an_animal_is_one_however_it_is_written(category, names, shapes, tmp_path):
    doc = found_in(["00.jpg"], detection_categories=names)
    doc["images"][0]["detections"][0]["category"] = category
    assert write_json(tmp_path, shapes, doc).keys == [0]


@pytest.mark.parametrize(
    "box", [[1e307, 0, 0.1, 0.1], [0, -1e307, 1e308, 1e308], [0, 0, 0.1, 10**307], [-1e307, 0, 0, 0]]
)
def test_a_box_far_outside_is_a_piece_of_the_photo(box, shapes, tmp_path):
    [picture] = write_json(tmp_path, shapes, found_in(["00.jpg"], box)).open(0)
    assert min(picture.size) >= 1


@pytest.mark.parametrize(
    "doc, said",
    [
        (json.dumps(found_in(["00.jpg"], [10**400, 0, 1, 1])), "is not in MegaDetector's format"),
        (json.dumps(found_in(["00.jpg"])).replace("0.9", "9" * 5000), "is not in MegaDetector's format"),
        (json.dumps(found_in(["00.jpg"], [float("nan"), 0, 1, 1])), "is not in MegaDetector's format"),
        (json.dumps(found_in([7])), "is not in MegaDetector's format"),
        (json.dumps(found_in(["00.jpg"], detection_categories={"1": "deer"})), "has no category “animal” (deer)"),
        (json.dumps(found_in(["1.jpg", "2.jpg"])), "None of the 2 photos with animals in "),
        ("[" + "[],\n" * 1000, "md.json has more than 400 MB or 500 values. Split it by folders with MegaDetector's"),
        ("", "is not in MegaDetector's format"),
    ],
)
def test_a_json_that_nothing_can_be_made_of_is_one_sentence(doc, said, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("bears.predict.detections.MAX_VALUES", 500)
    with pytest.raises(PredictError) as e:
        write_json(tmp_path, shapes, doc)
    assert said in str(e.value)


@needs_posix
def test_a_pipe_is_no_photo_and_no_json(shapes, tmp_path):
    for name in ("00.jpg", "md.json"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(PredictError, match="no photos"):
        Photos(tmp_path)
    with pytest.raises(DataError, match="can't be read"):
        Photos(tmp_path / "00.jpg")
    with pytest.raises(PredictError, match=r"md\.json is not a file"):
        Detections(tmp_path / "md.json", tmp_path)
    (tmp_path / "md.json").unlink()
    (tmp_path / "md.json").write_text(json.dumps(found_in(["00.jpg", "01.jpg"])))
    shutil.copy(shapes / "disc" / "00.jpg", tmp_path / "01.jpg")
    with pytest.raises(PhotoError):
        Detections(tmp_path / "md.json", tmp_path).open(0)


def test_animals_without_number_are_cut_out_as_the_model_asks(shapes, tmp_path, monkeypatch):
    doc, cut, asked = found_in(["00.jpg"]), [], []
    doc["images"][0]["detections"] *= 2000
    monkeypatch.setattr(detections, "shrink", lambda picture, side: cut.append(picture.size) or picture)

    class Counts:
        limits = NO_LIMITS

        def ask(self, pictures):
            asked.append(len(cut))
            return [({"disc": 1.0}, "sure")] * len(pictures)

    task = write_json(tmp_path, shapes, doc)
    journal = Journal(tmp_path / "out.json", {})
    ask_all(task.keys, 1, task, Counts(), tmp_path / "export.pkl", journal)
    assert asked[0] == detections.CUT_AHEAD and asked[-1] == 2000 and len(asked) == 2000 / BATCH
    assert max(later - now for now, later in pairwise(asked)) <= BATCH
    [[key, answers]] = journal.rows()
    assert key == 0 and len(answers) == 2000


@needs_posix
def test_a_full_disk_is_a_sentence_and_what_is_done_is_kept(tmp_path):
    (tmp_path / "out.csv.1.part").symlink_to("nowhere")  # links are not written to
    journal = Journal(tmp_path / "out.csv", {"model": "one"})
    with journal.appending() as append:
        append("00.jpg", "No bear here")
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))  # of the first line, too, there is a part only
    try:
        with (
            pytest.raises(
                PredictError, match=r"out\.csv\.3\.part can't be written \(.+\)\. Free some disk space there\. Finished"
            ),
            journal.appending() as append,
        ):
            append("01.jpg", "No bear here")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "out.csv.3.part").stat().st_size <= 10
    assert list(journal.rows()) == [["00.jpg", "No bear here"]] and journal.remaining(["00.jpg", "01.jpg"]) == [
        "01.jpg"
    ]
    assert not (tmp_path / "nowhere").exists()
    journal.delete()
    assert [f.name for f in tmp_path.iterdir()] == ["out.csv.1.part"]


def test_no_cell_of_the_table_is_a_formula(shapes, tmp_path):
    card = tmp_path / "card"
    card.mkdir()
    shutil.copy(shapes / "disc" / "00.jpg", card / "=1+1.jpg")
    photos = Photos(card)
    model = SimpleNamespace(learn=SimpleNamespace(dls=SimpleNamespace(vocab=["-grizzly", "teddy"])))
    photos.write(tmp_path / "table.csv", [("=1+1.jpg", "-grizzly, 99% sure", "sure", 0.99, 0.01)], model, None)
    [head, row] = (tmp_path / "table.csv").read_text("utf-8-sig").splitlines()
    assert head == "file,verdict,status,'-grizzly,teddy,error"
    assert row == "'=1+1.jpg,\"'-grizzly, 99% sure\",sure,0.99,0.01,"


@pytest.mark.parametrize(
    "box, size, square",
    [
        ([0.4, 0.4, 0.2, 0.1], (1000, 1000), (350, 300, 650, 600)),
        ([0.5, 0.25, 0.1, 0.3], (2000, 1000), (875, 175, 1325, 625)),  # 200 x 300 pixels
        ([0.5, 0.5, 0.001, 0.001], (1000, 1000), (499, 499, 502, 502)),  # part of a pixel counts
        ([0, 0, 1, 1], (30, 40), (0, 0, 30, 40)),
        ([-5, -5, 1, 1], (30, 40), (0, 0, 1, 1)),
        ([5, 5, 1, 1], (30, 40), (29, 39, 30, 40)),
    ],
)
def test_the_square_around_a_box_to_the_pixel(box, size, square):
    assert around(box, size) == square


PROBS = {"owl": 0.2, "fox": 0.7, "hare": 0.10004}


@pytest.mark.parametrize(
    "certainty, pairs",
    [
        (SURE, [["1", 0.7], ["0", 0.2], ["2", 0.1]]),
        (UNSURE, [["4", 0.7], ["3", 0.2], ["5", 0.1]]),
        (NONE, [["6", 1.0]]),
        (GROUP, [["8", 0.8], ["4", 0.7], ["3", 0.2], ["5", 0.1]]),
    ],
)
def test_an_answer_is_the_names_that_megadetectors_format_has(certainty, pairs):
    groups = [["owl", "hare"], ["fox", "hare"]]
    assert classifications(PROBS, certainty, groups) == pairs
    names = categories(list(PROBS), {"subject": "animal", "groups": {"beast": ["hare", "fox"]}}, groups)
    assert names[:6] == ["owl", "fox", "hare", "possible owl", "possible fox", "possible hare"]
    assert names[6:] == ["other animal", "owl or hare", "beast"]


def test_what_is_found_is_written_as_parts_of_the_photo():
    assert as_parts(np.array([10.0, 20.0, 30.0, 80.00001]), (100, 200)) == [0.1, 0.1, 0.2, 0.3]
    animal = {"category": "1", "conf": 0.9, "bbox": [0, 0, 1, 1], "classifications": [["0", 1]]}
    assert as_image("a.jpg", [[[0, 0, 1, 1], 0.9, [["0", 1]]]]) == {"file": "a.jpg", "detections": [animal]}
    assert as_image("a.jpg", "It is gone") == {"file": "a.jpg", "detections": None, "failure": "It is gone"}


@pytest.fixture
def export(tmp_path):
    """Return a file that stands for an export, and an object that stands for its model."""
    (tmp_path / "export.pkl").write_bytes(b"export")
    learn = SimpleNamespace(dls=SimpleNamespace(vocab=["disc", "square"]))
    return SimpleNamespace(learn=learn, limits=NO_LIMITS), tmp_path / "export.pkl"


NAMED = {"0": "disc", "1": "square", "2": "possible disc", "3": "possible square"}


def test_what_megadetector_wrote_stays_and_its_animals_get_names(shapes, tmp_path, export, capsys):
    doc = found_in(["00.jpg", "01.jpg", "02.jpg"], classification_categories={"7": "fox"}, other=[1])
    other = {"category": "2", "conf": 0.9, "bbox": [0, 0, 1, 1]}
    doubtful = {"category": "1", "conf": 0.199, "bbox": [0, 0, 1, 1]}
    least = {"category": "1", "conf": 0.2, "bbox": [0, 0, 1, 1]}
    doc["images"][0]["detections"] += [{**other, "classifications": [["7", 1]]}, doubtful, least]
    doc["images"] += [{"file": "none.jpg", "detections": None, "failure": "?"}, {"file": "empty.jpg"}]
    expected = json.loads(json.dumps(doc))
    del expected["images"][0]["detections"][1]["classifications"][:]
    doc["classification_category_descriptions"] = {"7": "vulpes"}
    task = write_json(tmp_path, shapes, doc)
    assert task.keys == [0, 1, 2] and task.animals(0) == [doc["images"][0]["detections"][0], least]
    rows = [[0, [[["1", 0.9]], [["4", 1.0]]]], [1, "It is gone"], [2, [[["0", 0.8]]]]]
    assert task.write(tmp_path / "out.json", rows, *export) == 1
    images = expected["images"]
    del images[0]["detections"][1]["classifications"]
    images[0]["detections"][0]["classifications"], images[0]["detections"][3]["classifications"] = rows[0][1]
    images[2]["detections"][0]["classifications"] = [["0", 0.8]]
    expected["info"]["classifier"] = f"bears {__version__}, export.pkl {version_of(export[1])}"
    written = json.loads((tmp_path / "out.json").read_text("ascii"))
    names = written.pop("classification_categories")
    assert written == {k: v for k, v in expected.items() if k != "classification_categories"}
    assert {k: v for k, v in names.items() if k != "4"} == NAMED and len(names) == 5
    assert (tmp_path / "out.json").read_text().startswith('{\n "info"')  # a line for each value
    assert capsys.readouterr().out == "not labelled: 01.jpg (It is gone)\n"


def test_what_is_in_the_box_is_cut_out(shapes, tmp_path):
    [picture] = write_json(tmp_path, shapes, found_in(["00.jpg"], [0.25, 0.25, 0.25, 0.25])).open(0)
    assert picture.size == (36, 36)  # of 96: a box of 24, and a quarter of that on all sides


def test_the_names_that_windows_wrote_are_paths_too(shapes, tmp_path):
    (tmp_path / "DCIM").mkdir()
    task = write_json(tmp_path, shapes, found_in(["DCIM\\1.jpg", "DCIM/1.jpg"]), "DCIM/1.jpg")
    assert [task.photo(i) for i in (0, 1)] == [tmp_path / "DCIM" / "1.jpg"] * 2
    assert task.about == {"detections": fingerprint(tmp_path / "md.json")}


def test_the_answers_of_a_photo_are_kept_as_pairs_for_each_animal(shapes, tmp_path):
    task, limits = write_json(tmp_path, shapes, found_in(["00.jpg"])), Limits(groups=[["disc", "square"]])
    answers = [({"disc": 0.4, "square": 0.45}, GROUP, None, None), ({"disc": 0.9, "square": 0.1}, SURE, None, None)]
    pairs = [[["5", 0.85], ["3", 0.45], ["2", 0.4]], [["0", 0.9], ["1", 0.1]]]
    assert task.row(None, answers, {}, limits) == [pairs]
    found = Found([[[0, 0, 1, 1], 0.9], [[0, 0, 0.5, 1], 0.8]], ["one", "two"])
    assert list(found) == ["one", "two"]
    rows = FoundAnimals.row(None, found, answers, {}, limits)
    assert rows == [[[[0, 0, 1, 1], 0.9, pairs[0]], [[0, 0, 0.5, 1], 0.8, pairs[1]]]]


def test_animals_that_the_detector_finds_are_cut_out_and_written(shapes, tmp_path, export, monkeypatch):
    class Finds:
        def find_animals(self, photo):
            assert photo.size == (1000, 500)
            boxes = np.array([[100, 125, 200, 375], [0, 0, 1000, 500]])[: len(found)]
            return boxes, np.array(found)

    monkeypatch.setattr(detections.detector, "Detector", Finds)
    Image.new("RGB", (1000, 500)).save(tmp_path / "a.jpg")
    task, found = FoundAnimals(tmp_path / "a.jpg"), [0.87654]
    pictures = task.open("a.jpg")
    assert pictures.animals == [[[0.1, 0.25, 0.1, 0.5], 0.877]]
    assert [picture.size for picture in pictures] == [(338, 376)]  # the part of a square of 375 that is in the photo
    found.append(0.5)
    assert [score for _, score in task.open("a.jpg").animals] == [0.877, 0.5]
    found.clear()
    assert task.open("a.jpg") == Found([], [])
    rows = [["a.jpg", [[[0, 0, 1, 1], 0.9, [["0", 1.0]]]]], ["b.jpg", "It is gone"], ["c.jpg", []]]
    assert task.write(tmp_path / "out.json", rows, *export) == 1
    doc = json.loads((tmp_path / "out.json").read_text())
    assert doc["images"] == [as_image(*row) for row in rows]
    assert doc["info"] == {
        "format_version": "1.5",
        "detector": "MegadetectorLite of zamba 2.7.2",
        "classifier": f"bears {__version__}, export.pkl {version_of(export[1])}",
    }
    assert doc["detection_categories"] == {"1": "animal", "2": "person", "3": "vehicle"}


def test_a_card_that_is_gone_stops_the_search_for_animals(tmp_path, monkeypatch):
    monkeypatch.setattr(detections.detector, "Detector", lambda: None)
    Image.new("RGB", (50, 50)).save(tmp_path / "a.jpg")
    task = FoundAnimals(tmp_path)
    assert [p.size for p in task.cut_out("a.jpg", [[0, 0, 1, 1]])] == [(50, 50)]
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(PredictError, match=r"are gone\. Put the card or drive back"):
        task.cut_out("a.jpg", [[0, 0, 1, 1]])
    (tmp_path / "b.jpg").touch()
    with pytest.raises(PhotoError, match="no longer here"):
        task.cut_out("a.jpg", [[0, 0, 1, 1]])


ANIMAL = {"category": "1", "conf": 0.9, "bbox": [0, 0, 1, 1]}


@pytest.mark.parametrize(
    "changes",
    [
        *[{name: value} for name in ("info", "detection_categories", "images") for value in (None, 7, "x")],
        {"images": [{}]},
        {"images": [{"file": None}]},
        {"images": [{"file": "a.jpg", "detections": 7}]},
        *[{"images": [{"file": "a.jpg", "detections": [{**ANIMAL, "bbox": b}]}]} for b in ([0, 0, 1], None, ["x"] * 4)],
        *[{"images": [{"file": "a.jpg", "detections": [{**ANIMAL, "conf": c}]}]} for c in (-0.1, None, float("nan"))],
        *[
            {"images": [{"file": "a.jpg", "detections": [{k: v for k, v in ANIMAL.items() if k != name}]}]}
            for name in ANIMAL
        ],
        *[
            {"images": [{"file": "a.jpg", "detections": [{**ANIMAL, "bbox": box}]}]}
            for box in ([math.inf, 0, 1, 1], [0, math.inf, 1, 1], [0, 0, -math.inf, 1], [0, 0, 1, math.nan])
        ],
    ],
)
def test_what_is_not_as_in_megadetectors_format_is_one_sentence(changes, shapes, tmp_path):
    with pytest.raises(PredictError) as e:
        write_json(tmp_path, shapes, found_in(["00.jpg"], **changes))
    assert str(e.value) == (
        f"{tmp_path}/md.json is not in MegaDetector's format (https://lila.science/megadetector-output-format)."
        " Give the JSON that it wrote."
    )


def test_what_megadetector_may_leave_out_is_no_fault(shapes, tmp_path):
    doc = found_in(["00.jpg"])
    doc["images"] += [{"file": "a.jpg"}, {"file": "b.jpg", "detections": [{**ANIMAL, "conf": 0}]}]
    (tmp_path / "md.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(doc).encode())  # as editors on Windows save it
    shutil.copy(shapes / "disc" / "00.jpg", tmp_path)
    assert Detections(tmp_path / "md.json", tmp_path).keys == [0]


def test_a_json_may_have_so_many_bytes_and_values_and_no_more(tmp_path, monkeypatch):
    file, text = tmp_path / "md.json", '{"a": [1, 2], "b": [[]]}'  # 6 of , [ and {
    file.write_text(text)
    monkeypatch.setattr(detections, "MAX_VALUES", 6)
    monkeypatch.setattr(detections, "MAX_MEGABYTES", len(text) / 1e6)
    assert detections.read_text(file) == text
    monkeypatch.setattr(detections, "MAX_VALUES", 5)
    with pytest.raises(
        PredictError, match=r"has more than .* MB or 5 values\. Split it by folders with MegaDetector's"
    ):
        detections.read_text(file)
    monkeypatch.setattr(detections, "MAX_VALUES", 6)
    monkeypatch.setattr(detections, "MAX_MEGABYTES", (len(text) - 1) / 1e6)
    with pytest.raises(PredictError, match=r"MB or 6 values.* subset_json_detector_output\.$"):
        detections.read_text(file)
    with pytest.raises(PredictError) as e:
        detections.read_text(tmp_path / "gone")
    assert (
        str(e.value)
        == f"{tmp_path}/gone can't be read (No such file or directory). Give the JSON that MegaDetector wrote."
    )
    with pytest.raises(PredictError) as e:
        detections.read_text(tmp_path)
    assert str(e.value) == f"{tmp_path} is not a file. Give the JSON that MegaDetector wrote."


def test_a_category_for_animals_is_named_or_missed_in_a_sentence():
    names = {1: "animal", "2": "person", "3": " Animal"}
    assert detections.animal_categories("md.json", {"detection_categories": names}) == {"1", "3"}
    for names, there in (({"1": "deer", "2": "fox"}, "deer, fox"), ({}, "none at all")):
        with pytest.raises(PredictError) as e:
            detections.animal_categories("md.json", {"detection_categories": names})
        assert str(e.value) == f"md.json has no category “animal” ({there}). Give the JSON that MegaDetector wrote."


def test_the_folder_that_megadetector_searched_must_be_there(shapes, tmp_path):
    (tmp_path / "md.json").write_text(json.dumps(found_in(["1.jpg"])))
    with pytest.raises(PredictError) as e:
        Detections(tmp_path / "md.json", tmp_path / "card")
    assert str(e.value) == f"There is no folder {tmp_path}/card. Give the folder that MegaDetector searched."
    with pytest.raises(PredictError) as e:
        Detections(tmp_path / "md.json", tmp_path)
    assert str(e.value) == (
        f"None of the 1 photos with animals in {tmp_path}/md.json is in {tmp_path}. Give the folder that"
        " MegaDetector searched, or put the card or drive back."
    )
    task = write_json(tmp_path, shapes, found_in(["00.jpg"]))
    (tmp_path / "00.jpg").unlink()
    with pytest.raises(PredictError, match="Put the card or drive back"):
        task.open(0)


# The journal


def test_a_journal_has_a_line_for_the_run_and_one_for_each_row_and_its_parts_merge_in_order(tmp_path):
    journal = Journal(tmp_path / "out.csv", {"model": "one"})
    assert journal.parts() == list(journal.rows()) == [] and journal.remaining(["a"]) == ["a"]
    for rows in ([["a", 1], ["c", "ä"]], [["b", [2]], ["c", "ä"]]):
        with journal.appending() as append:
            for row in rows:
                append(*row)
                assert journal.parts()[-1].read_text().endswith(json.dumps(row) + "\n")  # at once
    part = tmp_path / "out.csv.1.part"
    assert part.read_text() == '{"model": "one"}\n["a", 1]\n["c", "\\u00e4"]\n'
    assert journal.parts() == [part, tmp_path / "out.csv.2.part"]
    assert list(journal.rows()) == [["a", 1], ["b", [2]], ["c", "ä"]]
    assert journal.remaining(["d", "b", "e", "a"]) == ["d", "e"]
    with part.open("ab") as f:
        f.write(b'["d", \xff\n["e", 3]\n["f", ')  # a damaged line, and one that was cut off in a power cut
    assert [row[0] for row in journal.rows()] == ["a", "b", "c", "e"]
    with pytest.raises(PredictError) as e:
        list(Journal(tmp_path / "out.csv", {"model": "two"}).rows())
    assert str(e.value) == (
        f"{part} is left over from a run with another model, options or photos. Finish that run, delete this file, or"
        " choose another output with --out."
    )
    for said in ('{"mo', ""):  # the disk was full
        part.write_text(said)
        assert [row[0] for row in journal.rows()] == ["b", "c"]
    with journal.appending() as append:
        append("b", "another command said so, at the same time")
        append("d", [2])
    assert [row[0] for row in journal.rows()] == ["b", "c", "d"]
    journal.delete()
    assert list(tmp_path.iterdir()) == []
