"""The page in a real browser."""

import pytest
from conftest import ROOT

EXAMPLES = ROOT / "examples"


@pytest.fixture
def page(server, browser):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    yield page
    page.close()
    assert not errors


def test_uploading_a_photo_shows_the_verdict_without_scrolling(page):
    page.set_input_files("input[type=file]", EXAMPLES / "teddy.jpg")
    verdict = page.get_by_text("Teddy bear, 99% sure")
    verdict.wait_for()
    box = verdict.bounding_box()
    assert box["y"] + box["height"] < 844


def test_clicking_an_example_runs_it(page):
    page.locator("button.gallery-item").nth(1).click()
    page.get_by_text("Grizzly bear, 99% sure").wait_for()
