"""Test that the whole photo is classified: a bear at the edge is found, and only unsure photos get a second pass."""

import copy
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bears.learning.degrade import KINDS, Degrade
from bears.learning.learner import vision_learner
from bears.model import ood, squares
from bears.model.answers import NONE, SURE, UNSURE
from bears.model.classifier import Classifier
from bears.model.export import export, load_pickle
from bears.model.photo import open_photo
from bears.model.squares import (
    CLOSER,
    HOPELESS,
    LESS,
    MARGINS,
    MAX_RATIO,
    Answer,
    Grid,
    MiddleSquare,
    SurestSquare,
    WholePhotos,
    around,
    average,
    cover,
    create_squares,
    cut_square,
    find_corners,
    find_grid,
    middle,
    visible,
)
from fastai.data.transforms import ToTensor
from fastai.vision.all import ImageDataLoaders, PILImage, Resize, ResizeMethod
from helpers import ROOT, in_front_end
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

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


SIDES = (1, 90, 255, 256, 257, 300, 720, 767, 768, 769, 1283)
JAVASCRIPT = """async ({facts, sizes, covers, scores}) => {
    const {Squares, cover, isWorthAnother} = await import("/offline/squares.js")
    const squares = new Squares(null, facts)
    const look = ([width, height]) => {
        const seen = squares.visible(width, height)
        const {left, top} = seen
        return [[left, top, left + seen.width, top + seen.height], squares.target(seen, facts.size)]
    }
    return {
        looks: sizes.map(look),
        covers: covers.map(each => cover(...each)),
        again: scores.map(score => isWorthAnother(facts, score)),
    }
}"""


@pytest.mark.slow
def test_a_browser_looks_at_the_same_squares(browser):
    sizes, scores = list(itertools.product(SIDES, repeat=2)), [0.1, 0.149, 0.15, 0.2, 0.399, 0.4, 0.5]
    covers = [(n, 8, stride) for n in range(8, 60) for stride in (None, 4)]
    facts = {"size": 256, "side": 8, "whole": True, "ratio": MAX_RATIO, "hopeless": 0.3 * HOPELESS, "sure": 0.4}
    asked = {"facts": facts, "sizes": sizes, "covers": covers, "scores": scores}
    found = in_front_end(browser, JAVASCRIPT, asked)
    grid = Grid(256, 8)
    squares = WholePhotos({"threshold": 0.3, "sure": 0.4}, grid)
    assert found["looks"] == [[list(visible(size)), list(grid.target(size, 256))] for size in sizes]
    assert found["covers"] == [cover(*each) for each in covers]
    assert found["again"] == [squares.is_worth_another(score) for score in scores]


