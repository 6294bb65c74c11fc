"""Test train.py from a folder of photos to an export, and each possible mistake in the folder."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bears import ARCH
from bears.errors import ExportError
from bears.learning.data import find_photos, grouped_folds
from bears.learning.features import Features, body_features, compute_features, prefetch
from bears.learning.head import fit_head, validation_logits
from bears.learning.learner import LINEAR_HEAD, vision_learner
from bears.learning.near_duplicates import group_near_duplicates
from bears.model.backbone import input_size
from bears.model.classifier import Classifier
from bears.model.export import export, open_export
from bears.model.metadata import public
from bears.train.report import PAGE, describe_loss, show_confusion, show_watch, show_wrong
from bears.train.report import ClassificationInterpretation as Interpretation
from fastai.vision.all import ClassificationInterpretation, IndexSplitter, RandomSplitter, Resize, noop, parent_label
from helpers import DESKTOP, PHONE, ROOT, facts_of, needs, serious_findings
from PIL import Image, ImageOps
from torch import nn

import train

pytestmark = pytest.mark.usefixtures("no_workers")


def run_training(*args):
    """Run train.py; return the facts from its export.json."""
    train.main([str(arg) for arg in args])
    return facts_of(args[args.index("--out") + 1])


def fails(*args):
    """Return the error message with which train.py stops."""
    with pytest.raises(SystemExit) as exit:
        train.main([str(arg) for arg in args])
    message = str(exit.value)
    assert message.startswith("train.py: ") and "\n" not in message
    return message


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory, no_workers):
    """Run the default recipe once on the drawn photos with a broken file, a copy and a mirror image."""
    folder = tmp_path_factory.mktemp("trained")
    data, out = shutil.copytree(shapes, folder / "data"), folder / "new" / "folder"
    (data / "disc" / "broken.jpg").write_bytes(b"not a photo")
    shutil.copy(data / "disc" / "00.jpg", data / "disc" / "copy.jpg")
    with Image.open(data / "square" / "00.jpg") as im:
        ImageOps.mirror(im).save(data / "square" / "mirrored.png")
    return data, out, run_training("--data", data, "--out", out, "--folds", 2)


@pytest.mark.slow
def test_default_recipe_learns_the_drawn_shapes(trained):
    _, _, facts = trained
    assert facts["classes"] == ["disc", "square"]
    assert facts["counts"] == {"disc": 17, "square": 17}
    assert facts["cross_validation"]["folds"] == 2
    assert facts["cross_validation"]["photos"] == 34
    assert facts["cross_validation"]["error_rate"] <= 0.2


@pytest.mark.slow
def test_unreadable_photo_is_reported_and_stays_where_it_is(trained):
    data, _, facts = trained
    assert list(facts["dropped"]) == ["disc/broken.jpg"]
    assert (data / "disc" / "broken.jpg").read_bytes() == b"not a photo"


@pytest.mark.slow
def test_copies_and_mirror_images_are_near_duplicates(trained):
    found = [set(group) for group in trained[2]["near_duplicates"]]
    assert {"disc/00.jpg", "disc/copy.jpg"} in found
    assert {"square/00.jpg", "square/mirrored.png"} in found


@pytest.mark.slow
def test_no_fold_parts_near_duplicates(trained):
    files, _ = find_photos(trained[0])
    groups = group_near_duplicates(files)
    for train_idx, valid_idx in grouped_folds(files, groups):
        assert not set(groups[train_idx]) & set(groups[valid_idx])
        assert {parent_label(files[i]) for i in valid_idx} == {"disc", "square"}


def test_links_to_photos_are_near_duplicates_numbered_as_the_photos_are(shapes, tmp_path):
    files = sorted(shapes.glob("*/*.jpg"))
    links = [tmp_path / f"{i}{f.parent.name}{f.name}" for i in range(3) for f in files]
    for link, file in zip(links, files * 3):
        link.symlink_to(file)
    assert group_near_duplicates(links).tolist() == group_near_duplicates(files).tolist() * 3


@pytest.mark.slow
@pytest.mark.parametrize("arch", [ARCH, "mobilenet_v3_small", "vit_tiny_patch16_224"])
def test_features_are_those_of_plain_fastai(shapes, arch):
    files = sorted(shapes.glob("*/*.jpg"))[::2]
    dls = train.get_dls(files, IndexSplitter(range(4, 12)), Resize(input_size(arch)), bs=8)
    learn = vision_learner(dls, arch, pretrained=arch == ARCH, **LINEAR_HEAD)
    features = body_features(learn, files)
    assert features.shape == (16, learn.model[1][-1].in_features)
    learn.model[1][-1] = nn.Identity()
    plain, _ = learn.get_preds(dl=dls.test_dl(files, num_workers=0), act=noop)
    assert (features - plain).abs().max() < 1e-4 * plain.abs().max()


def test_batches_come_in_order_and_one_ahead():
    fetched = []
    batches = prefetch(fetched.append(i) or i for i in range(1, 6))
    assert next(batches) == 1 and len(fetched) <= 2
    assert list(batches) == [2, 3, 4, 5]


@pytest.mark.slow
def test_confusion_matrix_and_losses_are_those_of_fastai(shapes):
    files = sorted(shapes.glob("*/*.jpg"))
    learn = vision_learner(train.get_dls(files, RandomSplitter(seed=1), Resize(128)), "resnet10t", pretrained=False)
    ours = Interpretation(learn, learn.dls.valid.items, *validation_logits(learn))
    with learn.no_bar():
        fastai = ClassificationInterpretation.from_learner(learn)
        assert ours.confusion_matrix().tolist() == fastai.confusion_matrix().tolist()
        for own, theirs in zip(ours[torch.tensor([3, 1])], fastai[[3, 1]], strict=True):
            assert own.shape == theirs.shape and torch.allclose(own + 0.0, theirs + 0.0, atol=1e-5)
    assert torch.allclose(ours.losses, fastai.losses, atol=1e-5)


@pytest.mark.slow
def test_memory_stays_flat_as_the_folder_grows(shapes):
    command = [sys.executable, ROOT / "benchmarks" / "memory.py", "--data", shapes, "--times", "2", "16"]
    command += ["--arch", "test_resnet", "--no-pretrained", "--folds", "2"]
    env = {**os.environ, "MALLOC_ARENA_MAX": "2"}  # or the peak of the same training differs by up to a third
    tables = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout.split("\n\n")
    rows, searches = (
        [[float(cell.replace(",", "")) for cell in line.strip("| ").split("|")] for line in table.splitlines()[2:]]
        for table in tables
    )
    assert [photos for photos, _, _ in rows] == [64, 512]
    assert rows[1][1] < 1.25 * rows[0][1]  # 448 more photos would add 350 MB, a third of the peak, if pixels stayed
    assert [photos for photos, _, _ in searches] == [64, 512, 2048]
    assert searches[2][1] < 1.2 * searches[0][1]


def test_the_report_says_what_measures_an_alarm_where_there_is_one():
    assert not show_watch({"classes": ["disc", "square"]})
    said = show_watch({"classes": ["black", "grizzly", "teddy"], "alarm": ["black", "grizzly"]})
    assert "As an alarm for black and grizzly: not tested" in said and "benchmarks/watch.py</code>" in said


@pytest.fixture(params=[(screen, scheme) for screen in (DESKTOP, PHONE) for scheme in ("light", "dark")])
def report(trained, browser, request):
    """Open the report of the default recipe in a browser, on a desktop and a phone, in light and dark."""
    screen, scheme = request.param
    with browser.new_context(**screen, color_scheme=scheme, permissions=["clipboard-read"]) as context:
        page = context.new_page()
        page.goto((trained[1] / "reports" / "index.html").as_uri())
        yield page


@pytest.mark.slow
def test_the_report_is_one_file_with_all_pictures_for_every_screen_and_eye(trained, report):
    assert [f.name for f in (trained[1] / "reports").iterdir()] == ["index.html"]
    assert not serious_findings(report)
    assert report.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert len(report.locator("figure").all()) == 6
    ink = report.evaluate("getComputedStyle(document.body).color")
    for figure in report.locator("figure:not(.confusion_matrix)").all():  # its letters follow dark mode
        fills = figure.locator("svg text").evaluate_all("texts => texts.map(text => getComputedStyle(text).fill)")
        assert fills and set(fills) == {ink}


@pytest.mark.slow
def test_the_report_says_what_to_expect_why_and_what_to_type_next(trained, report):
    facts = trained[2]["cross_validation"]
    expected = f"{facts['error_rate']:.1%}" if facts["errors"] else f"fewer than {facts['interval_95'][1]:.1%}"
    assert report.get_by_role("heading", level=1).text_content() == f"Expect {expected} errors on photos like yours"
    assert "Why you can trust this figure" in report.inner_text("main")
    report.get_by_role("button", name="Copy").last.click()
    report.get_by_role("button", name="Copied").wait_for()
    copied = report.evaluate("navigator.clipboard.readText()")
    assert copied == f"python3 -m bears app --model {trained[1] / 'export.pkl'}"
    left_out = report.get_by_text("disc/broken.jpg", exact=True)
    assert not left_out.is_visible()
    report.get_by_text("Photos excluded: 1").click()
    assert left_out.is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["boxer", "german shorthaired pointer"])
def test_all_columns_of_eight_classes_are_seen(browser, tmp_path, screen, name):
    vocab = [f"{name} {i}" for i in range(8)]
    table = show_confusion(
        SimpleNamespace(vocab=vocab, confusion_matrix=lambda: np.full((8, 8), 3) + 130 * np.eye(8, dtype=int))
    )
    (tmp_path / "index.html").write_text(PAGE.substitute(title="", classes="", headline="", sections=table))
    page = browser.new_page(**screen)
    page.goto((tmp_path / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    assert page.locator(".wide").evaluate("table => table.scrollWidth <= table.clientWidth")
    colours = page.locator("td.n").evaluate_all("cells => cells.map(cell => getComputedStyle(cell).backgroundColor)")
    assert len(set(colours)) == 2 and "rgba(0, 0, 0, 0)" not in colours  # of right and of wrong answers
    page.close()


def test_the_command_that_puts_photos_right_stands_under_those_it_got_wrong(shapes):
    files = [shapes / "disc" / "00.jpg", shapes / "square" / "00.jpg"]
    probs = torch.tensor([[0.1, 0.9], [0.2, 0.8]])
    interp = SimpleNamespace(vocab=["disc", "square"], probs=probs, targets=torch.tensor([0, 1]), wrong=lambda: [0])
    shown = show_wrong(Namespace(data=[shapes], exclude=None), SimpleNamespace(files=files, turned_away=[]), interp)
    assert re.search(
        r"Photos that the model got wrong: 1 of 2</h2><p>.*<code>python3 -m bears clean .*<ul class=.photos", shown
    )


def test_photos_that_it_got_wrong_are_shown_by_pairs_of_classes_and_where_it_looked_at_the_background(shapes):
    files = [shapes / "disc" / "00.jpg", shapes / "square" / "00.jpg", shapes / "square" / "01.jpg"]
    probs, vocab = torch.tensor([[0.1, 0.9, 0], [0, 0.2, 0.8], [0, 0.7, 0.3]]), ["disc", "square", "ring"]
    probs = torch.cat([probs, probs[:1]])
    targets = torch.tensor([0, 1, 2, 0])
    interp = SimpleNamespace(vocab=vocab, probs=probs, targets=targets, wrong=lambda: [1, 0, 3, 2])
    result = SimpleNamespace(files=[*files, shapes / "disc" / "01.jpg"], turned_away=[])
    background = {files[2]: Image.new("RGB", (60, 40), "red")}
    shown = show_wrong(Namespace(data=[shapes], exclude=None), result, interp, background)
    titles = ["disc, mistaken for square: 2", "square, mistaken for ring: 1", "ring, mistaken for square: 1"]
    assert re.findall("<h3>(.*?)</h3>", shown) == titles
    assert shown.count("; the background counted most<") == 1 and "to blame for 1 of these 4:" in shown
    assert re.search("ring, mistaken for square, 70% sure; the background counted most</b><code>.*square/01.jpg", shown)
    pictures = re.findall('base64,(.*?)"', shown)
    assert Image.open(io.BytesIO(base64.b64decode(pictures[-1]))).size == (60, 40)
    assert "to blame" not in show_wrong(Namespace(data=[shapes], exclude=None), result, interp)


@pytest.mark.parametrize(
    ("held_out", "said"),
    [
        ([0.9, 0.3, 0.2], "On the validation photos, the loss falls from 0.90 to 0.20."),
        (
            [0.9, 0.2, 0.3],
            "the loss falls from 0.90 to 0.20, then rises to 0.30. A validation loss that rises is a sign",
        ),
        ([0.2, 0.3, 0.9], "the loss rises from 0.20 to 0.90. A validation loss that rises is a sign of overfitting"),
        ([0.5, 0.52], "the loss stays at about 0.52."),
        ([0.5], "the loss stays at about 0.50."),
        ([0.5, float("nan")], "the loss is not a number at some point: lower the learning rate."),
        ([None, None], "On the training photos, the loss falls from 1.20 to 0.10."),
    ],
)
def test_the_report_says_how_the_losses_went(held_out, said):
    names, values = ["epoch", "train_loss", "valid_loss", "time"], [[0.1, loss] for loss in held_out]
    told = describe_loss(SimpleNamespace(metric_names=names, losses=[1.2, 0.4, 0.1], values=values))
    assert told.startswith("On the training photos, the loss falls from 1.20 to 0.10.") and said in told


@pytest.mark.slow
def test_learning_curve_shows_a_curve(trained):
    page = (trained[1] / "reports" / "index.html").read_text()
    curve = page.partition('aria-label="Loss while training"')[2].partition("</svg>")[0]
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', curve)[1])
    blue = re.search(r'<path d="([^"]+)"[^>]*stroke: #1f77b4', curve)[1]  # matplotlib's first colour
    points = [float(x) for x in re.findall(r"[ML] ([\d.]+)", blue)]
    assert max(points) - min(points) > 0.5 * width


def table_of(out):
    """Return the rows of a report's confusion matrix: class, photos, recall, precision, and the predictions."""
    page = (out / "reports" / "index.html").read_text()
    rows = page.partition("<tbody>")[2].partition("</tbody>")[0].split("<tr>")[1:]
    return [re.findall(r"<t[dh][^>]*>([^<]*)", row) for row in rows]


