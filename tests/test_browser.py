"""The page in a real browser, on a desktop and a phone, in light and dark, for eyes, keyboards and screen readers."""

import base64
import contextlib
import io
import json
import os
import signal
from http.client import HTTPConnection

import pytest
from helpers import DESKTOP, PHONE, ROOT, Server, model_process, serious_findings, upload
from PIL import Image

EXAMPLES = ROOT / "examples"
TEDDY = EXAMPLES / "teddy.jpg"
RATE = f"{json.loads((ROOT / 'export.json').read_text())['cross_validation']['error_rate']:.1%}"
SCREENS = {
    f"{name}-{scheme}": {**screen, "color_scheme": scheme}
    for name, screen in (("desktop", DESKTOP), ("phone", PHONE))
    for scheme in ("light", "dark")
}


@pytest.fixture(params=SCREENS.values(), ids=SCREENS)
def screen(request):
    return request.param


@pytest.fixture
def open_page(server, browser):
    """A function that opens the page on a screen; what JavaScript throws fails the test."""
    errors, contexts = [], []

    def open_page(screen=DESKTOP, permissions=()):
        contexts.append(browser.new_context(**screen, permissions=permissions))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url)
        page.get_by_label("Example: teddy").wait_for()  # what bears/app/look.py does to the page is done
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def answered(page, verdict="Teddy bear, 99% sure"):
    """Wait for the verdict and the heat map; returns the verdict's place on the screen."""
    page.get_by_text(verdict).wait_for()
    page.locator("#answer img").wait_for()
    return page.get_by_text(verdict).bounding_box()


def test_uploading_a_photo_shows_the_verdict_without_scrolling(open_page, screen):
    page = open_page(screen)
    page.set_input_files("input[type=file]", TEDDY)
    box = answered(page)
    assert box["y"] + box["height"] < screen["viewport"]["height"]
    assert box["x"] + box["width"] <= screen["viewport"]["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]


def test_clicking_an_example_runs_it(open_page, screen):
    page = open_page(screen)
    page.locator("button.gallery-item").nth(1).click()
    answered(page, "Grizzly bear, 99% sure")
    page.locator("button.gallery-item").nth(2).click()
    answered(page, "No bear here")


def send_file(page, event, target, transfer, kind="image/jpeg"):
    """Give the page a photo as a file of a drag or of the clipboard, through the browser's own `DataTransfer`."""
    data = base64.b64encode(TEDDY.read_bytes()).decode()
    page.evaluate(
        """([data, event, target, transfer, type]) => {
            const files = new DataTransfer(), bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0))
            files.items.add(new File([bytes], "teddy.jpg", {type}))
            const kind = event == "paste" ? ClipboardEvent : DragEvent
            document.querySelector(target).dispatchEvent(
                new kind(event, {bubbles: true, cancelable: true, [transfer]: files}))
        }""",
        [data, event, target, transfer, kind],
    )


@pytest.mark.parametrize("kind", ["image/jpeg", ""], ids=["jpeg", "unknown"])
def test_dragging_a_photo_in_runs_it(open_page, kind):
    page = open_page()
    send_file(page, "drop", "#question button:has(input[type=file])", "dataTransfer", kind)
    answered(page)


def test_a_photo_whose_kind_the_browser_does_not_know(open_page, tmp_path):
    with Image.open(TEDDY) as im:
        im.save(tmp_path / "IMG_0001.HEIC", "HEIF")
    page = open_page(PHONE)
    page.set_input_files("input[type=file]", tmp_path / "IMG_0001.HEIC")
    answered(page, "Teddy bear, 9")


def test_pasting_a_photo_runs_it(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    png = base64.b64encode(png_bytes()).decode()
    page.evaluate(
        """async data => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0))
            await navigator.clipboard.write([new ClipboardItem({"image/png": new Blob([bytes], {type: "image/png"})})])
        }""",
        png,
    )
    page.get_by_label("Paste from clipboard").click()
    answered(page, "Teddy bear, 9")


def png_bytes():
    data = io.BytesIO()
    with Image.open(TEDDY) as im:
        im.save(data, "PNG")
    return data.getvalue()


def test_taking_a_photo_with_the_camera_runs_it(open_page):
    page = open_page(permissions=["camera"])
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    # Until the camera's first picture is there, Gradio ignores the button.
    page.wait_for_function("document.querySelector('#question video').videoWidth > 0")
    page.get_by_label("capture photo").click()
    answered(page, "No bear here")  # the browser's fake camera shows a green test picture


def test_a_file_that_is_no_photo_is_refused_in_one_sentence(open_page, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"not a photo")
    page = open_page(PHONE)
    page.set_input_files("input[type=file]", tmp_path / "photo.jpg")
    page.get_by_text("This file is not a photo that can be opened here.").wait_for()
    page.set_input_files("input[type=file]", TEDDY)
    answered(page)


def test_the_page_says_what_answers_and_that_nobody_should_trust_it_with_their_safety(open_page):
    page = open_page()
    text = page.locator("#about").inner_text()
    assert "774 photos" in text and RATE in text and "Do not trust it with anybody’s safety" in text
    with page.expect_popup() as popup:
        page.get_by_role("link", name="the API").click()
    popup.value.get_by_text("/predict").first.wait_for()


@pytest.mark.parametrize("photo", [None, TEDDY], ids=["empty", "answered"])
def test_axe_finds_nothing_serious(open_page, screen, photo):
    page = open_page(screen)
    if photo:
        page.set_input_files("input[type=file]", photo)
        answered(page)
    assert not serious_findings(page)


def test_every_control_can_be_reached_and_used_by_keyboard(open_page):
    page = open_page()
    names = []
    for _ in range(20):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText"))
        if "gallery-item" in page.evaluate("document.activeElement.className"):
            break
    assert any("Drop Image Here" in name or "upload" in name.lower() for name in names)
    page.keyboard.press("Enter")
    answered(page, "Black bear, ")


def ask_from(client, server, photo):
    """The status of the answer to one of this machine's addresses."""
    with contextlib.closing(HTTPConnection(server.url.split("/")[2], source_address=(client, 0), timeout=30)) as http:
        body, headers = json.dumps({"data": [photo]}), {"Content-Type": "application/json"}
        http.request("POST", "/gradio_api/call/predict", body, headers)
        return http.getresponse().status


def test_a_busy_server_says_so(tmp_path, browser):
    server = Server(tmp_path / "log")
    model = model_process(server)
    os.kill(model, signal.SIGSTOP)  # nobody is answered, and the queue fills up
    try:
        photo = upload(server, TEDDY.read_bytes())
        joined = 0
        for client in range(2, 8):  # each of whom gets some places
            while ask_from(f"127.0.0.{client}", server, photo) == 200:
                joined += 1
        assert 64 <= joined < 200
        page = browser.new_page()
        page.goto(server.url)
        page.set_input_files("input[type=file]", TEDDY)
        page.get_by_text("This application is currently busy. Please try again.").first.wait_for()
        page.close()
    finally:
        os.kill(model, signal.SIGCONT)
        server.close()
