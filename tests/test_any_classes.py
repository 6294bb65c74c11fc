"""Another subject from photos to page, without changing code: drawn shapes instead of bears."""

import json
import re
import shutil

import pytest
from bears.app.wording import NONE, SURE, UNSURE, find_examples, headline, page_title
from bears.deploy import files_to_send
from bears.photo import open_photo
from gradio_client import Client, handle_file
from helpers import GPS, PHONE, ROOT, Server
from PIL import Image

LABELS = {"disc", "square"}


@pytest.fixture(scope="module")
def shapes_server(shapes_model, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "log", "--model", str(shapes_model))
    yield server
    server.close()


def test_an_example_of_each_class_lies_beside_the_export_without_what_the_camera_noted(shapes_model):
    assert {f.stem for f in (shapes_model.parent / "examples").iterdir()} == LABELS
    for file in (shapes_model.parent / "examples").iterdir():
        with Image.open(file) as im:
            assert im.size == (96, 96) and GPS not in im.getexif() and "comment" not in im.info


def test_an_example_that_is_there_already_is_kept(shapes_model, tmp_path):
    from bears.export import export_examples  # imports torch

    class Interp:
        """Only what is asked of fastai's `Interpretation`: the files, smallest loss first."""

        def top_losses(self, largest, items):
            return None, None, sorted((shapes_model.parent.parent / "photos").glob("*/*.jpg"))

    (tmp_path / "disc.jpg").write_bytes(b"mine")
    export_examples(Interp(), tmp_path)
    assert (tmp_path / "disc.jpg").read_bytes() == b"mine"
    assert open_photo(tmp_path / "square.jpg").size == (96, 96)


def test_the_page_speaks_of_these_classes(shapes_server, browser):
    page = browser.new_page()
    page.goto(shapes_server.url)
    page.get_by_label("Example: Square shape").wait_for()  # until then the first words stand there alone
    page.get_by_role("heading", name="Disc or square shape?").wait_for()
    text = page.locator("#about").inner_text()
    assert "32 photos" in text and "disc, square" in text and "bear" not in page.content().lower()
    page.get_by_label("Example: Square shape").click()
    assert page.locator(".examples button").count() == 2
    page.get_by_text("Square shape, ").wait_for()
    page.get_by_text("Where it looked", exact=True).wait_for()
    page.close()


def test_what_is_none_of_these_classes_is_named_so(shapes_server):
    client = Client(shapes_server.url, verbose=False)
    label, verdict, _ = client.predict(handle_file(ROOT / "examples" / "teddy.jpg"), api_name="/predict")
    client.close()
    assert verdict == "No shape here"
    assert {c["label"] for c in label["confidences"]} == LABELS


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
    (tmp_path / "examples" / "README.md").unlink()  # without it, photos are what their names say
    assert offered("otter") == ["none", "otter"]


def test_without_a_subject_the_classes_stand_alone():
    assert page_title({"classes": ["disc", "square"]}) == "Disc or square?"
    probs = {"disc": 0.2, "square": 0.8}
    assert headline(probs, SURE, {}) == "Square, 80% sure"
    assert headline(probs, NONE, {}) == "No disc or square here"
    assert headline(probs, UNSURE, {}) == "Not sure: perhaps a square"
    assert headline({"sea": 0.9, "river": 0.1}, UNSURE, {"subject": "otter"}) == "Not sure: perhaps a sea otter"
    assert headline({"EGG": 0.9, "owl": 0.1}, UNSURE, {}) == "Not sure: perhaps an EGG"
    assert headline({"disc": 0.0, "square": 1.0}, SURE, {}) == "Square, 99% sure"


@pytest.fixture(scope="module")
def thirty_server(tmp_path_factory):
    """A page for thirty classes, none of which is likely: its network has learnt nothing."""
    from bears.export import export  # imports torch
    from fastai.vision.all import IndexSplitter, IntToFloatTensor, Resize, vision_learner

    from train import get_dls

    folder = tmp_path_factory.mktemp("thirty")
    files = [folder / f"{tree} {n}" / f"{i}.png" for tree in ("elm", "fir", "oak") for n in range(10) for i in range(2)]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), "green").save(file)
    dls = get_dls(files, IndexSplitter(range(0, 60, 2)), Resize(64), IntToFloatTensor())
    export(vision_learner(dls, "resnet10t", pretrained=False), folder / "export.pkl")
    (folder / "export.json").write_text(json.dumps({"classes": list(dls.vocab), "subject": "tree"}))
    server = Server(folder / "log", "--model", str(folder / "export.pkl"))
    server.wait_for("The model is ready", 60)
    yield server
    server.close()


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