def photos_of(out):
    """Return the photos that a report shows, a list of (name, caption)."""
    page = (out / "reports" / "index.html").read_text()
    shown = re.findall(
        r'<img src="data:image/jpeg;base64,([^"]+)"[^>]*><b>([^<]+)</b><code>(?:<a href="http://127.0.0.1:7860/#[^"]+">)?([^<]+)',
        page,
    )
    for jpeg, _, _ in shown:
        assert max(Image.open(io.BytesIO(base64.b64decode(jpeg))).size) >= 96
    return [(name, caption) for _, caption, name in shown]


@pytest.mark.slow
def test_export_predicts_what_it_was_trained_on(trained):
    data, out, _ = trained
    learn = open_export(out / "export.pkl")
    label, _, probs = learn.predict(data / "square" / "03.jpg")
    assert label == "square" and probs.sum() == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_same_seed_gives_the_same_model(trained):
    data, out, first = trained
    shutil.move(out / "export.pkl", out / "first.pkl")
    again = run_training("--data", data, "--out", out, "--folds", 2)
    assert {**first, "seconds": 0} == {**again, "seconds": 0}
    photo = data / "disc" / "05.jpg"
    probs = [open_export(out / name).predict(photo)[2].tolist() for name in ("first.pkl", "export.pkl")]
    assert probs[0] == probs[1]


