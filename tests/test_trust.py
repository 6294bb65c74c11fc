"""Test that the shipped model rejects other things, is calibrated, and has right heatmaps."""

import csv
import hashlib
import json
import shutil
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bears.errors import ExportError
from bears.learning.calibration import cross_calibrated, fit_temperature
from bears.learning.data import find_photos, grouped_folds
from bears.learning.features import compute_features
from bears.learning.head import fit_head, out_of_fold
from bears.learning.learner import fingerprint, no_progress_bar_in_logs
from bears.learning.metrics import calibration_error, count_errors
from bears.learning.near_duplicates import group_near_duplicates
from bears.model import ood
from bears.model.answers import GROUP, NONE, SURE
from bears.model.classifier import Classifier
from bears.model.export import open_export
from bears.model.heatmap import activation_map, draw_heatmap, find_peak, is_inside
from bears.model.optimize import FastBody, speed_up
from bears.model.photo import open_photo, small_jpeg
from bears.train import evaluation
from bears.train.ood_eval import fit_ood
from bears.train.shipped_model import EXCLUDED
from bears.train.shipped_model import PHOTOS as PHOTOS_CSV
from fastai.data.transforms import get_image_files
from fastai.vision.learner import create_body
from helpers import ROOT, in_front_end
from PIL import Image
from torch import nn
from torchvision.models import resnet18

FACTS = json.loads((ROOT / "export.json").read_text())
EXAMPLES = [f for f in sorted((ROOT / "examples").glob("*.jpg")) if f.stem != "none"]


@pytest.fixture(scope="module")
def model():
    return Classifier(ROOT / "export.pkl")


def test_one_photo_and_many_give_the_same_answers(model):
    photos = [open_photo(f) for f in EXAMPLES]
    assert [certainty for _, certainty, *_ in model.ask(photos)] == [GROUP, SURE, SURE]  # the first is black.jpg
    for (probs, certainty, cam, *boxes), photo in zip(model.ask(photos), photos):
        [(lone_probs, lone_certainty, lone_cam, *lone_boxes)] = model.ask([photo])
        assert probs == pytest.approx(lone_probs, abs=1e-4)
        assert certainty == lone_certainty and boxes == lone_boxes
        assert np.allclose(cam, lone_cam, atol=1e-3)


MODELS = {
    "the bears": lambda: open_export(ROOT / "export.pkl").model,
    "a resnet": lambda: nn.Sequential(create_body(resnet18(), cut=-2)),
    "one that stays in torch": lambda: nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU())),
}


@pytest.mark.slow
@pytest.mark.parametrize("sides", [(256, 256), (300, 300), (199, 231)])
@pytest.mark.parametrize("name", MODELS)
def test_the_faster_network_says_the_same_whatever_the_size(name, sides):
    model, x = MODELS[name]().eval(), torch.rand(2, 3, *sides)
    with torch.no_grad():
        expected = model(x)
        speed_up(model)
        assert torch.allclose(model(x), expected, atol=1e-3)
    assert isinstance(model[0], FastBody) == (name != "one that stays in torch")


def test_heat_map_is_exact_its_mean_is_the_score_of_the_class(model):
    [answer] = model.squares.ask([open_photo(EXAMPLES[0])])
    linear = model.learn.model[1][-1]
    logits = linear(answer.fmap.mean(dim=(1, 2)))
    assert torch.allclose(logits.softmax(0), answer.probs, atol=1e-4)
    for label, logit in enumerate(logits):
        cam = activation_map(answer.fmap, linear, label)
        assert cam.mean() + linear.bias[label].item() == pytest.approx(logit.item(), abs=1e-3)


def test_heat_map_has_the_size_of_the_photo_and_marks_only_the_square_that_is_meant():
    photo = Image.new("RGB", (300, 200), "white")
    heat = draw_heatmap(photo, np.eye(8, dtype=np.float32), (90, 0, 290, 200))
    assert heat.size == photo.size
    assert heat.getpixel((10, 100)) == (255, 255, 255) != heat.getpixel((200, 100))