@pytest.mark.parametrize("size, place", [((1280, 720), (0, 200)), ((1280, 720), (880, 200)), ((720, 1280), (150, 0))])
def test_a_bear_at_the_edge_is_found_where_it_is(model, size, place):
    photo = Image.new("RGB", size, (120, 130, 110))
    bear = open_photo(GRIZZLY)
    bear = bear.resize((400, 400 * bear.height // bear.width))
    photo.paste(bear, place)
    [(probs, certainty, _, box, *_)] = model.ask([photo])
    assert certainty != NONE and max(probs, key=probs.get) == "grizzly"
    middle = place[0] + bear.width / 2, place[1] + bear.height / 2
    assert box[0] < middle[0] < box[2] and box[1] < middle[1] < box[3]
    assert 0 <= box[0] < box[2] <= size[0] and 0 <= box[1] < box[3] <= size[1]


def test_a_square_photo_gets_the_answer_of_load_learner(model):
    photo = open_photo(GRIZZLY).resize((300, 300))
    [(probs, _, _, box, animal, _)] = model.ask([photo])
    expected = load_pickle(ROOT / "export.pkl").predict(PILImage.create(np.asarray(photo)))[2]
    assert list(probs.values()) == pytest.approx(expected.tolist(), abs=1e-4) and (box, animal) == (
        (0, 0, 300, 300),
        None,
    )


def test_only_a_photo_that_may_show_a_class_is_looked_at_a_second_time(model):
    sides, run_batch = [], model.squares.run_batch
    model.squares.run_batch = lambda photos, size, stride: sides.append(size) or run_batch(photos, size, stride)
    hopeless, unsure = Image.new("RGB", (640, 480), "grey"), Image.new("RGB", (640, 480), "grey")
    unsure.paste(open_photo(GRIZZLY).resize((103, 89)), (300, 200))
    try:
        for photo, looked_at in ((open_photo(GRIZZLY), [256]), (hopeless, [256]), (unsure, [256, 448])):
            model.ask([photo])
            assert sides == looked_at
            sides.clear()
        model.ask([hopeless, unsure, hopeless])
        assert sides == [256, 448]
        model.squares.closer = 9 / 8, 7 / 4
        model.ask([unsure, hopeless])
        assert sides == [256, 448, 256, 288]  # the second pass was sure
    finally:
        model.squares.run_batch, model.squares.closer = run_batch, (CLOSER,)


def test_photos_of_different_shapes_are_answered_in_their_order(model):
    photos = [open_photo(ROOT / "examples" / f"{label}.jpg") for label in ("teddy", "grizzly", "black")]
    photos[1] = photos[1].resize((300, 400))
    labels = [max(probs, key=probs.get) for probs, *_ in model.ask(photos)]
    assert labels == ["teddy", "grizzly", "black"]


def test_the_box_of_a_square_is_where_the_square_is(model):
    """Check boxes with and without scaling: unscaled, a cell is `cell` pixels and a square 256."""
    box, cell = model.squares.grid.box, model.squares.grid.cell
    assert box((512, 256), (512, 256), (0, 0)) == (0, 0, 256, 256)
    assert box((512, 256), (512, 256), (0, 3)) == (3 * cell, 0, 3 * cell + 256, 256)
    assert box((256, 512), (256, 512), (8, 0)) == (0, 8 * cell, 256, 8 * cell + 256)
    assert box((1024, 512), (512, 256), (0, 8)) == (16 * cell, 0, 16 * cell + 512, 512)  # twice as large


def test_the_box_of_a_panorama_counts_what_is_cut_off_at_its_ends(model):
    box, cell = model.squares.grid.box, model.squares.grid.cell
    assert box((1280, 256), (768, 256), (0, 0)) == (256, 0, 512, 256)
    assert box((256, 1280), (256, 768), (4, 0)) == (0, 256 + 4 * cell, 256, 512 + 4 * cell)


def test_squares_that_overlap_find_what_lies_between_the_others():
    fmaps = torch.zeros(1, 2, 2, 6)
    fmaps[:, 0, :, 1:3], fmaps[:, 1, :, :1], fmaps[:, 1, :, 3:] = 1, 1, 1
    head = SurestSquare(nn.AdaptiveAvgPool2d(1), {"gallery": torch.tensor([[1.0, 0]]), "share_power": 1}, 2)
    assert head.choose(fmaps, 1).corners == [(0, 1)] and head.choose(fmaps, 1).scores == pytest.approx([1])
    assert head.choose(fmaps).scores == pytest.approx([0.5**0.5])


def test_the_squares_of_the_second_look_overlap_by_half(model):
    strides, run = [], model.squares.run
    unsure = Image.new("RGB", (640, 480), "grey")
    unsure.paste(open_photo(GRIZZLY).resize((103, 89)), (300, 200))
    model.squares.run = lambda photos, size, stride=None: strides.append(stride) or run(photos, size, stride)
    try:
        model.ask([unsure])
    finally:
        del model.squares.run
    assert strides == [None, model.squares.grid.side // 2] == [None, 4]


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


@pytest.mark.parametrize(
    "n, side, stride, starts",
    [
        (8, 8, None, [0]),
        (9, 8, None, [0, 1]),
        (16, 8, None, [0, 4, 8]),
        (24, 8, None, [0, 8, 16]),
        (25, 8, None, [0, 4, 8, 13, 17]),
        (14, 8, 4, [0, 3, 6]),
        (12, 8, 4, [0, 4]),
        (8, 8, 4, [0]),
    ],
)
def test_the_squares_that_cover_a_side(n, side, stride, starts):
    assert cover(n, side, stride) == starts
    assert find_corners((n, side), side, stride) == [(start, 0) for start in starts]
    assert find_corners((side, n), side, stride) == [(0, start) for start in starts]


@pytest.mark.parametrize(
    "size, box, target",
    [
        ((400, 300), (0, 0, 400, 300), (352, 256)),
        ((300, 400), (0, 0, 300, 400), (256, 352)),
        ((256, 256), (0, 0, 256, 256), (256, 256)),
        ((900, 300), (0, 0, 900, 300), (768, 256)),
        ((1003, 300), (51, 0, 952, 300), (768, 256)),
        ((300, 1003), (0, 51, 300, 952), (256, 768)),
        ((310, 300), (0, 0, 310, 300), (256, 256)),
    ],
)
def test_what_of_a_photo_is_looked_at_and_how_large(size, box, target):
    grid = Grid(256, 8)
    assert visible(size) == box and grid.target(size, 256) == target
    ramp = Image.linear_gradient("L").resize(size).convert("RGB")
    expected = ramp.crop(box).resize(target, Image.Resampling.BILINEAR)
    assert grid.resized(ramp, 256).tobytes() == expected.tobytes()


@pytest.mark.parametrize("size, box", [((400, 300), (50, 0, 350, 300)), ((300, 401), (0, 50, 300, 350))])
def test_the_middle_square(size, box):
    assert middle(size) == box


@pytest.mark.parametrize(
    "box, margin, square",
    [
        ((100, 100, 200, 150), 0.1, (90, 65, 210, 185)),
        ((100, 100, 150, 200), 0.1, (65, 90, 185, 210)),
        ((0, 0, 100, 50), 0.1, (0, 0, 120, 120)),
        ((560, 400, 640, 480), 0.25, (520, 360, 640, 480)),
        ((0, 0, 640, 480), 0.1, (80, 0, 560, 480)),
        ((9, 5, 9, 5), 0.1, (8, 4, 9, 5)),
    ],
)
def test_the_square_around_an_animal(box, margin, square):
    assert around(box, (640, 480), margin) == square


def test_an_animal_is_resized_to_what_the_network_sees():
    photo = Image.effect_noise((120, 120), 80).convert("RGB")
    expected = photo.crop((10, 20, 74, 84)).resize((32, 32), Image.Resampling.BILINEAR)
    seen = cut_square(photo, (10, 20, 74, 84), 32)
    inside = np.s_[1:-1, 1:-1]  # pixels around the square may count at its edge
    assert seen.size == (32, 32) and abs(np.asarray(seen, int) - np.asarray(expected))[inside].max() <= 1
    smooth = Image.linear_gradient("L").convert("RGB")  # a smooth photo, in which that counts little
    expected = smooth.crop((10, 20, 74, 84)).resize((32, 32), Image.Resampling.BILINEAR)
    assert abs(np.asarray(cut_square(smooth, (10, 20, 74, 84), 32), int) - np.asarray(expected)).max() <= 1


def test_a_known_false_alarm_is_much_more_like_an_earlier_one_than_like_the_training_photos():
    detector, known = {"gallery": torch.tensor([[1.0, 0.0]])}, torch.tensor([[0.6, -0.8], [0.0, 2.0]])
    photos = torch.tensor([[0.0, 5.0], [1.0, 1.0], [1.0, 1.1], [1.0, 2.0], [3.0, 0.0]])
    assert ood.shows_known(detector, photos, known).tolist() == [True, False, False, True, False]


def test_answers_about_an_animal_are_averaged():
    answers = [
        Answer(torch.tensor(p), None, score, fmap) for p, score, fmap in (([1.0, 0], 0.2, "a"), ([0, 1.0], 0.6, "b"))
    ]
    mean = average(answers, (1, 2, 3, 4))
    assert mean.probs.tolist() == [0.5, 0.5] and mean.score == pytest.approx(0.4)
    assert (mean.box, mean.fmap) == ((1, 2, 3, 4), "b")


class Passes(WholePhotos):
    """Replace the network of `WholePhotos`: the scores of each pass are in `said`, by the photo's size."""

    def __init__(self, said):
        super().__init__({"threshold": 0.4, "sure": 0.6}, Grid(256, 8))
        self.said, self.passes = said, []

    def run(self, photos, size, stride=None):
        self.passes.append(([photo.size for photo in photos], size, stride))
        scores = [self.said[photo.size].pop(0) for photo in photos]
        return [Answer(torch.tensor([score]), size, score, str(score)) for score in scores]


def blank(*widths):
    return [Image.new("RGB", (width, 100)) for width in widths]


def test_a_second_look_is_for_what_may_show_none_but_is_not_hopeless_and_counts_if_it_is_surer():
    runs = Passes({(n, 100): said for n, said in ((101, [0.6]), (102, [0.59, 0.8]), (103, [0.2, 0.1]), (104, [0.19]))})
    answers = runs.ask(blank(101, 102, 103, 104))
    assert [answer.score for answer in answers] == [0.6, 0.8, 0.2, 0.19]
    assert [answer.box for answer in answers] == [256, 448, 256, 256]
    assert runs.passes[1:] == [([(102, 100), (103, 100)], 448, 4)]


def test_where_a_photo_does_not_decide_the_animal_in_it_does_if_it_scores_more():
    runs = Passes({(n, 100): [score] for n, score in ((101, 0.66), (102, 0.65), (103, 0.5), (104, 0.3))})
    runs.said[256, 256] = [0.6, 0.5, 0.4, 0.3]  # two animals, two crops each
    boxes = {102: [(10, 10, 50, 50), (0, 0, 9, 9)], 103: [], 104: [(0, 0, 50, 20)]}
    runs.detector = SimpleNamespace(find_animals=lambda photo: (boxes[photo.width], [0.9, 0.4]))
    answers = runs.ask(blank(101, 102, 103, 104))
    assert [answer.score for answer in answers] == pytest.approx([0.66 - LESS, 0.65 - LESS, 0.5 - LESS, 0.35])
    assert answers[3].box == around((0, 0, 50, 20), (104, 100), MARGINS[-1]) and answers[3].fmap == "0.3"
    assert [answer.animal for answer in answers] == [None, None, None, (0, 0, 50, 20)]
    assert runs.passes[1:] == [([(256, 256)] * 4, 256, None)]
    runs.said = {(102, 100): [0.5], (256, 256): [0.6, 0.5]}
    [answer] = runs.ask(blank(102))
    assert answer.score == pytest.approx(0.55) and answer.box == around((10, 10, 50, 50), (102, 100), MARGINS[-1])


def test_further_animals_have_clear_boxes_of_their_own_and_show_a_class():
    runs = Passes({(101, 100): [0.4]})
    runs.said[256, 256] = [0.9, 0.9, 0.1, 0.1, 0.7, 0.7, 0.8, 0.8]
    boxes = [(0, 0, 20, 20), (5, 5, 25, 25), (30, 0, 50, 20), (60, 0, 80, 20), (30, 40, 50, 60), (60, 40, 80, 60)]
    runs.detector = SimpleNamespace(find_animals=lambda photo: (boxes, [0.9, 0.9, 0.8, 0.7, 0.6, 0.6]))
    [answer] = runs.ask(blank(101))
    assert answer.animal == boxes[0] and [other.animal for other in answer.others] == [boxes[3], boxes[4]]
    runs.said = {(101, 100): [0.4], (256, 256): [0.9] * 8}
    runs.detector = SimpleNamespace(find_animals=lambda photo: (boxes, [0.9, 0.8, 0.4, 0.3, 0.3, 0.3]))
    assert runs.ask(blank(101))[0].others == [], "they are not clear"
    runs.said = {(101, 100): [0.1], (256, 256): [0.2, 0.2, *[0.9] * 6]}
    runs.detector = SimpleNamespace(find_animals=lambda photo: (boxes, [0.9] * 6))
    assert runs.ask(blank(101))[0].others == [], "the first animal shows no class"


def test_photos_of_one_shape_go_through_the_network_together_as_far_as_memory_allows(model, monkeypatch):
    batches, run_batch = [], model.squares.run_batch
    monkeypatch.setattr(
        model.squares,
        "run_batch",
        lambda photos, *args: batches.append([p.size for p in photos]) or run_batch(photos, *args),
    )
    monkeypatch.setattr(squares, "MAX_PIXELS", 2 * 256 * 256)
    photos = [open_photo(GRIZZLY).resize((256 + n % 2 * 32, 256)) for n in range(6)]
    together = model.squares.run(photos, 256)
    assert sorted(map(len, batches)) == [1, 1, 1, 1, 2] and all(len(set(batch)) == 1 for batch in batches)
    for photo, answer in zip(photos, together):
        [alone] = model.squares.run([photo], 256)
        assert torch.allclose(answer.probs, alone.probs, atol=1e-4) and answer.box == alone.box


def learner(*tfms, head=("AdaptiveAvgPool2d", "Flatten", "Linear"), stride=32):
    """Return a stand-in for a Learner with these item transforms and a body that shrinks photos by `stride`."""
    layers = {"AdaptiveAvgPool2d": nn.AdaptiveAvgPool2d(1), "Flatten": nn.Flatten(), "Linear": nn.Linear(3, 2)}
    model = nn.Sequential(nn.Conv2d(3, 3, 1, stride), nn.Sequential(*(layers[name] for name in head)))
    valid = SimpleNamespace(after_item=SimpleNamespace(fs=[*tfms, ToTensor()]))
    return SimpleNamespace(model=model, dls=SimpleNamespace(valid=valid, loaders=[]))


@pytest.mark.parametrize(
    "made, grid",
    [
        (learner(Resize(96)), (96, 3)),
        (learner(Resize((96, 96))), (96, 3)),
        (learner(Resize((96, 64))), None),
        (learner(Resize(96, method=ResizeMethod.Pad)), None),
        (learner(Resize(96), Resize(96)), None),
        (learner(), None),
        (learner(Resize(96), stride=50), (96, 2)),
        (learner(Resize(97), stride=50), None),  # a cell is not a whole number of pixels
        (learner(Resize(64), stride=64), None),  # one cell only
        (learner(Resize(96), head=("AdaptiveAvgPool2d", "Flatten", "Linear", "Linear")), None),
        (learner(Resize(96), head=("Flatten", "AdaptiveAvgPool2d", "Linear")), None),
    ],
)
def test_whole_photos_can_be_looked_at_by_a_network_of_plain_squares_with_a_linear_head(made, grid):
    made = copy.deepcopy(made)  # since it is changed below
    assert find_grid(made) == grid
    assert not isinstance(create_squares(made), WholePhotos)  # it needs `learn.ood`
    made.ood = {}
    made_squares = create_squares(made)
    assert isinstance(made_squares, WholePhotos) == bool(grid) and made_squares.learn is made
    if grid:
        assert made_squares.grid == grid and made_squares.grid.cell == 96 // grid[1]


@torch.no_grad()
def test_the_middle_of_a_photo_has_a_score_where_one_was_fitted(monkeypatch):
    made = learner(Resize(96), head=("AdaptiveAvgPool2d", "Flatten", "Linear"))
    made.loss_func = SimpleNamespace(activation=nn.Identity())
    batch = torch.stack([torch.full((3, 96, 96), width / 400.0) for width in (400, 300)])
    monkeypatch.setattr(squares, "load_batch", lambda learn, photos: batch)
    middles, photos = MiddleSquare(made), [Image.new("RGB", (400, 300)), Image.new("RGB", (300, 400))]
    for answer, photo, logits in zip(middles.ask(photos), photos, made.model(batch)):
        assert answer.score is None and answer.box == middle(photo.size) and answer.fmap.shape == (3, 3, 3)
        assert torch.equal(answer.probs, logits)
    fmaps = made.model[0](batch)
    features = made.model[1][:-1](fmaps)
    made.ood = {"gallery": nn.functional.normalize(features[:1]), "share_power": 1}
    answers = middles.ask(photos)
    assert [answer.score for answer in answers] == pytest.approx(ood.score(made.ood, features).tolist())
    assert answers[0].score == pytest.approx(1)
    assert torch.equal(answers[1].fmap, fmaps[1])


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
    assert not isinstance(middle.squares, WholePhotos)
    [(_, _, cam, box, *_)] = middle.ask([Image.new("RGB", (400, 300))])
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


def test_a_second_pass_leaves_nothing_behind_for_the_next_photo(model):
    photo, unsure = open_photo(GRIZZLY), Image.new("RGB", (640, 480), "grey")
    unsure.paste(photo.resize((103, 89)), (300, 200))
    before = model.learn.predict(photo)[2]
    model.ask([unsure])
    assert torch.equal(model.learn.predict(photo)[2], before)