@pytest.mark.slow
def test_the_lesson_to_the_letter(shapes, tmp_path):
    facts = run_training("--data", shapes, "--out", tmp_path, "--lesson", "--no-pretrained")
    assert facts["arch"] == "resnet18" and facts["recipe"] == "lesson"
    assert facts["validation"]["photos"] == int(0.3 * 32)
    learn = open_export(tmp_path / "export.pkl")
    assert learn.predict(shapes / "disc" / "00.jpg")[0] in ("disc", "square")


@pytest.mark.slow
def test_the_lesson_as_in_the_book_and_a_class_whose_letters_no_font_here_has(shapes, tmp_path, capsys):
    data = shutil.copytree(shapes, tmp_path / "data")
    (data / "disc").rename(data / "🐻熊")
    recipe = ["--lesson", "book", "--arch", "test_resnet", "--no-pretrained"]
    facts = run_training("--data", data, "--out", tmp_path, *recipe, "--folds", 2, "--json")
    assert facts["recipe"] == "lesson, as in the book" and facts["classes"] == ["square", "🐻熊"]
    assert facts["validation"]["photos"] == int(0.2 * 32)
    printed = capsys.readouterr()
    assert "the lesson's random split may put them on both sides" in printed.err and json.loads(printed.out) == facts
    assert [(label, total) for label, total, *_ in table_of(tmp_path)] == [("square", "16"), ("🐻熊", "16")]
    [(probs, *_)] = Classifier(tmp_path / "export.pkl").ask([Image.new("RGB", (300, 200))])
    assert sum(probs.values()) == pytest.approx(1)  # with the augmentation it opens as any other


