"""Test drawn shapes instead of bears, from photos to the app, without changes to the code."""

import json
import re
import shutil
from pathlib import Path

import pytest
from bears.deploy import files_to_send
from bears.model.answers import NONE, SURE, UNSURE
from bears.model.photo import open_photo
from bears.model.wording import example_name, find_examples, headline, page_title
from gradio_client import Client, handle_file
from helpers import GPS, PHONE, ROOT, Server, answer
from PIL import Image

LABELS = {"disc", "square"}


@pytest.fixture(scope="module")
def shapes_server(shapes_model, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "log", "--model", str(shapes_model))
    yield server
    server.close()


@pytest.mark.slow
def test_an_example_of_each_class_lies_beside_the_export_without_what_the_camera_noted(shapes_model):
    assert {f.stem for f in (shapes_model.parent / "examples").iterdir()} == LABELS
    for file in (shapes_model.parent / "examples").iterdir():
        with Image.open(file) as im:
            assert im.size == (96, 96) and GPS not in im.getexif() and "comment" not in im.info


@pytest.mark.slow
def test_an_example_that_is_there_already_is_kept(shapes_model, tmp_path):
    from bears.model.export import export_examples  # imports torch

    class Interp:
        """Stand in for fastai's `Interpretation`: return all photos as the ones with the smallest loss."""

        def top_losses(self, largest, items):
            return None, None, sorted((shapes_model.parent.parent / "photos").glob("*/*.jpg"))

    (tmp_path / "disc.jpg").write_bytes(b"mine")
    export_examples(Interp(), tmp_path)
    assert (tmp_path / "disc.jpg").read_bytes() == b"mine"
    assert open_photo(tmp_path / "square.jpg").size == (96, 96)


@pytest.mark.slow
def test_the_page_speaks_of_these_classes(shapes_server, browser):
    page = browser.new_page()
    page.goto(shapes_server.url)
    page.get_by_label("Example: Square shape").wait_for()  # until then only the first words are there
    page.get_by_role("heading", name="Disc or square shape?").wait_for()
    text = page.locator("#about").inner_text()
    assert "32 photos" in text and "disc, square" in text and "bear" not in page.content().lower()
    page.get_by_label("Example: Square shape").click()
    assert page.locator(".examples button").count() == 2
    page.get_by_text("Square shape, ").wait_for()
    page.get_by_role("button", name="Why?").wait_for()
    page.close()


@pytest.mark.slow
def test_what_is_none_of_these_classes_is_named_so(shapes_server):
    client = Client(shapes_server.url, verbose=False)
    label, verdict, _, certainty = client.predict(handle_file(ROOT / "examples" / "teddy.jpg"), api_name="/predict")
    client.close()
    assert verdict == "No shape here" and certainty == "none"
    assert {c["label"] for c in label["confidences"]} == LABELS


@pytest.mark.slow
def test_the_space_would_get_these_examples_and_nothing_about_bears(shapes_model):
    files = files_to_send("me/shapes", shapes_model)
    assert {name for name in files if name.startswith("examples/")} == {f"examples/{label}.jpg" for label in LABELS}
    assert "MODEL_CARD.md" not in files and not any(name.endswith(".png") for name in files)
    card = files["README.md"].decode()
    assert "# Disc or square shape?" in card and "32 photos" in card and "sdk: gradio" in card
    assert "bear" not in card.lower() and "General Public License" not in card


def test_the_examples_that_a_readme_lists_are_for_a_model_of_all_their_classes(tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "examples" / "otter.jpg").touch()

    def offered(*classes):
        return [f.stem for f in find_examples(tmp_path / "export.pkl", {"classes": classes} if classes else {})]

    assert offered("black", "grizzly", "teddy") == ["black", "grizzly", "none", "teddy"]
    assert offered("black", "otter") == offered() == ["otter"]
    (tmp_path / "examples" / "README.md").unlink()  # without it, only the names count
    assert offered("otter") == ["none", "otter"]


def test_an_example_named_none_shows_the_class_of_that_name_if_there_is_one():
    name = Path("none.jpg")
    assert example_name(name, {"classes": ["none", "some"]}) == "None"
    assert example_name(name, {"classes": ["none", "some"], "subject": "cloud"}) == "None cloud"
    assert example_name(name, {"classes": ["disc"]}) == example_name(name, {}) == "No match"
    assert example_name(name, {"classes": ["black"], "subject": "bear"}) == "No bear"


