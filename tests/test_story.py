"""Test the whole loop of docs/loop.md: feedback in a browser, a review, a new model, a comparison, the new app."""

import csv

import pytest
from bears.compare.__main__ import main as compare
from bears.model.photo import open_photo
from helpers import DESKTOP, PHONE, Server, answer, facts_of, serious_findings, wait_until

import train

FILE = "input[type=file]"


@pytest.mark.slow
@pytest.mark.usefixtures("no_workers", "no_pictures")
def test_a_visitor_says_no_and_the_next_model_has_learnt_from_it(shapes, shapes_model, browser, tmp_path, capsys):
    kept = tmp_path / "feedback"
    server = Server(tmp_path / "log", "--model", str(shapes_model), "--feedback", str(kept), seconds=180)
    try:
        said = give_feedback(browser, server, shapes / "disc" / "00.jpg")
    finally:
        server.close()
    assert "Thank you. Your answer “Square shape” and this photo are kept." in said
    [photo] = kept.rglob("*.jpg")
    assert photo.parent == kept / "unreviewed" / "square" and open_photo(photo).size == (96, 96)
    [row] = csv.DictReader((kept / "unreviewed" / "metadata.csv").read_text().splitlines())
    assert row["answer"] == "disc" and row["visitor"] == "square"

    server = Server(tmp_path / "log", "bears.clean", str(kept), app="-m", seconds=180)
    try:
        review(browser, server, kept)
    finally:
        server.close()

    new, options = tmp_path / "new", ["--folds", "2", "--subject", "shape"]
    train.main(["--data", str(shapes), "--data", str(kept / "reviewed"), "--out", str(new), *options])
    assert facts_of(new)["counts"] == {"disc": 16, "square": 17}

    models = [str(shapes_model), str(new / "export.pkl")]
    compare([*models, str(shapes), "--out", str(tmp_path / "comparison.html"), "--fail-if-worse"])
    assert any(words in capsys.readouterr().out for words in ("32 photos are not enough", "is better"))

    server = Server(tmp_path / "log", "--model", str(new), seconds=180)
    try:
        assert answer(server, (shapes / "square" / "03.jpg").read_bytes())[1].startswith("Square shape")
    finally:
        server.close()


def give_feedback(browser, server, photo):
    """Give the feedback "No, a square" about a photo, and allow to keep it; return the app's reply."""
    page = browser.new_page(**PHONE)
    page.goto(server.url)
    page.get_by_label("Example: Square shape").wait_for()  # what bears/web/page.js does is done
    page.set_input_files(FILE, photo)
    page.get_by_text("Is that right?").wait_for()
    box = page.get_by_label("Keep this photo so the model can learn")
    assert not box.is_checked() and "The owner of this page keeps the photo in a private folder" in page.inner_text(
        ".feedback"
    )
    box.check()
    page.get_by_role("button", name="No", exact=True).click()
    offered = page.locator(".others button:visible").all_inner_texts()  # all but the wrong answer, disc
    assert offered == ["Square shape", "None of these", "I don't know"]
    assert not serious_findings(page)
    page.get_by_role("button", name="None of these").click()
    page.get_by_role("button", name="Undo").click()  # a slip
    page.get_by_text("Undone: your feedback is deleted.").wait_for()
    page.set_input_files(FILE, photo)
    page.get_by_role("button", name="No", exact=True).click()
    assert not box.is_checked(), "permission is for one photo"
    box.check()
    page.get_by_role("button", name="Square shape", exact=True).click()
    page.get_by_role("button", name="Undo").wait_for()
    said = page.inner_text(".feedback")
    page.close()
    return said


def review(browser, server, kept):
    """Confirm the visitor's label on the review page."""
    page = browser.new_page(**DESKTOP)
    page.goto(server.url)
    page.get_by_text("the visitor says square, the model disc").first.wait_for()
    page.keyboard.press("k")
    page.get_by_text("You have reviewed all photos that look wrong.").wait_for()
    assert "--data my_photos --data" in page.inner_text("#command")
    page.wait_for_function("!document.querySelector('#unsaved').textContent")
    wait_until(lambda: list((kept / "reviewed" / "square").glob("*.jpg")))
    page.close()
    assert not list((kept / "unreviewed").rglob("*.jpg"))