def test_the_lesson_learns_in_folds_that_are_smaller_than_a_batch(shapes):
    dls = train.get_dls(sorted(shapes.glob("*/*.jpg")), IndexSplitter(range(10, 30)), Resize(128))
    assert len(dls.train) == 1 and dls.train.bs == 12


def test_the_lesson_needs_photos_of_every_class_to_learn_from(shapes, tmp_path):
    data = shutil.copytree(shapes, tmp_path / "data")
    for file in [*sorted((data / "disc").iterdir())[11:], *sorted((data / "square").iterdir())[2:]]:
        file.unlink()
    message = fails("--data", data, "--out", tmp_path, "--lesson", "--no-pretrained")
    assert "every photo of class square" in message and "leave out --lesson" in message


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [[], ["--lesson", "--arch", "test_resnet", "--no-pretrained"]])
def test_a_photo_that_goes_while_training_runs_is_named(shapes, tmp_path, monkeypatch, recipe):
    data = shutil.copytree(shapes, tmp_path / "data")

    def group_then_lose_one(files):
        groups = group_near_duplicates(files)
        files[20].unlink()
        return groups

    monkeypatch.setattr(train, "group_near_duplicates", group_then_lose_one)
    assert "square/04.jpg was moved or deleted in the meantime" in fails("--data", data, "--out", tmp_path, *recipe)
    assert not (tmp_path / "export.pkl").exists()