def test_without_a_subject_the_classes_stand_alone():
    assert page_title({"classes": ["disc", "square"]}) == "Disc or square?"
    probs = {"disc": 0.2, "square": 0.8}
    assert headline(probs, SURE, {}) == "Square, 80% sure"
    assert headline(probs, NONE, {}) == "No disc or square here"
    assert headline(probs, UNSURE, {}) == "Not sure: perhaps a square"
    assert headline({"sea": 0.9, "river": 0.1}, UNSURE, {"subject": "otter"}) == "Not sure: perhaps a sea otter"
    assert headline({"灰熊": 0.9, "owl": 0.1}, UNSURE, {}) == "Not sure: perhaps 灰熊"
    assert headline({"épervier": 0.9, "owl": 0.1}, UNSURE, {}) == "Not sure: perhaps an épervier"
    assert headline({"EGG": 0.9, "owl": 0.1}, UNSURE, {}) == "Not sure: perhaps an EGG"
    assert headline({"disc": 0.0, "square": 1.0}, SURE, {}) == "Square, 99% sure"


def course_export(folder, shapes, **kwargs):
    """Export an untrained network as the course does, with `learn.export`. `kwargs` tell the DataBlock how to label."""
    from fastai.vision.all import DataBlock, ImageBlock, Resize, get_image_files, vision_learner  # imports torch

    block = DataBlock(get_items=get_image_files, item_tfms=Resize(64), **{"blocks": (ImageBlock, None), **kwargs})
    learn = vision_learner(block.dataloaders(shapes, bs=4), "resnet10t", pretrained=False, n_out=2)
    learn.path = folder
    learn.export("export.pkl")
    return folder / "export.pkl"


@pytest.fixture(scope="module")
def is_disc(shapes, no_workers, tmp_path_factory):
    """Return an export like Lesson 1's `is_cat`, whose vocab is False and True."""
    from fastai.vision.all import CategoryBlock, ImageBlock

    blocks = {"blocks": (ImageBlock, CategoryBlock), "get_y": lambda file: file.parent.name == "disc"}
    return course_export(tmp_path_factory.mktemp("is_disc"), shapes, **blocks)


def letters(file):
    """Return a number as the label: 4 for a disc, 6 for a square."""
    return len(file.parent.name)


@pytest.mark.slow
def test_labels_that_are_numbers_become_text_in_their_order(shapes, no_workers, tmp_path):
    from bears.model.classifier import Classifier
    from bears.model.export import export, load_pickle, open_export
    from fastai.vision.all import CategoryBlock, ImageBlock

    blocks = (ImageBlock, CategoryBlock(vocab=[6, 4], sort=False))
    file = course_export(tmp_path, shapes, blocks=blocks, get_y=letters)
    learn = load_pickle(file)
    assert learn.dls.vocab == [6, 4]
    [(probs, *_)] = Classifier(file, trust=True).ask([Image.new("RGB", (64, 64))])
    assert list(probs) == ["6", "4"]
    export(learn, tmp_path / "ours.pkl")  # opens without --trust-model
    assert list(open_export(tmp_path / "ours.pkl").dls.vocab) == ["6", "4"]


@pytest.mark.slow
def test_the_app_answers_with_the_export_of_lesson_1(is_disc, shapes, tmp_path):
    server = Server(tmp_path / "log", "--model", str(is_disc), "--trust-model")
    try:
        label, verdict = answer(server, (shapes / "disc" / "00.jpg").read_bytes())
    finally:
        server.close()
    assert {c["label"] for c in label["confidences"]} == {"False", "True"}
    assert re.match(r"(Not sure: perhaps a )?(False|True)\b", verdict, re.IGNORECASE)


@pytest.mark.slow
def test_the_commands_take_the_export_of_lesson_1(is_disc, shapes, tmp_path):
    from bears.predict import __main__ as predict
    from bears.watch import __main__ as watch

    options = ["--model", str(is_disc), "--trust-model", "--out"]
    predict.main([str(shapes), *options, str(tmp_path / "table.csv")])
    head, *rows = (tmp_path / "table.csv").read_text("utf-8-sig").splitlines()
    assert head == "file,verdict,status,False,True,error" and len(rows) == 32
    film = tmp_path / "film.mjpeg"
    film.write_bytes(b"".join(photo.read_bytes() for photo in sorted(shapes.glob("*/*.jpg"))))
    watch.main([str(film), *options, str(tmp_path / "watched"), "--alarm", "True"])
    assert list((tmp_path / "watched").iterdir())