def test_the_peak_of_a_heat_map_is_the_middle_of_its_brightest_cell():
    cam = np.zeros((4, 8), np.float32)
    cam[1, 5] = 1
    assert find_peak(cam, (100, 40, 180, 80)) == (155, 55)
    assert is_inside((155, 55), (155, 50, 160, 55)) and not is_inside((154, 55), (155, 50, 160, 55))
    assert not is_inside((155, 55.5), (155, 50, 160, 55)) and is_inside((153, 57), (155, 50, 160, 55), margin=2)
    assert not is_inside((152, 55), (155, 50, 160, 55), margin=2)


@pytest.mark.parametrize("animal, left", [((130, 40, 160, 90), 130), (None, 90)])
def test_heat_map_has_an_outline_of_the_animal_or_else_of_the_square(animal, left):
    photo = Image.new("RGB", (300, 200), "red")
    heat = draw_heatmap(photo, np.eye(8, dtype=np.float32), (90, 0, 290, 200), animal)
    assert [heat.getpixel((left + x, 60)) for x in (0, 1)] == [(255, 255, 255), (0, 0, 0)]
    assert photo.getcolors() == [(300 * 200, (255, 0, 0))]


JAVASCRIPT = """async () => {
    const {heatmap} = await import("/offline/heatmap.js")
    const canvas = Object.assign(document.createElement("canvas"), {width: 800, height: 600})
    const palette = new Array(3 * 256).fill(128)
    const map = await heatmap(canvas, new Array(64).fill(1), {left: 100, top: 40, width: 560, height: 560}, palette)
    const context = canvas.getContext("2d")
    context.drawImage(await createImageBitmap(map), 0, 0)
    return [...context.getImageData(100, 300, 6, 1).data].filter((_, i) => i % 4 == 0)
}"""


@pytest.mark.slow
def test_a_browser_draws_the_same_outline(browser):
    line = in_front_end(browser, JAVASCRIPT)
    heat = draw_heatmap(Image.new("RGB", (800, 600), "white"), np.ones((8, 8), np.float32), (100, 40, 660, 600))
    expected = [heat.getpixel((x, 300))[0] for x in range(100, 104)]
    assert expected == [255, 255, 0, 0] and line[:4] == pytest.approx(expected, abs=60)  # a JPEG blurs lines


def collect_photos(photos, folder):
    """Collect all photos of photos.csv into a folder, from two folders next to the repository."""
    shutil.copytree(photos / "bears", folder)
    files = {hashlib.sha256(f.read_bytes()).hexdigest(): f for f in (photos.parent / "life" / "bear").iterdir()}
    with PHOTOS_CSV.open(newline="", encoding="utf-8") as f:
        for row in csv.DictReader(f):
            if original := files.get(row["sha256"]):
                (folder / row["file"]).write_bytes(small_jpeg(original.read_bytes()))
    return folder


@pytest.fixture(scope="module")
def recipe(photos, model, tmp_path_factory):
    """Run train.py again on the photos of the shipped model."""
    files, dropped = find_photos(collect_photos(photos, tmp_path_factory.mktemp("shipped") / "photos"), EXCLUDED)
    assert dropped == FACTS["dropped"]
    learn = open_export(ROOT / "export.pkl")
    learn.arch, learn.pretrained, learn.untrained = FACTS["arch"], True, fingerprint(learn.model[0])
    no_progress_bar_in_logs()
    features, groups = compute_features(learn, files), group_near_duplicates(files)
    scores = fit_ood(learn, features, groups, Namespace(seed=FACTS["seed"]))
    return learn, features, grouped_folds(files, groups, seed=FACTS["seed"]), scores


@pytest.fixture(scope="module")
def judged(recipe):
    """Return the predictions for all photos by heads that never saw them, (photos, classes)."""
    _, features, folds, _ = recipe
    heads = [fit_head(features, split, seed=FACTS["seed"], quiet=True) for split in folds]
    return out_of_fold(heads, folds)


@pytest.mark.slow
def test_the_error_over_the_folds_is_what_the_pages_state(recipe, judged):
    errors, photos = count_errors(judged, recipe[1].targets)
    assert photos == FACTS["cross_validation"]["photos"]
    assert abs(errors - FACTS["cross_validation"]["errors"]) <= 1  # the body of the file is stored in half precision