@pytest.mark.slow
def test_the_exported_head_has_seen_every_photo_and_those_that_judge_have_not(trained):
    learn = open_export(trained[1] / "export.pkl")
    files = find_photos(trained[0])[0]
    features = compute_features(learn, files)
    weight = learn.model[1][-1].weight.flatten()
    some_photos = grouped_folds(files, group_near_duplicates(files), 2)[0][0]
    for learnt_from, alike in ((range(len(files)), True), (some_photos, False)):
        head = fit_head(features, (learnt_from, []), seed=42, quiet=True)
        likeness = torch.cosine_similarity(head.model.weight.flatten(), weight, dim=0)
        assert bool(likeness > 0.999) is alike


def test_a_head_leaves_the_number_of_threads_as_it_was():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        features = Features(torch.rand(4, 8), torch.tensor([0, 1, 0, 1]))
        fit_head(features, (range(4), []), seed=1, quiet=True, epochs=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["resnet10t", "mobilenet_v3_small", "vit_tiny_patch16_224"])
@pytest.mark.usefixtures("no_pictures")
def test_any_timm_or_torchvision_backbone(shapes, tmp_path, arch):
    facts = run_training("--data", shapes, "--out", tmp_path, "--arch", arch, "--no-pretrained", "--folds", 2)
    assert facts["arch"] == arch
    [(probs, *_)] = Classifier(tmp_path / "export.pkl").ask([Image.new("RGB", (300, 200))])
    assert sum(probs.values()) == pytest.approx(1)


