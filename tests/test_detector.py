"""Test that animals are found and cropped if the answer about the whole photo isn't sure."""

import gzip
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from bears.errors import DetectorError
from bears.model import ood, squares
from bears.model.answers import NONE, SURE
from bears.model.classifier import Classifier
from bears.model.detector import FILE, Detector
from bears.model.export import export, open_export
from bears.model.photo import open_photo
from bears.model.squares import LESS, around
from bears.train.ood_eval import find_backgrounds
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

sys.path.insert(0, str(ROOT / "benchmarks"))

import export_detector

GRIZZLY = ROOT / "examples" / "grizzly.jpg"
GREY = Image.new("RGB", (640, 480), "grey")


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """Open the shipped export with its classes marked as animals."""
    learn, file = open_export(ROOT / "export.pkl"), tmp_path_factory.mktemp("animals") / "export.pkl"
    learn.ood = {**learn.ood, "animals": True}
    export(learn, file)
    return file


@pytest.fixture(scope="module")
def model(animals):
    return Classifier(animals)


def small_bear(width=110):
    """Return a photo in which the grizzly of the examples is small."""
    photo, bear = GREY.copy(), open_photo(GRIZZLY)
    photo.paste(bear.resize((width, width * bear.height // bear.width)), (420, 300))
    return photo


def test_the_graph_says_what_the_network_says_that_it_was_made_of():
    graph = onnx.load_from_string(gzip.decompress(FILE.read_bytes())).graph
    weights = {t.name.removesuffix(".half"): onnx.numpy_helper.to_array(t) for t in graph.initializer}
    network = export_detector.in_half_precision(export_detector.YOLOX().eval())
    state = {name: torch.tensor(weights[name], dtype=torch.float32) for name in network.state_dict()}
    network.load_state_dict(state)
    for size in ((320, 256), (64, 96)):
        photo = open_photo(GRIZZLY).resize(size)
        pixels = np.asarray(photo, np.float32).transpose(2, 0, 1)[None]
        with torch.no_grad():
            expected = network(torch.from_numpy(pixels))
        [boxes] = Detector().session.run(None, {"photo": pixels})
        assert boxes == pytest.approx(expected.numpy(), abs=0.01) and boxes.shape[2] == 5


def test_another_wheel_is_refused(tmp_path):
    (tmp_path / "zamba.whl").write_bytes(b"another")
    with pytest.raises(SystemExit, match=r"is not the wheel of zamba 2\.7\.2"):
        export_detector.main([str(tmp_path / "zamba.whl")])


def test_the_bear_of_an_example_is_in_the_best_box():
    photo = open_photo(GRIZZLY)
    boxes, scores = Detector().find_animals(photo)
    (width, height), (left, top, right, bottom) = photo.size, boxes[0]
    assert scores[0] > 0.4 and sorted(scores, reverse=True) == scores.tolist()
    assert 0 <= left < width / 2 < right <= width and 0 <= top < height / 2 < bottom <= height


@pytest.mark.parametrize("size", [(1, 1), (2000, 100), (100, 2000), (360, 640)])
def test_photos_of_any_shape_are_searched(size):
    boxes, scores = Detector().find_animals(Image.new("RGB", size, "grey"))
    assert boxes.shape == (len(scores), 4)


def test_a_file_that_is_missing_or_damaged_is_one_sentence(tmp_path):
    damaged = tmp_path / "detector.onnx.gz"
    for said in ("can't be read", "is damaged"):
        with pytest.raises(DetectorError, match=rf"{said}.*\. Copy it again from the repository\.$"):
            Detector(damaged)
        damaged.write_bytes(FILE.read_bytes()[:-1])


@given(
    box=st.tuples(st.floats(0, 300), st.floats(0, 300), st.floats(0, 500), st.floats(0, 500)),
    size=st.tuples(st.integers(1, 800), st.integers(1, 800)),
    margin=st.sampled_from(squares.MARGINS),
)
def test_the_square_around_a_box_is_in_the_photo(box, size, margin):
    x, y, width, height = box
    left, top, right, bottom = around((x, y, x + width, y + height), size, margin)
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1] and right - left == bottom - top


def test_a_small_animal_is_found_and_the_answer_is_about_the_square_around_it(model, animals):
    photo = small_bear()
    [(probs, certainty, cam, box, animal, others)] = model.ask([photo])
    assert certainty != NONE and max(probs, key=probs.get) == "grizzly" and others == []
    assert sum(probs.values()) == pytest.approx(1) and cam.shape == (8, 8)
    left, top, right, bottom = box
    assert left <= 420 and top <= 300 and right >= 530 and bottom >= 395 and right - left == bottom - top < 300
    inside, bear = (max(left, animal[0]), max(top, animal[1]), min(right, animal[2]), min(bottom, animal[3])), 110 * 95
    assert inside == animal and 0.5 * bear < (animal[2] - animal[0]) * (animal[3] - animal[1]) < 1.5 * bear
    [(other_probs, *_, nothing, _)] = Classifier(animals, detect=False).ask([photo])
    assert other_probs != probs and nothing is None


def test_two_small_animals_get_an_answer_each(model):
    photo = small_bear()
    teddy = open_photo(ROOT / "examples" / "teddy.jpg")
    photo.paste(teddy.resize((110, 110 * teddy.height // teddy.width)), (60, 280))
    [(probs, certainty, _, _, animal, animals)] = model.ask([photo])
    assert animals[0] == (animal, probs, certainty)
    found = sorted((box[0] < 200, max(probs, key=probs.get)) for box, probs, _ in animals)
    assert found == [(False, "grizzly"), (True, "teddy")]


def test_only_a_photo_that_is_not_decided_is_searched(model, monkeypatch):
    searched, find = [], model.squares.detector.find_animals
    monkeypatch.setattr(model.squares.detector, "find_animals", lambda photo: searched.append(photo) or find(photo))
    clear, small, nothing = open_photo(GRIZZLY), small_bear(), GREY
    answers = [model.ask([photo])[0] for photo in (small, clear, nothing)]
    assert searched == [small, nothing]
    together = model.ask([small, clear, nothing])
    for (probs, *one), (same, *other) in zip(answers, together):
        assert list(probs.values()) == pytest.approx(list(same.values()), abs=1e-4)
        assert (one[0], one[2]) == (other[0], other[2])


def test_a_whole_photo_decides_alone_when_it_is_a_little_surer_than_it_would_have_to_be(model, monkeypatch):
    monkeypatch.setattr(model.squares, "find_animals", lambda photo: [])
    sure, photo = model.learn.ood["sure"], open_photo(GRIZZLY)
    [answer] = model.squares.run([photo], model.squares.grid.size)
    for threshold, none in ((answer.score - LESS - 0.01, False), (answer.score - LESS + 0.01, True)):
        monkeypatch.setitem(model.learn.ood, "threshold", threshold)
        monkeypatch.setitem(model.learn.ood, "sure", max(sure, threshold))
        [again] = model.squares.ask([photo])
        assert ood.shows_none(model.learn.ood, again.score) == none


def test_a_photo_whose_background_speaks_for_the_class_gets_a_heatmap_in_the_report(animals, monkeypatch):
    learn, boxes = open_export(animals), []
    monkeypatch.setattr(Detector, "find_animals", lambda self, photo: (np.array(boxes), None))
    wrong = [(GRIZZLY, list(learn.dls.vocab).index("grizzly"))]
    assert find_backgrounds(learn, wrong) == {}, "no animal is found"
    boxes.append([0, 0, 20, 20])
    [(file, heatmap)] = find_backgrounds(learn, wrong).items()
    assert file == GRIZZLY and heatmap.size == open_photo(GRIZZLY).size and heatmap.getpixel((0, 10)) == (255, 255, 255)
    boxes.append([0, 0, 480, 360])
    assert find_backgrounds(learn, wrong) == {}
    learn.ood = {}
    assert find_backgrounds(learn, wrong) == {}


def test_an_export_whose_classes_are_no_animals_has_no_detector(animals):
    learn = open_export(animals)
    learn.ood.pop("animals")
    assert squares.create_squares(learn).detector is None


def test_without_the_file_the_app_answers_as_without_a_detector(animals, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(squares, "Detector", lambda threads: Detector(tmp_path / "gone", threads))
    model = Classifier(animals)
    assert capsys.readouterr().out.count("small animals are found less often: ") == 1
    [(probs, certainty, *_)] = model.ask([open_photo(GRIZZLY)])
    assert model.squares.detector is None and certainty == SURE and max(probs, key=probs.get) == "grizzly"


@pytest.mark.slow
def test_the_runtime_of_the_detector_reports_to_nobody(tmp_path):
    """Check the folder for temporary files, where ONNX Runtime would leave a file that identifies the machine."""
    env = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    env.pop("ORT_DISABLE_TELEMETRY", None)
    code = "from bears.model.detector import Detector; Detector()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True)
    assert not [f for f in tmp_path.rglob("*") if f.is_file()]