@pytest.mark.slow
def test_the_detector_is_the_one_that_the_pages_speak_of(recipe, model):
    learn, _, _, scores = recipe
    for name in ("threshold", "sure"):
        assert learn.ood[name] == pytest.approx(model.learn.ood[name], abs=0.01)
    passed = (scores >= learn.ood["threshold"]).mean()
    assert passed >= 0.98 and passed == pytest.approx(FACTS["none_of_them"]["photos_that_pass"], abs=0.003)


@pytest.mark.slow
def test_of_other_things_at_most_1_in_200_pass_for_a_bear(photos, model):
    files, others = sorted(get_image_files(photos / "not_bears")), FACTS["none_of_them"]["others"]
    assert others["photos"] == len(files) and others["errors"] <= 0.005 * len(files)
    certainty = {f.name: model.ask([open_photo(f)])[0][1] for f in files if f.name in others["passed"]}
    assert NONE not in certainty.values()
    assert all(model.ask([open_photo(f)])[0][1] == NONE for f in files[::12] if f.name not in others["passed"])


def test_a_stricter_model_turns_more_photos_away(model, monkeypatch):
    none, *bears = [open_photo(ROOT / "examples" / f"{name}.jpg") for name in ("none", "black", "grizzly", "teddy")]

    def turned_away(strictness):
        monkeypatch.setattr(model.learn, "ood", ood.stricter(fitted, strictness))
        return [certainty == NONE for _, certainty, *_ in model.ask([none, *bears])]

    fitted = model.learn.ood
    assert turned_away(1) == [True, False, False, False]
    assert turned_away(0) == [False] * 4 and turned_away(1 / fitted["threshold"]) == [True] * 4


def test_a_model_that_turns_nothing_away_cannot_be_stricter(model):
    learn = SimpleNamespace(learn=SimpleNamespace(ood=None))
    with pytest.raises(ExportError, match=r"none of its classes\. Leave out --strictness"):
        Classifier.be_stricter(learn, "export.pkl", 1.1)


def test_thresholds_are_compared_as_they_are():
    fitted = {"threshold": 0.4, "sure": 0.6}
    scores = torch.tensor([0.35, 0.399, 0.4, 0.5, 0.599, 0.6])
    assert ood.shows_none(fitted, scores).tolist() == [True, True, False, False, False, False]
    assert ood.may_show_none(fitted, scores).tolist() == [True, True, True, True, True, False]


def test_the_thresholds_turn_away_the_share_of_photos_that_they_are_meant_to():
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.rand(500, 8, generator=generator), np.repeat([0, 1], 250)
    fitted, gallery_groups = ood.fit(features, labels, np.arange(500))
    scores = ood.left_out_scores(fitted, features, np.arange(500), gallery_groups)
    assert ood.shows_none(fitted, scores).mean() == pytest.approx(0.01, abs=0.003)
    fitted, gallery_groups = ood.fit(features, labels, np.arange(500), copies=[features + 0.1])
    scores = ood.left_out_scores(fitted, features + 0.1, np.arange(500), gallery_groups)
    assert ood.shows_none(fitted, scores).mean() == pytest.approx(0.06, abs=0.003)
    assert ood.may_show_none(fitted, scores).mean() == pytest.approx(0.08, abs=0.003)