def test_lesson_without_network_names_what_needs_none(shapes, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # an empty cache of weights
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing answers at this port
    message = fails("--data", shapes, "--out", tmp_path, "--lesson")
    assert "resnet18 could not be downloaded" in message and "leave out --lesson" in message


def test_an_unknown_backbone_is_refused_before_photos_are_read_and_similar_ones_are_named(tmp_path):
    assert "resnet10t" in fails("--data", tmp_path / "nowhere", "--out", tmp_path, "--arch", "resnet10")


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_max_error_keeps_the_previous_export(shapes, tmp_path):
    (tmp_path / "export.pkl").write_bytes(b"previous")
    message = fails("--data", shapes, "--out", tmp_path, "--folds", 2, "--max-error", "-1")
    assert "above --max-error" in message
    assert (tmp_path / "export.pkl").read_bytes() == b"previous"


def test_photos_are_left_out_by_list(shapes, tmp_path):
    (tmp_path / "list.csv").write_text("file,reason\ndisc/00.jpg,blurred\n")
    files, dropped = find_photos(shapes, tmp_path / "list.csv")
    assert dropped == {"disc/00.jpg": "blurred"} and len(files) == 31


def test_the_list_may_come_from_excel_on_windows(shapes, tmp_path):
    (tmp_path / "list.csv").write_text("\ufefffile,reason\ndisc\\00.jpg,\nsquare\\00.jpg\n", encoding="utf-8")
    _, dropped = find_photos(shapes, tmp_path / "list.csv")
    assert dropped == dict.fromkeys(["disc/00.jpg", "square/00.jpg"], "no reason given")


@pytest.mark.slow
@pytest.mark.usefixtures("no_pictures")
def test_photos_of_other_things_are_counted_and_the_report_shows_all_that_is_wrong(trained, shapes, tmp_path):
    data = shutil.copytree(shapes, tmp_path / "data")
    (data / "disc" / "00.jpg").rename(data / "square" / "a disc.jpg")
    others = tmp_path / "others"
    shutil.copytree(shapes / "disc", others / "members")
    Image.new("RGB", (99, 99), "white").save(others / "white.png")
    options = ["--folds", 2, "--negatives", others, "--subject", "shape", "--group", "shape=disc,square"]
    options += ["--hint", "disc=It is round."]
    facts = run_training("--data", data, "--out", tmp_path, *options)
    assert facts["verdicts"]["photos"] + facts["verdicts"]["not_sure"] == 32 and facts["verdicts"]["errors"] > 0
    assert facts["none_of_them"]["others"]["photos"] == 17
    assert "white.png" not in facts["none_of_them"]["others"]["passed"]
    assert len(facts["none_of_them"]["others"]["passed"]) >= 14
    assert public(facts)["hints"] == {"disc": "It is round."}
    assert facts["subject"] == "shape" and facts["groups"] == {"shape": ["disc", "square"]}
    assert open_export(tmp_path / "export.pkl").ood["groups"] == [[0, 1]]
    shown = photos_of(tmp_path)
    [wrong] = [caption for name, caption in shown if name == "square/a disc.jpg" and caption.endswith("% sure")]
    assert wrong.startswith("square, mistaken for disc, ")
    assert sum(caption.endswith("% sure") for _, caption in shown) == facts["cross_validation"]["errors"]
    others = [name for name, caption in shown if caption.startswith("mistaken for ")]
    assert others == facts["none_of_them"]["others"]["passed"]
    turned_away = [name for name, caption in shown if caption.endswith("rejected")]
    assert len(turned_away) == round((1 - facts["none_of_them"]["photos_that_pass"]) * 32)


def test_no_photos_of_other_things(shapes, tmp_path, capsys):
    assert "has no photos" in fails("--data", shapes, "--out", tmp_path, "--negatives", tmp_path / "nowhere")
    assert "training" not in capsys.readouterr().out


def test_what_an_earlier_run_wrote_into_the_folder_is_no_class(shapes, tmp_path):
    data = shutil.copytree(shapes, tmp_path / "data")
    for folder in ("examples", "reports"):
        (data / folder).mkdir()
        shutil.copy(shapes / "disc" / "00.jpg", data / folder / "disc.jpg")
    shutil.copy(shapes / "disc" / "00.jpg", data / "reports" / "batch.png")
    assert {f.parent.name for f in find_photos(data)[0]} == {"disc", "square"}


def test_folders_that_look_like_a_slip_are_named(shapes, tmp_path, capsys):
    data = shutil.copytree(shapes, tmp_path / "data")
    (data / "triangle").mkdir()
    shutil.copytree(shapes / "disc", data / "more" / "disc")
    shutil.copytree(shapes / "disc", data / "square" / "holidays")
    shutil.copy(shapes / "disc" / "00.jpg", data)
    find_photos(data)
    out = capsys.readouterr().out
    assert "photos in square/holidays count as the class holidays" in out and "photos in more/disc" not in out
    assert "outside of the class folders are not used: 1" in out
    assert "the folder triangle has no photos" in out
    assert "the class disc has photos in 2 folders: disc, more/disc" in out


def test_no_such_folder(tmp_path):
    assert "There is no folder" in fails("--data", tmp_path / "nowhere", "--out", tmp_path)


def test_one_class(shapes, tmp_path):
    shutil.copytree(shapes / "disc", tmp_path / "data" / "disc")
    assert "at least two folders" in fails("--data", tmp_path / "data", "--out", tmp_path)


def test_class_with_one_readable_photo(shapes, tmp_path):
    data = shutil.copytree(shapes, tmp_path / "data")
    for file in sorted((data / "square").iterdir())[1:]:
        file.write_bytes(b"")
    assert "class square" in fails("--data", data, "--out", tmp_path)


def test_class_of_one_photo_copied(shapes, tmp_path):
    data = shutil.copytree(shapes, tmp_path / "data")
    for file in (data / "square").iterdir():
        shutil.copy(shapes / "square" / "00.jpg", file)
    assert "only copies of one photo" in fails("--data", data, "--out", tmp_path)


@pytest.mark.slow
def test_two_photos_per_class_are_enough(shapes, tmp_path, capsys):
    for label in ("disc", "square"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for name in ("00.jpg", "01.jpg"):
            shutil.copy(shapes / label / name, tmp_path / "data" / label)
    facts = run_training("--data", tmp_path / "data", "--out", tmp_path)
    out = capsys.readouterr().out
    assert "only 2 folds" in out and facts["cross_validation"]["photos"] == 4
    assert "of 4 wrong, but so few photos prove nothing" in out and "0.0%" not in out
    assert "but so few photos prove nothing" in (tmp_path / "reports" / "index.html").read_text()


def test_unreadable_list_of_photos_to_leave_out(shapes, tmp_path):
    (tmp_path / "list.csv").write_text("photo\ndisc/00.jpg\n")
    assert "columns file and reason" in fails("--data", shapes, "--out", tmp_path, "--exclude", tmp_path / "list.csv")


def test_no_folder_for_the_export(shapes, tmp_path):
    (tmp_path / "file").touch()
    assert "--out" in fails("--data", shapes, "--out", tmp_path / "file")


@pytest.mark.slow
def test_a_folder_for_the_export_is_made(trained):
    _, out, _ = trained
    assert out.parent.name == "new" and (out / "export.pkl").exists()


def test_a_name_that_is_not_text(shapes, tmp_path):
    data = shutil.copytree(shapes, tmp_path / "data")
    try:
        (data / "disc" / "00.jpg").rename(data / "disc" / os.fsdecode(b"caf\xe9.jpg"))
    except (OSError, UnicodeError):
        pytest.skip("this file system takes text only")
    message = fails("--data", data, "--out", tmp_path)
    assert "Rename it" in message and message.isascii()


@needs("root")
def test_no_permission_to_write(shapes, tmp_path):
    os.seteuid(65534)
    try:
        message = fails("--data", shapes, "--out", "/usr")
    finally:
        os.seteuid(0)
    assert "Permission denied" in message


@pytest.mark.slow
def test_no_space_for_the_export_leaves_the_previous_one_whole(trained, tmp_path):
    learn = open_export(trained[1] / "export.pkl")
    (tmp_path / "export.pkl").write_bytes(b"previous")
    resource = pytest.importorskip("resource")  # Windows has no such limits
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, hard))
    try:
        with pytest.raises(ExportError, match="unchanged"):
            export(learn, tmp_path / "export.pkl")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [f.name for f in tmp_path.iterdir()] == ["export.pkl"]
    assert (tmp_path / "export.pkl").read_bytes() == b"previous"


