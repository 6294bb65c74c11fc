"""The page in a real browser."""

import pytest
import requests
from conftest import ROOT, Server
from test_security import upload

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


def test_a_busy_server_says_so(tmp_path, browser):
    server = Server(tmp_path / "log")  # while its model loads, nobody is answered and the queue fills up
    try:
        photo = upload(server, (EXAMPLES / "teddy.jpg").read_bytes())
        joined = 0
        while requests.post(f"{server.url}/gradio_api/call/predict", json={"data": [photo]}, timeout=30).ok:
            joined += 1
        assert 64 <= joined < 200
        page = browser.new_page()
        page.goto(server.url)
        page.set_input_files("input[type=file]", EXAMPLES / "teddy.jpg")
        page.get_by_text("This application is currently busy. Please try again.").first.wait_for()
        page.close()
    finally:
        server.close()
