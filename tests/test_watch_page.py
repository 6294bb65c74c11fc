"""Camp watch in real browsers, whose cameras are clips: a bear comes, or a teddy."""

import contextlib
import io
import json
import re
import zipfile

import pytest
from bears.app.look import text_of
from helpers import CAMERA, DESKTOP, PHONE, ROOT, clip, open_browser, serious_findings
from PIL import Image


def open_watch(browser, server, **screen):
    page = browser.new_context(**screen).new_page()
    page.set_default_timeout(120_000)
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto(server.url)
    page.get_by_role("tab", name="Camp watch").click()
    page.wait_for_selector("#watch .start")
    return page


@pytest.fixture(scope="module")
def pages(playwright, server, tmp_path_factory):
    """Two visitors at once: a phone before which a bear has alarmed, and a desktop that has seen a teddy since."""
    folder, pages = tmp_path_factory.mktemp("clips"), {}
    server.wait_for("The model is ready", 120)
    with contextlib.ExitStack() as browsers:
        for name, screen in (("teddy", DESKTOP), ("grizzly", PHONE)):
            camera = f"--use-file-for-fake-video-capture={clip(name, folder / f'{name}.mjpeg')}"
            browser = browsers.enter_context(open_browser(playwright, *CAMERA, camera))
            pages[name] = open_watch(browser, server, **screen)
        for page in pages.values():
            page.click("#watch .start")
        pages["grizzly"].wait_for_selector("#watch .alarm", state="visible")
        pages["teddy"].locator("#watch .now").get_by_text("Teddy bear, 99% sure").wait_for()
        yield pages


def test_a_bear_alarms_on_the_whole_screen(pages):
    page = pages["grizzly"]
    assert re.fullmatch(r"Grizzly bear, \d\d% sure, \d+:\d\d [AP]M", page.inner_text("#watch [role=alert]"))
    box = page.locator("#watch .alarm").bounding_box()
    assert (box["width"], box["height"]) == (PHONE["viewport"]["width"], PHONE["viewport"]["height"])
    assert page.evaluate("document.activeElement.className") == "seen"
    assert serious_findings(page) == []


def test_a_teddy_wakes_nobody_whatever_others_see(pages):
    page = pages["teddy"]
    page.wait_for_timeout(3000)
    assert page.is_hidden("#watch .alarm") and page.inner_text("#watch summary") == "Events"
    assert serious_findings(page) == []


def test_events_are_kept_with_their_pictures_and_can_be_saved_and_deleted(pages):
    page = pages["grizzly"]
    page.click("#watch .seen")
    assert page.is_hidden("#watch .alarm")
    page.click("#watch .stop")
    page.reload()
    page.get_by_role("tab", name="Camp watch").click()
    pictures = page.locator("#watch .log img")
    assert not pictures.evaluate_all("all => all.some(image => image.naturalWidth)")  # they cost memory
    page.get_by_text("Events (1)").click()
    assert pictures.evaluate_all("all => Promise.all(all.map(image => image.decode())).then(() => all.length)") >= 3
    with page.expect_download() as saved:
        page.click("#watch .save")
    with zipfile.ZipFile(saved.value.path()) as file:
        assert file.testzip() is None
        [event] = [json.loads(file.read(name)) for name in file.namelist() if name.endswith("event.json")]
        photos = [Image.open(io.BytesIO(file.read(name))).size for name in file.namelist() if name.endswith(".jpg")]
    assert event["median"] >= event["threshold"] and len(photos) == len(event["looks"]) >= 3
    page.click("#watch .delete")
    page.get_by_role("button", name="Really delete all?").click()
    page.reload()
    page.get_by_role("tab", name="Camp watch").click()
    assert page.inner_text("#watch summary") == "Events"


def test_the_alarm_can_be_heard_and_seen_before_it_is_needed(pages):
    page = pages["grizzly"]
    page.click("#watch .test")
    assert page.inner_text("#watch [role=alert]") == "This is a test."
    page.click("#watch .seen")
    assert page.is_hidden("#watch .alarm")


def test_a_camera_that_goes_away_is_found_again(pages):
    page = pages["teddy"]
    page.evaluate("document.querySelector('#watch video').srcObject.getTracks().forEach(track => track.stop())")
    page.wait_for_function("document.querySelector('#watch video').srcObject.active")
    page.locator("#watch .now").get_by_text("Teddy bear, 99% sure").wait_for()


def test_it_says_nothing_on_the_console(pages):
    assert [page.said for page in pages.values()] == [[], []]


def test_its_rule_does_what_the_vectors_say(browser):
    vectors = json.loads((ROOT / "docs" / "alarm_vectors.json").read_text(encoding="utf-8"))
    page = browser.new_page()
    page.add_script_tag(content=text_of("alarm.js"))
    for case in vectors["cases"]:
        rule = {re.sub("_(.)", lambda m: m[1].upper(), name): value for name, value in case["rule"].items()}
        events = page.evaluate(
            """([rule, steps]) => {
            const alarm = new Alarm(rule)
            return steps.flatMap(([t, ...values]) => {
                const pairs = values.length == 1 ? [[0, values[0]]] : []
                for (let i = 0; i + 1 < values.length; i += 2) pairs.push([values[i + 1], values[i]])
                return alarm.step(t, pairs)
            }).map(Object.values)
        }""",
            [rule, case["steps"]],
        )
        assert events == [pytest.approx(event, abs=1e-9) for event in case["events"]], case["name"]
    for case in vectors["scores"]:
        score = page.evaluate("c => score(c.probs, c.certainty, c.alarm)", case)
        assert score == pytest.approx(case["score"], abs=1e-9)
    page.close()