def test_help_describes_every_option(capsys):
    with pytest.raises(SystemExit):
        train.parse_args(["--help"])
    text = capsys.readouterr().out
    for option in (
        "data",
        "exclude",
        "out",
        "lesson",
        "arch",
        "no-pretrained",
        "folds",
        "max-error",
        "seed",
    ):
        assert f"--{option}" in text


@pytest.mark.parametrize(
    "option, value, sentence",
    [
        ("--folds", "1", "at least 2 folds"),
        ("--max-error", "2", "0.02 for 2%"),
        ("--max-error", "nan", "0.02 for 2%"),
        ("--seed", "-1", "must be between 0"),
        ("--data", "", "--data is empty"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(capsys, option, value, sentence):
    with pytest.raises(SystemExit):
        train.parse_args([option, value])
    assert sentence in capsys.readouterr().err


@needs("root")
def test_a_class_that_may_not_be_read_is_not_passed_over(shapes):
    with tempfile.TemporaryDirectory() as folder:  # other users can't read pytest's folder
        data = shutil.copytree(shapes, folder, dirs_exist_ok=True)
        os.chmod(data, 0o755)
        for name in (".Trashes", "disc/more"):
            os.mkdir(f"{data}/{name}", 0)
        os.seteuid(65534)
        try:
            message = fails("--data", data, "--out", "/tmp")
        finally:
            os.seteuid(0)
    assert "disc/more can't be read" in message


def test_options_that_the_lesson_would_ignore_are_refused(shapes, capsys):
    with pytest.raises(SystemExit):
        train.parse_args(["--data", str(shapes), "--lesson", "--negatives", str(shapes)])
    assert "don't work with --lesson" in capsys.readouterr().err


def test_warnings_are_errors():
    with pytest.raises(UserWarning):
        warnings.warn("as pyproject.toml says", stacklevel=1)