def test_near_duplicates_of_a_photo_do_not_vouch_for_it():
    for copies in (1, 2):
        features, groups = torch.eye(12).repeat(copies, 1), np.tile(np.arange(12), copies)
        fitted, gallery_groups = ood.fit(features, np.repeat([0, 1], len(groups) // 2), groups)
        scores = ood.left_out_scores(fitted, features, groups, gallery_groups)
        assert scores.max() == pytest.approx(0, abs=1e-3)  # orthogonal to all others


def test_copies_of_a_photo_do_not_vouch_for_it_and_set_the_thresholds():
    features, groups, labels = torch.eye(40), np.arange(40), np.repeat([0, 1], 20)
    fitted, gallery_groups = ood.fit(features, labels, groups, copies=[features, features])
    assert len(fitted["gallery"]) == len(gallery_groups) == 120
    assert ood.left_out_scores(fitted, features, groups, gallery_groups).max() == pytest.approx(0, abs=1e-3)
    copies = [features + 0.2, features + torch.linspace(0, 1, 40)[:, None]]
    fitted, gallery_groups = ood.fit(features, labels, groups, copies=copies)
    scores = ood.left_out_scores(fitted, torch.cat(copies), np.tile(groups, 2), gallery_groups)
    assert (scores < fitted["threshold"]).mean() == pytest.approx(ood.TURNED_AWAY, abs=0.02)
    assert (scores < fitted["sure"]).mean() == pytest.approx(ood.UNSURE, abs=0.02)


def test_classes_that_imagenet_has_no_word_for_are_told_by_likeness_alone():
    features, labels = torch.eye(60), np.repeat([0, 1], 30)
    classifier = torch.eye(60), torch.zeros(60)  # each photo is of another category
    fitted, _ = ood.fit(features, labels, np.arange(60), classifier)
    assert "own" not in fitted and ood.own_share(fitted, features).min() == 1


def test_classes_of_too_many_categories_are_told_by_likeness_alone():
    shown = torch.tensor([0] * 20 + list(range(1, 21)))  # half of the photos are of one category, the rest of twenty
    features, labels = 20 * torch.eye(60)[shown], np.zeros(40, int)
    classifier = torch.eye(60), torch.zeros(60)
    fitted, _ = ood.fit(features, labels, np.arange(40), classifier)
    assert "own" not in fitted
    fitted, _ = ood.fit(features[:20], labels[:20], np.arange(20), classifier)
    assert fitted["own"] == 1


def test_imagenets_opinion_has_the_own_categories_first_and_then_the_closest_others():
    weight = torch.tensor([[4.0, 0, 0], [3, 1, 0], [0, 4, 0], [0, 0, 4], [-4, 0, 0]])
    bias = torch.tensor([0.5, 0.25, 0.125, 0.0, 1])
    features, groups = torch.tensor([[1.0, 0.1, 0]]).repeat(9, 1), np.arange(9)
    opinion = ood.own_and_rivals(features, np.zeros(9, int), groups, weight, bias, rivals=2)
    assert opinion["own"] == 1 and opinion["bias"].tolist() == [0.5, 0.25, 0]
    assert torch.equal(opinion["weight"].float(), weight[[0, 1, 3]])
    logits = features[:1] @ weight[[0, 1, 3]].T + bias[[0, 1, 3]]
    assert ood.own_share(opinion, features).tolist() == pytest.approx([logits.softmax(1)[0, 0].item()] * 9)


def test_imagenet_sees_a_category_in_a_class_by_three_in_a_hundred_photos_that_are_no_near_duplicates():
    guesses, groups = np.repeat([5, 7, 9], [95, 3, 2]), np.arange(100)
    assert set(ood.frequent_categories(guesses, groups)) == {5, 7}
    groups[95:97] = 0
    assert set(ood.frequent_categories(guesses, groups)) == {5}


def test_half_of_a_large_gallery_are_copies_and_the_same_seed_draws_the_same():
    features, labels = torch.rand(1000, 8, generator=torch.Generator().manual_seed(0)), np.repeat([0, 1], 500)
    for copies, of_photos, power in (((), ood.GALLERY, 1), ([features + 1], ood.GALLERY // 2, ood.SHARE_POWER)):
        fitted, groups = ood.fit(features, labels, np.arange(1000), copies=copies)
        again, groups_again = ood.fit(features, labels, np.arange(1000), copies=copies)
        assert len(groups) == len(fitted["gallery"]) == ood.GALLERY and (groups == groups_again).all()
        photos = torch.nn.functional.normalize(features[groups[:of_photos]]).half()
        assert torch.equal(fitted["gallery"][:of_photos], photos)
        assert fitted["share_power"] == power and fitted["threshold"] == again["threshold"]


def test_gallery_of_a_large_set_is_drawn_evenly_and_stays_small():
    labels = np.repeat([0, 1], [5000, 500])
    chosen = ood.sample_gallery(labels, seed=42)
    assert len(chosen) <= ood.GALLERY
    assert abs((labels[chosen] == 0).mean() - 0.5) < 0.01


@pytest.mark.parametrize("n", [37, 120, 196])
def test_gallery_holds_the_neighbours_of_every_one_of_many_classes(n):
    labels = np.repeat(np.arange(n), 30)
    counts = np.bincount(labels[ood.sample_gallery(labels, seed=42)])
    assert len(set(counts)) == 1 and counts[0] > ood.NEIGHBOURS


@pytest.mark.slow
def test_probabilities_are_calibrated(recipe, judged):
    _, features, folds, _ = recipe
    probs = cross_calibrated(judged, features.targets, folds)
    stated = FACTS["cross_validation"]["calibration_error"]
    assert calibration_error(probs, features.targets) == pytest.approx(stated, abs=0.005) and stated <= 0.02


def outputs_and_classes(n, overconfidence=1.0, seed=0):
    """Return made-up logits for `n` photos, too large by the factor `overconfidence`, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 3, generator=generator)
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return overconfidence * logits, targets


def test_each_fold_is_calibrated_by_the_others_and_not_by_itself():
    """Make the first fold eight times too sure, and check that each fold gets the other's temperature."""
    (sharp, one), (plain, two) = outputs_and_classes(3000, 8), outputs_and_classes(3000, seed=1)
    logits, targets = torch.cat([sharp, plain]), torch.cat([one, two])
    folds = [(range(3000, 6000), range(3000)), (range(3000), range(3000, 6000))]
    probs = cross_calibrated(logits, targets, folds)
    assert torch.allclose(probs[:3000], (sharp / fit_temperature(plain, two)).softmax(1))
    assert torch.allclose(probs[3000:], (plain / fit_temperature(sharp, one)).softmax(1))
    assert fit_temperature(sharp, one) > 6 and fit_temperature(plain, two) < 1.2


def test_folds_that_leave_photos_out_are_calibrated_row_by_row():
    logits, targets = outputs_and_classes(60, 3)
    valid = [np.arange(0, 240, 8), np.arange(4, 240, 8)]  # of 240 photos, of which 60 were judged
    probs = cross_calibrated(logits, targets, [(None, rows) for rows in valid])
    assert torch.allclose(probs[::2], (logits[::2] / fit_temperature(logits[1::2], targets[1::2])).softmax(1))
    [alone] = [cross_calibrated(logits, targets, [(None, np.arange(60))])]
    assert torch.allclose(alone, (logits / fit_temperature(logits, targets)).softmax(1))


def test_the_head_that_is_exported_has_the_temperature_in_it(monkeypatch):
    """Check that its logits are those of the trained head, divided by the temperature."""
    logits, targets = outputs_and_classes(400, 5)
    linear = torch.nn.Linear(4, 3)
    weight, bias = linear.weight.detach().clone(), linear.bias.detach().clone()
    folds = [(None, np.arange(200)), (None, np.arange(200, 400))]
    learn, heads = (
        Namespace(model=[None, [linear]]),
        [Namespace(recorder="the first"), Namespace(recorder="the second")],
    )
    monkeypatch.setattr(evaluation, "out_of_fold", lambda *args: logits if args == (heads, folds) else None)
    files = [f"{i}.jpg" for i in range(500)]  # the last hundred were in no fold
    every = torch.cat([targets, torch.zeros(100, dtype=int)])
    result = evaluation.evaluate_by_folds(learn, heads, folds, files, every)
    temperature = fit_temperature(logits, targets)
    assert temperature > 3
    assert torch.allclose(linear.weight, weight / temperature) and torch.allclose(linear.bias, bias / temperature)
    assert torch.allclose(result.logits.exp(), cross_calibrated(logits, targets, folds), atol=1e-6)
    stated = result.facts["cross_validation"]
    assert stated["calibration_error"] == round(calibration_error(result.logits.exp(), targets), 4)
    assert stated["photos"] == 400 and stated["folds"] == 2
    assert result.learn is learn and result.files == files[:400] and torch.equal(result.targets, targets)
    assert result.loss_recorder == "the first" and result.temperature == temperature


def judged_by(answers, monkeypatch):
    """Return a stand-in for a Learner with `answers` for its held-out photos, pairs of a class and its guess."""
    files, (targets, guesses) = [f"{i}.jpg" for i in range(len(answers))], zip(*answers)
    said = torch.eye(3)[list(guesses)], torch.tensor(targets)
    learn = Namespace(dls=Namespace(valid=Namespace(items=files)), recorder="its losses", said=said)
    monkeypatch.setattr(evaluation, "validation_logits", lambda learn: learn.said)
    return learn


def test_a_network_is_judged_by_its_own_split_and_without_folds_by_no_other(monkeypatch):
    learn = judged_by([(0, 0), (1, 2), (2, 2), (1, 1)], monkeypatch)
    result = evaluation.evaluate_by_validation(learn, None, [])
    assert (result.learn, result.loss_recorder) == (learn, "its losses") and result.files == learn.dls.valid.items
    assert torch.equal(result.logits, learn.said[0]) and torch.equal(result.targets, learn.said[1])
    assert list(result.facts) == ["validation"]
    assert (result.facts["validation"]["errors"], result.facts["validation"]["photos"]) == (1, 4)


def test_with_folds_it_is_judged_by_all_that_networks_trained_alike_have_not_seen(monkeypatch):
    learn = judged_by([(0, 0)], monkeypatch)
    again = {1: judged_by([(0, 1), (1, 1)], monkeypatch), 2: judged_by([(2, 0), (2, 2), (1, 1)], monkeypatch)}
    result = evaluation.evaluate_by_validation(learn, again.get, [(None, 1), (None, 2)])
    assert (result.learn, result.loss_recorder) == (learn, "its losses")
    assert result.files == ["0.jpg", "1.jpg", "0.jpg", "1.jpg", "2.jpg"]
    assert result.targets.tolist() == [0, 1, 2, 2, 1] and result.logits.argmax(1).tolist() == [1, 1, 0, 2, 1]
    stated = result.facts["cross_validation"]
    assert (stated["folds"], stated["errors"], stated["photos"]) == (2, 2, 5)
    assert result.facts["validation"]["photos"] == 1


def test_fewer_folds_than_were_asked_for_are_said(capsys):
    files = [Path(label, f"{i}.jpg") for label in ("disc", "square") for i in range(3)]
    args = Namespace(folds=3, seed=7)
    folds = evaluation.split_into_folds(files, np.arange(6), args)
    assert len(folds) == 3 and capsys.readouterr().out == ""
    for mine, other in zip(folds, grouped_folds(files, np.arange(6), 3, 7)):
        assert all(map(np.array_equal, mine, other))
    args.folds = 5
    assert len(evaluation.split_into_folds(files, np.arange(6), args)) == 3
    assert capsys.readouterr().out.startswith("· only 3 folds, because a class has only 3 different photos")


def test_temperature_undoes_overconfidence():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5000, 3, generator=generator)
    targets = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    assert fit_temperature(logits * 4, targets) == pytest.approx(4, rel=0.1)
    assert calibration_error((logits * 4).softmax(1), targets) > 0.2
    assert calibration_error(logits.softmax(1), targets) < 0.02


def test_grouping_ignores_what_cannot_be_near_duplicates(shapes):
    files, _ = find_photos(shapes)
    assert len(set(group_near_duplicates(files))) == len(files)


def test_no_error_on_a_few_photos_is_no_certainty():
    targets = torch.tensor([0, 1, 2] * 12)
    logits = 3.0 * torch.eye(3)[targets]
    probs = (logits / fit_temperature(logits, targets)).softmax(dim=1)
    assert 0.9 < probs.max() < 0.99


def test_a_temperature_fits_the_photos_and_one_more_of_every_class_and_has_bounds():
    """Check two right photos of three classes: smoothed labels of 7/9, 1/9, 1/9 mean a gap of ln 7 between logits."""
    assert fit_temperature(3 * torch.eye(3)[:2], torch.tensor([0, 1])) == pytest.approx(3 / np.log(7), rel=0.012)
    logits, targets = outputs_and_classes(300)
    assert fit_temperature(1e4 * logits, targets) == pytest.approx(10**1.5)
    assert fit_temperature(1e-4 * logits, targets) == pytest.approx(10**-1.5)


def test_the_calibration_error_is_the_mean_gap_over_fifteen_bins():
    sure, right = torch.tensor([0.61, 0.63, 0.9, 0.9, 0.95, 1]), torch.tensor([0, 1, 1, 0, 0, 1])  # two in each bin
    probs = torch.stack([sure, 1 - sure], dim=1)
    expected = (2 * 0.12 + 2 * 0.4 + 2 * 0.475) / 6
    assert calibration_error(probs, 1 - right) == pytest.approx(expected, abs=1e-6)