@pytest.mark.slow
def test_the_offline_page_is_made_from_the_export_of_lesson_1(is_disc, runtime, tmp_path):
    from bears.offline import __main__ as offline

    offline.main(["--model", str(is_disc), "--trust-model", "--out", str(tmp_path / "site")])
    assert json.loads((tmp_path / "site" / "model.json").read_text())["classes"] == ["False", "True"]


@pytest.mark.slow
def test_a_model_that_predicts_a_number_is_refused_in_a_sentence(shapes, no_workers, tmp_path):
    from bears.errors import ExportError
    from bears.model.export import open_export
    from fastai.vision.all import ImageBlock, RegressionBlock

    blocks = {"blocks": (ImageBlock, RegressionBlock(n_out=2)), "get_y": lambda file: [1.0, float(file.stem)]}
    file = course_export(tmp_path, shapes, **blocks)
    with pytest.raises(
        ExportError, match=r"is not an image classifier: it has no classes\. Train one with train\.py\.$"
    ):
        open_export(file, trust=True)


def serve_untrained(folder, classes, subject):
    """Serve an untrained network for `classes`, so that none of them is likely."""
    from bears.model.export import export  # imports torch
    from fastai.vision.all import IndexSplitter, IntToFloatTensor, Resize, vision_learner

    from train import get_dls

    files = [folder / label / f"{i}.png" for label in classes for i in range(2)]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), "green").save(file)
    dls = get_dls(files, IndexSplitter(range(0, len(files), 2)), Resize(64), IntToFloatTensor())
    export(vision_learner(dls, "resnet10t", pretrained=False), folder / "export.pkl")
    facts = {"classes": list(dls.vocab), "subject": subject, "arch": "resnet10t", "counts": dict.fromkeys(classes, 2)}
    (folder / "export.json").write_text(json.dumps(facts))
    server = Server(folder / "log", "--model", str(folder / "export.pkl"))
    server.wait_for("The model is ready", 60)
    return server


@pytest.fixture(scope="module")
def thirty_server(tmp_path_factory):
    trees = [f"{tree} {n}" for tree in ("elm", "fir", "oak") for n in range(10)]
    server = serve_untrained(tmp_path_factory.mktemp("thirty"), trees, "tree")
    yield server
    server.close()


@pytest.mark.slow
def test_of_thirty_classes_five_are_shown_and_none_is_a_verdict(thirty_server, browser):
    page = browser.new_page(**PHONE)
    page.goto(thirty_server.url)
    title = page.get_by_role("heading", name="Which tree is it?")
    page.set_input_files("#page input[type=file]", ROOT / "examples" / "teddy.jpg")
    page.locator('[data-state="answered"]').wait_for()
    assert title.bounding_box()["height"] < 50
    assert re.fullmatch(r"Not sure: perhaps an? (elm|fir|oak) \d tree", page.inner_text(".verdict"))
    rows = page.locator(".probs li")
    assert [row.is_visible() for row in rows.all()] == [True] * 5 + [False] * 25
    page.get_by_role("button", name="Show all 30").click()
    assert all(row.is_visible() for row in rows.all())
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
    page.close()


LONG = "Rind" + "fleisch" * 12
ODD = ["<b>fox", "*lynx*", "$$x$$", LONG]


@pytest.fixture(scope="module")
def odd_server(tmp_path_factory):
    server = serve_untrained(tmp_path_factory.mktemp("odd"), ODD, None)
    yield server
    server.close()


@pytest.mark.slow
def test_names_of_classes_that_look_like_markup_are_shown_as_they_are(odd_server, browser):
    page = browser.new_page(**PHONE)
    page.goto(odd_server.url)
    page.set_input_files("#page input[type=file]", ROOT / "examples" / "teddy.jpg")
    page.locator('[data-state="answered"]').wait_for()
    page.locator("#about h2").wait_for()
    names = sorted(ODD)
    assert page.title() == page.inner_text("#title h1") == f"{', '.join(names[:-1])} or {names[-1]}?"
    assert ", ".join(names) in page.inner_text("#about")
    assert sorted(page.locator(".probs li > :first-child").all_inner_texts()) == names
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
    page.get_by_role("tab", name="Camera").click()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
    page.close()
