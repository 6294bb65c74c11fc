"""The whole photo is looked at: a bear at the edge is found, and only what is unsure is looked at twice."""

import itertools

import numpy as np
import pytest
import torch
from bears.learning.degrade import KINDS, Degrade
from bears.learning.learner import vision_learner
from bears.model.answers import NONE, SURE, UNSURE
from bears.model.classifier import Classifier
from bears.model.export import export, load_pickle
from bears.model.photo import open_photo
from bears.model.squares import CLOSER, Answer, WholePhotos, cover, visible
from fastai.vision.all import ImageDataLoaders, PILImage, Resize
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

GRIZZLY = ROOT / "examples" / "grizzly.jpg"


@pytest.fixture(scope="module")
def model():
    return Classifier(ROOT / "export.pkl", detect=False)


@given(n=st.integers(1, 80), side=st.integers(1, 20), stride=st.none() | st.integers(1, 20))
def test_squares_cover_every_cell_and_the_middle_one_is_among_them(n, side, stride):
    n, stride = max(n, side), stride and min(stride, side)
    starts = cover(n, side, stride)
    assert {cell for start in starts for cell in range(start, start + side)} == set(range(n))
    if stride:
        assert all(b - a <= stride for a, b in itertools.pairwise(starts))
    else:
        assert len(starts) <= -(-n // side) + 1
        assert abs(starts[len(starts) // 2] - (n - side) / 2) <= 0.5


@pytest.mark.parametrize("size, place", [((1280, 720), (0, 200)), ((1280, 720), (880, 200)), ((720, 1280), (150, 0))])
def test_a_bear_at_the_edge_is_found_where_it_is(model, size, place):
    photo = Image.new("RGB", size, (120, 130, 110))
    bear = open_photo(GRIZZLY)
    bear = bear.resize((400, 400 * bear.height // bear.width))
    photo.paste(bear, place)
    [(probs, certainty, _, box)] = model.ask([photo])
    assert certainty != NONE and max(probs, key=probs.get) == "grizzly"
    middle = place[0] + bear.width / 2, place[1] + bear.height / 2
    assert box[0] < middle[0] < box[2] and box[1] < middle[1] < box[3]
    assert 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]


def test_a_square_photo_gets_the_answer_of_load_learner(model):
    photo = open_photo(GRIZZLY).resize((300, 300))
    [(probs, _, _, box)] = model.ask([photo])
    expected = load_pickle(ROOT / "export.pkl").predict(PILImage.create(np.asarray(photo)))[2]
    assert list(probs.values()) == pytest.approx(expected.tolist(), abs=1e-4) and box == (0, 0, 300, 300)


def test_only_a_photo_that_may_show_a_class_is_looked_at_a_second_time(model):
    sides, predict = [], model.eyes.predict
    model.eyes.predict = lambda photos: sides.append(model.eyes.whole.size) or predict(photos)
    hopeless, unsure = Image.new("RGB", (640, 480), "grey"), Image.new("RGB", (640, 480), "grey")
    unsure.paste(open_photo(GRIZZLY).resize((110, 95)), (300, 200))
    try:
        for photo, looked_at in ((open_photo(GRIZZLY), [256]), (hopeless, [256]), (unsure, [256, 448])):
            model.ask([photo])
            assert sides == looked_at
            sides.clear()
        model.ask([hopeless, unsure, hopeless], alone=False)
        assert sides == [256, 448]
        model.eyes.closer = 9 / 8, 7 / 4
        model.ask([unsure, hopeless])
        assert sides == [256, 448, 256, 288]  # the second look was sure
    finally:
        model.eyes.predict, model.eyes.closer = predict, (CLOSER,)


def test_photos_of_different_shapes_are_answered_in_their_order(model):
    photos = [open_photo(ROOT / "examples" / f"{label}.jpg") for label in ("teddy", "grizzly", "black")]
    photos[1] = photos[1].resize((300, 400))
    labels = [max(probs, key=probs.get) for probs, *_ in model.ask(photos, alone=False)]
    assert labels == ["teddy", "grizzly", "black"]


def test_the_box_of_a_square_is_where_the_square_is(model):
    """Without scaling a cell of the map is `cell` pixels of the photo, and a square is 256."""
    box, cell = model.eyes.box, model.eyes.whole.cell
    assert box((512, 256), (512, 256), (0, 0)) == (0, 0, 256, 256)
    assert box((512, 256), (512, 256), (0, 3)) == (3 * cell, 0, 3 * cell + 256, 256)
    assert box((256, 512), (256, 512), (8, 0)) == (0, 8 * cell, 256, 8 * cell + 256)
    assert box((1024, 512), (512, 256), (0, 8)) == (16 * cell, 0, 16 * cell + 512, 512)  # twice as large


def test_the_box_of_a_panorama_counts_what_is_cut_off_at_its_ends(model):
    box, cell = model.eyes.box, model.eyes.whole.cell
    assert box((1280, 256), (768, 256), (0, 0)) == (256, 0, 512, 256)
    assert box((256, 1280), (256, 768), (4, 0)) == (0, 256 + 4 * cell, 256, 512 + 4 * cell)


def test_the_squares_of_the_second_look_overlap_by_half(model):
    strides, look = [], model.eyes.look
    unsure = Image.new("RGB", (640, 480), "grey")
    unsure.paste(open_photo(GRIZZLY).resize((110, 95)), (300, 200))
    model.eyes.look = lambda photos, size, stride=None: strides.append(stride) or look(photos, size, stride)
    try:
        model.ask([unsure])
    finally:
        del model.eyes.look
    assert strides == [None, model.eyes.side // 2] == [None, 4]


@pytest.mark.parametrize("score", [None, 1.0])
def test_a_class_that_is_less_likely_than_all_others_together_is_no_verdict(model, monkeypatch, score):
    monkeypatch.setattr(model.learn, "ood", {"threshold": 0.1, "sure": 0.2})
    certainties = [
        model.certainty(Answer(torch.tensor(p), (0, 0, 1, 1), score)) for p in ([0.4, 0.3, 0.3], [0.6, 0.4, 0])
    ]
    assert certainties == [UNSURE, SURE]


@pytest.mark.parametrize(
    "share, certainty", [(0.5, NONE), (0.99, NONE), (1.01, UNSURE), (1.3, UNSURE), (1.99, UNSURE), (2, SURE), (3, SURE)]
)
def test_the_score_of_a_photo_against_both_thresholds_is_the_verdict(model, monkeypatch, share, certainty):
    monkeypatch.setattr(model.learn, "ood", {"threshold": 0.1, "sure": 0.2})
    assert model.certainty(Answer(torch.tensor([0.9, 0.1, 0]), (0, 0, 1, 1), share * 0.1)) == certainty


@pytest.mark.parametrize("size", [(2000, 100), (100, 2000), (400, 300)])
def test_of_a_panorama_the_middle_is_looked_at(size):
    left, top, right, bottom = visible(size)
    assert max(right - left, bottom - top) <= 3 * min(size)
    assert left + right == size[0] and top + bottom == size[1]


@pytest.mark.slow
def test_a_model_that_cannot_see_whole_photos_sees_the_middle(shapes, no_workers, tmp_path):
    dls = ImageDataLoaders.from_folder(shapes, valid_pct=0.5, item_tfms=Resize(96), bs=4)
    export(vision_learner(dls, "test_resnet", pretrained=False), tmp_path / "export.pkl")  # with fastai's own head
    middle = Classifier(tmp_path / "export.pkl")
    assert not isinstance(middle.eyes, WholePhotos)
    [(_, _, cam, box)] = middle.ask([Image.new("RGB", (400, 300))])
    assert cam is None and box == (50, 0, 350, 300)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_bad_copies_are_photos_of_the_same_size_and_no_two_are_alike(kind):
    photo, rng = open_photo(GRIZZLY).resize((256, 256)), np.random.default_rng(0)
    one, two = kind(photo, rng), kind(photo, rng)
    assert one.size == photo.size and one.mode == "RGB" and one.tobytes() != two.tobytes() != photo.tobytes()


def test_the_same_photo_always_gets_the_same_copy_and_another_in_another_version():
    photo = PILImage.create(np.asarray(open_photo(GRIZZLY).resize((256, 256))))
    copies = [Degrade(version)(photo).tobytes() for version in (0, 0, 1)]
    assert copies[0] == copies[1] != copies[2]
