"""Test the camera tab in real browsers whose cameras show clips of a bear or a teddy."""

import contextlib
import io
import json
import re
import sys
import zipfile

import pytest
from bears.web.files import style, text_of
from helpers import CAMERA, DESKTOP, PHONE, ROOT, clip, in_front_end, open_browser, open_front_end, serious_findings
from PIL import Image

sys.path.insert(0, str(ROOT / "benchmarks"))

import slow_looks

pytestmark = pytest.mark.slow


def open_watch(browser, server, **screen):
    page = browser.new_context(**screen).new_page()
    page.set_default_timeout(120_000)
    page.said = []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto(server.url)
    page.get_by_role("tab", name="Camera").click()
    page.wait_for_selector("#camera .start")
    return page


@pytest.fixture(scope="module")
def pages(playwright, server, tmp_path_factory):
    """Open two visitors' pages: a phone with an alarm for a bear, and a desktop that sees a teddy."""
    folder, pages = tmp_path_factory.mktemp("clips"), {}
    server.wait_for("The model is ready", 120)
    with contextlib.ExitStack() as browsers:
        for name, screen in (("teddy", DESKTOP), ("grizzly", PHONE)):
            camera = f"--use-file-for-fake-video-capture={clip(name, folder / f'{name}.mjpeg')}"
            browser = browsers.enter_context(open_browser(playwright, *CAMERA, camera))
            pages[name] = open_watch(browser, server, **screen)
        for page in pages.values():
            page.click("#camera .start")
        pages["grizzly"].wait_for_selector("#camera .alarm", state="visible")
        pages["teddy"].locator("#camera .now").get_by_text("Teddy bear, 96% sure").wait_for()
        yield pages


def test_a_bear_alarms_on_the_whole_screen(pages):
    page = pages["grizzly"]
    assert re.fullmatch(r"Grizzly bear, \d\d% sure, \d+:\d\d [AP]M", page.inner_text("#camera [role=alert]"))
    box = page.locator("#camera .alarm").bounding_box()
    assert (box["width"], box["height"]) == (PHONE["viewport"]["width"], PHONE["viewport"]["height"])
    assert page.evaluate("document.activeElement.className") == "seen"
    assert serious_findings(page) == []


def test_a_teddy_wakes_nobody_whatever_others_see(pages):
    page = pages["teddy"]
    page.wait_for_timeout(3000)
    assert page.is_hidden("#camera .alarm") and page.inner_text("#camera summary") == "Events"
    assert page.inner_text("[role=tab][data-watching]") == "Camera"
    assert serious_findings(page) == []


def test_events_are_kept_with_their_pictures_and_can_be_saved_and_deleted(pages):
    page = pages["grizzly"]
    page.click("#camera .seen")
    assert page.is_hidden("#camera .alarm")
    page.click("#camera .stop")
    page.reload()
    page.get_by_role("tab", name="Camera").click()
    pictures = page.locator("#camera .log img")
    assert not pictures.evaluate_all("all => all.some(image => image.naturalWidth)")  # they cost memory
    page.get_by_text("Events (1)").click()
    shown = pictures.evaluate_all("all => Promise.all(all.map(image => image.decode())).then(() => all.length)")
    assert shown >= 2  # if this machine is slow, two pictures are enough for an alarm
    page.get_by_role("button", name="It was a bear").click()
    page.get_by_role("button", name="False alarm").click()
    page.reload()
    page.get_by_role("tab", name="Camera").click()
    page.get_by_text("Events (1)").click()
    assert page.locator(".labels [aria-pressed=true]").all_inner_texts() == ["False alarm"]
    with page.expect_download() as saved:
        page.click("#camera .save")
    with zipfile.ZipFile(saved.value.path()) as file:
        assert file.testzip() is None
        [event] = [json.loads(file.read(name)) for name in file.namelist() if name.endswith("event.json")]
        photos = [Image.open(io.BytesIO(file.read(name))).size for name in file.namelist() if name.endswith(".jpg")]
    assert event["label"] == "False alarm" and event["median"] >= event["threshold"]
    assert len(photos) == len(event["looks"]) == shown
    page.click("#camera .delete")
    page.get_by_role("button", name="Really delete all?").click()
    page.reload()
    page.get_by_role("tab", name="Camera").click()
    assert page.inner_text("#camera summary") == "Events"


def test_the_alarm_can_be_heard_and_seen_before_it_is_needed(pages):
    page = pages["grizzly"]
    page.click("#camera .test")
    assert page.inner_text("#camera [role=alert]") == "This is a test."
    page.click("#camera .seen")
    assert page.is_hidden("#camera .alarm")
    page.get_by_role("tab", name="Photo").click()
    page.evaluate("document.querySelector('#camera .test').click()")
    page.wait_for_selector("#camera .alarm", state="visible")
    page.click("#camera .seen")


def test_a_camera_that_goes_away_is_found_again(pages):
    page = pages["teddy"]
    page.evaluate("document.querySelector('#camera video').srcObject.getTracks().forEach(track => track.stop())")
    page.wait_for_function("document.querySelector('#camera video').srcObject.active")
    page.locator("#camera .now").get_by_text("Teddy bear, 96% sure").wait_for()


def test_it_says_nothing_on_the_console(pages):
    assert [page.said for page in pages.values()] == [[], []]
    for page in pages.values():
        page.close()  # or they would watch, and keep a core busy, until the end of this file


SCORE = """async ({probs, certainty, alarm, group}) => {
    const {score} = await import("/alarm.js")
    return score(probs, certainty, alarm, group)
}"""


def vectors(*names):
    """Return the cases of docs/alarm_vectors.json that have these names."""
    read = json.loads((ROOT / "docs" / "alarm_vectors.json").read_text(encoding="utf-8"))
    return [case for name in names for case in read[name]]


def test_its_rule_does_what_the_vectors_say(browser):
    page = browser.new_page()
    open_front_end(page)
    for case in vectors("cases", "slow"):
        rule = {re.sub("_(.)", lambda m: m[1].upper(), name): value for name, value in case["rule"].items()}
        events = page.evaluate(
            """async ([rule, steps, took]) => {
            const {Alarm} = await import("/alarm.js")
            const alarm = new Alarm(rule)
            return steps.flatMap(([t, ...values]) => {
                const pairs = values.length == 1 ? [[0, values[0]]] : []
                for (let i = 0; i + 1 < values.length; i += 2) pairs.push([values[i + 1], values[i]])
                return alarm.step(t, pairs, took)
            }).map(Object.values)
        }""",
            [rule, case["steps"], case.get("took", 0)],
        )
        assert events == [pytest.approx(event, abs=1e-9) for event in case["events"]], case["name"]
    for case in vectors("scores"):
        score = page.evaluate(SCORE, case)
        assert score == pytest.approx(case["score"], abs=1e-9)
    page.close()


def test_its_schedule_does_what_the_vectors_say(browser):
    cases = vectors("schedules")
    script = """async cases => {
        const {Schedule} = await import("/schedule.js")
        return cases.map(({enough, calls}) => {
            const schedule = new Schedule()
            return calls.map(({t, took, tracks}) => {
                const all = tracks.map(track => ({...track, looked: track.looked ?? -Infinity}))
                return schedule.next(all, t, enough, took).map(track => track.number)
            })
        })
    }"""
    for case, chosen in zip(cases, in_front_end(browser, script, cases), strict=True):
        assert chosen == [call["next"] for call in case["calls"]], case["name"]


def test_it_ignores_the_pixels_that_the_vectors_name(browser):
    cases = vectors("zones")
    script = """async cases => {
        const {inPixels} = await import("/zones.js")
        return cases.map(({zone: [x, y, w, h], size}) => inPixels({x, y, w, h}, ...size))
    }"""
    assert in_front_end(browser, script, cases) == [case["pixels"] for case in cases]


def test_its_hours_are_those_of_the_vectors(browser):
    cases = vectors("hours")
    script = """async cases => {
        const {isWithin} = await import("/hours.js")
        return cases.map(({from, to, within, outside}) =>
            [...within, ...outside].filter(now => isWithin(now, from, to)))
    }"""
    assert in_front_end(browser, script, cases) == [case["within"] for case in cases]


@pytest.mark.parametrize("look", slow_looks.LOOKS)
def test_the_alarm_comes_as_soon_as_the_docs_say_however_long_a_look_takes(browser, look):
    table = (ROOT / "docs" / "alarm.md").read_text(encoding="utf-8")
    [longest] = re.findall(rf"\| {look} s \| .* s \((.*) s\) \| .* s \((.*) s\) \|", table)
    delays = slow_looks.delay_in_browser(browser, 0, look), slow_looks.delay_of_watcher(0, look)
    assert None not in delays and all(delay <= float(most) + look for delay, most in zip(delays, longest))


# Movement in frames of 160 x 90 pixels: a grey scene with some noise, and brighter boxes.
MOVEMENT = """async () => {
    const {Movement, Tracks} = await import("/motion.js")
    const canvas = Object.assign(document.createElement("canvas"), {width: 160, height: 90})
    const brush = canvas.getContext("2d", {willReadFrequently: true})
    Object.assign(window, {Tracks, movement: new Movement()})
    window.see = (seconds, boxes, level = 100, light = 45, zones = []) => {
        for (let y = 0; y < 90; y += 2)
            for (let x = 0; x < 160; x += 2) {
                brush.fillStyle = `rgb(${Array(3).fill(level + (((7 * x + 13 * y + 31 * seconds) % 5) - 2))})`
                brush.fillRect(x, y, 2, 2)
            }
        for (const [x, y, width, height, own = level + light] of boxes) {
            brush.fillStyle = `rgb(${Array(3).fill(own)})`
            brush.fillRect(x, y, width, height)
        }
        return movement.boxes(canvas, 160, 90, seconds, zones)
    }
}"""


@pytest.fixture
def moving(browser):
    page = browser.new_page()
    open_front_end(page)
    page.evaluate(MOVEMENT)
    yield page
    page.close()


def test_what_moves_is_found_where_it_is_and_nothing_else(moving):
    found = moving.evaluate("Array.from({length: 30}, (_, n) => see(n / 5, []))")
    assert found == [[]] * 30
    [box] = moving.evaluate("see(6, [[40, 20, 32, 24]])")
    assert box == pytest.approx([40, 20, 32, 24], abs=4)
    far, near = sorted(moving.evaluate("see(6.2, [[44, 20, 32, 24], [120, 60, 16, 16]])"), key=lambda box: -box[0])
    assert far == pytest.approx([120, 60, 16, 16], abs=4) and near[0] == pytest.approx(42, abs=6)


def test_light_that_changes_everywhere_is_no_movement(moving):
    moving.evaluate("Array.from({length: 30}, (_, n) => see(n / 5, []))")
    assert moving.evaluate("see(6, [], 120)") == []  # a cloud
    assert moving.evaluate("see(6.2, [[0, 0, 55, 90, 240], [55, 0, 55, 90, 20]])") is None  # a lamp, and its shadow


def test_what_moves_in_an_ignored_part_is_not_found(moving):
    moving.evaluate("Array.from({length: 30}, (_, n) => see(n / 5, []))")
    left_half = "[{x: 0, y: 0, w: 0.5, h: 1}]"
    boxes = "[[20, 20, 32, 24], [100, 40, 32, 24]]"
    [box] = moving.evaluate(f"see(6, {boxes}, 100, 45, {left_half})")
    assert box == pytest.approx([100, 40, 32, 24], abs=4)
    assert len(moving.evaluate(f"see(6.2, {boxes})")) == 2
    flash = "[[0, 0, 76, 45, 240], [0, 45, 76, 45, 20]]"  # all of what is ignored, and nothing else
    assert moving.evaluate(f"see(6.4, {flash}, 100, 45, {left_half})") == []


def test_what_walks_is_one_track_and_what_stands_still_is_dropped_after_half_a_minute(moving):
    numbers = moving.evaluate("""() => {
        window.tracks = new Tracks()
        for (let n = 0; n < 20; n++) tracks.join([[10 + 5 * n, 20, 40, 30], [500, 200, 20, 20]], n / 5)
        return tracks.all.map(({number, box}) => [number, box[0]])
    }""")
    assert numbers == [[1, 105], [2, 500]]
    left = """seconds => {
        tracks.all.find(track => track.number == 1).score = 0.9
        tracks.forget(seconds, 0.25)
        return tracks.all.map(track => track.number)
    }"""
    assert moving.evaluate(left, 33) == [1, 2]
    assert moving.evaluate(left, 34) == [1]
    assert moving.evaluate(left, 603) == [1]
    assert moving.evaluate("seconds => (tracks.forget(seconds, 0.25), tracks.all.length)", 604) == 0


def test_a_picture_is_dark_where_all_but_a_lamp_is_black(moving):
    moving.evaluate("see(0, [], 8)")
    assert moving.evaluate("movement.dark")
    moving.evaluate("see(0.2, [[0, 0, 12, 12]], 8, 240)")
    assert moving.evaluate("movement.dark")
    moving.evaluate("see(0.4, [[0, 0, 60, 40]], 8, 90)")
    assert not moving.evaluate("movement.dark")


# The tab alone, with a camera and a server made for the test.
ALONE = """async () => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 320, height: 180})
    Object.assign(window, {colour: "black", verdict: "No bear here", prob: 0.01, certainty: "none"})
    setInterval(() => {
        canvas.getContext("2d").fillStyle = colour
        canvas.getContext("2d").fillRect(0, 0, 320, 180)
    }, 50)
    const allowed = new Promise(allow => (window.give = () => allow(canvas.captureStream(20))))
    const devices = {getUserMedia: () => allowed, enumerateDevices: async () => []}
    Object.defineProperty(navigator, "mediaDevices", {value: devices})
    const props = {classes: ["bear"], alarm: ["bear"], promise: "", checking: "Looks like a bear: checking…"}
    const classifyFrame = async () => ({probs: {bear: prob}, certainty, verdict})
    const {CameraTab} = await import("/camera.js")
    window.tab = new CameraTab(document.querySelector("#camera > div"), props, {classifyFrame, UNREACHABLE: "offline"})
}"""


START = """() => {
    give()
    document.querySelector(".start").click()
}"""


@pytest.fixture
def alone(browser):
    page = browser.new_page(**PHONE)
    open_front_end(
        page,
        f"<html lang=en><title>Bears</title><style>{style()}</style>"
        "<div role=tablist><button role=tab>Camera</button></div>"
        f"<div id=camera role=tabpanel><div>{text_of('camera.html')}</div></div>",
    )
    page.evaluate(ALONE)
    yield page
    page.close()


def test_it_says_what_it_waits_for_and_what_it_cannot_see(alone):
    top = alone.locator(".settings").bounding_box()
    alone.click(".start")
    assert alone.inner_text(".now") == "Waiting for the camera. Please allow it if the browser asks."
    assert alone.locator(".start").is_disabled() and alone.locator(".settings").bounding_box() == top
    alone.evaluate("give()")
    alone.locator(".now").get_by_text("Too dark to see").wait_for()
    assert "If the screen locks" in alone.inner_text(".lock")  # there is no wakeLock in such a page
    top = alone.locator(".settings").bounding_box()
    alone.evaluate("colour = 'grey'")
    alone.locator(".now").get_by_text("No bear here").wait_for(timeout=20_000)
    alone.evaluate("verdict = 'No words are so long that they move a button away. '.repeat(5)")
    alone.locator(".now.long").wait_for(timeout=20_000)
    assert alone.locator(".settings").bounding_box() == top
    assert alone.locator("[role=tab][data-watching]").count() == 1


def drag(page, start, end):
    """Drag the mouse over the camera's picture. `start` and `end` are (x, y) in fractions of the picture's size."""
    box = page.locator("video").bounding_box()
    wide = min(box["width"], box["height"] * 16 / 9)  # the picture, of 320 x 180, in the middle
    left, top = box["x"] + (box["width"] - wide) / 2, box["y"] + (box["height"] - wide * 9 / 16) / 2
    points = [(left + x * wide, top + y * wide * 9 / 16) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=4)
    page.mouse.up()


def test_parts_of_the_picture_can_be_ignored(alone):
    alone.evaluate("colour = 'white'")
    alone.evaluate(START)
    alone.wait_for_function("tab.state.answered")
    top = alone.locator(".settings").bounding_box()
    alone.get_by_role("button", name="Ignore a part").click()
    assert "Drag the frame" in alone.inner_text(".now") and not serious_findings(alone)
    drag(alone, (0.05, 0.05), (0.3, 0.9))
    alone.evaluate("tab.tracks.join([[40, 20, 40, 40], [200, 20, 40, 40]], performance.now() / 1000)")
    alone.get_by_role("button", name="Ignore this part").click()
    [zone] = alone.evaluate("tab.zones.all")
    assert [zone[side] for side in "xywh"] == pytest.approx([0.05, 0.05, 0.25, 0.85], abs=0.02)
    assert alone.evaluate("tab.tracks.all.map(track => track.box[0])") == [200]
    assert alone.locator(".settings").bounding_box() == top and not serious_findings(alone)
    colours = alone.evaluate("""async () => {
        tab.tracks.forget(Infinity, 0.25) // or the next look might be at the track
        const look = await new Promise(done => {
            tab.backend.classifyFrame = async file => (done(file), {probs: {bear: 0}, certainty: "none", verdict: ""})
            tab.whole.looked = -Infinity
        })
        const context = new OffscreenCanvas(320, 180).getContext("2d")
        context.drawImage(await createImageBitmap(look), 0, 0, 320, 180)
        return [60, 200].map(x => context.getImageData(x, 90, 1, 1).data[0])
    }""")
    assert colours == pytest.approx([128, 255], abs=3)  # in the whole picture it is grey
    alone.reload()
    alone.evaluate(ALONE)
    alone.evaluate(START)
    alone.get_by_role("button", name="Stop ignoring this part").click()
    alone.reload()
    alone.evaluate(ALONE)
    assert alone.locator(".zones button").count() == 0


def test_a_part_to_ignore_is_chosen_by_keyboard_and_something_must_be_left(alone):
    alone.evaluate(START)
    alone.wait_for_selector("[data-state=on]")
    alone.wait_for_function("tab.video.videoWidth")
    alone.focus(".mask")
    for key in ("Enter", "ArrowLeft", "Escape"):
        alone.keyboard.press(key)
    assert alone.evaluate("[tab.zones.all.length, document.activeElement.className]") == [0, "mask"]
    for key in ("Enter", *["+"] * 13, "Enter"):
        alone.keyboard.press(key)
    assert alone.inner_text(".ignored") == "You can't ignore the whole picture. Leave a part of it to watch."
    for key in ("Enter", "ArrowLeft", "Enter"):
        alone.keyboard.press(key)
    assert alone.evaluate("tab.zones.all.length") == 1
    alone.get_by_role("button", name="Stop ignoring this part").focus()
    alone.keyboard.press("Enter")
    assert alone.evaluate("tab.zones.all.length") == 0


HIDE = """state => {
    Object.defineProperty(document, "visibilityState", {value: state, configurable: true})
    document.dispatchEvent(new Event("visibilitychange"))
}"""


def test_it_says_that_it_was_hidden(alone):
    alone.evaluate("give()")
    alone.click(".start")
    alone.wait_for_selector("[data-state=on]")
    alone.evaluate(HIDE, "hidden")
    assert alone.title() == "Not watching. Open this page again."
    alone.evaluate(HIDE, "visible")
    assert alone.title() == "Bears"
    assert alone.inner_text(".gap").startswith("This page was hidden from ")


def test_an_alarm_comes_to_the_front_of_the_other_tab(alone):
    alone.evaluate("""() => {
        const panel = document.querySelector("#camera")
        panel.hidden = true
        document.querySelector("[role=tab]").addEventListener("click", () => (panel.hidden = false))
        document.querySelector(".test").click()
    }""")
    assert alone.is_visible(".alarm")


def test_the_question_whether_to_delete_all_disarms_itself(alone):
    event = "{at: '2026-05-01T00:00:00Z', verdict: 'Bear', looks: []}"
    alone.evaluate(f"tab.log.open().then(() => tab.log.add({event}))")
    alone.get_by_text("Events (1)").click()
    alone.click(".delete")
    assert alone.inner_text(".delete") == "Really delete all?"
    alone.focus(".save")
    assert alone.inner_text(".delete") == "Delete all"
    alone.click(".delete")
    alone.locator(".delete").get_by_text("Delete all", exact=True).wait_for(timeout=20_000)


# The next answers, and passes that are due at once.
SEE = """([colour, prob, certainty, verdict]) => {
    Object.assign(window, {colour, prob, certainty, verdict})
    tab.schedule.next = tracks => tracks.slice(0, 1)
}"""
BEAR = ["grey", 0.99, "sure", "Bear, 96% sure"]


def quiet_for(page, minutes):
    page.wait_for_function("tab.state.quiet")
    page.evaluate("minutes => (tab.state.quiet -= 60_000 * minutes)", minutes)


def test_it_says_in_large_letters_how_the_watch_goes(alone):
    alone.evaluate("colour = 'grey'")
    assert not alone.is_visible(".state")
    alone.evaluate(START)
    state = alone.locator(".state")
    state.get_by_text("Watching, all quiet", exact=True).wait_for()
    quiet_for(alone, 42)
    state.get_by_text("Watching, all quiet for 42 min", exact=True).wait_for()
    quiet_for(alone, 83)
    state.get_by_text("Watching, all quiet for 2 h 5 min", exact=True).wait_for()
    assert not serious_findings(alone)
    alone.evaluate("tab.hasNewPicture = () => false; tab.state.answered -= 60_000")  # the camera sends nothing
    state.get_by_text("Not watching at the moment").wait_for()
    assert alone.evaluate("tab.state.quiet") is None
    alone.evaluate("delete tab.hasNewPicture")
    alone.evaluate(SEE, ["black", 0.01, "none", "No bear here"])
    state.get_by_text("Watching, but it's too dark").wait_for()


def test_a_snoozed_alarm_comes_again_if_the_visit_lasts_longer(alone):
    alone.evaluate(START)
    alone.wait_for_selector("[data-state=on]")
    alone.evaluate(SEE, BEAR)
    alone.wait_for_selector(".alarm", state="visible")
    assert alone.title().startswith("🚨 Bear, 96% sure, ")
    assert not serious_findings(alone)
    alone.get_by_role("button", name="Snooze 15 min").click()
    assert alone.is_hidden(".alarm") and alone.title() == "Bears"
    alone.locator(".state").get_by_text("Watching, alarm snoozed until ").wait_for()
    assert 14 < alone.evaluate("(tab.state.snoozed - Date.now()) / 60_000") <= 15
    assert alone.evaluate("document.activeElement.className") == "resume"
    alone.evaluate("tab.state.snoozed = Date.now() - 1")
    alone.wait_for_selector(".alarm", state="visible")
    alone.click(".seen")
    alone.locator(".state").get_by_text("Watching, alarm at ").wait_for()
    assert alone.is_hidden(".alarm") and alone.is_hidden(".resume")


def test_a_visit_that_the_snooze_outlasts_is_only_in_the_list(alone):
    alone.evaluate("colour = 'grey'")
    alone.evaluate(START)
    alone.wait_for_selector("[data-state=on]")
    alone.evaluate("tab.snooze(60)")
    alone.evaluate(SEE, BEAR)
    alone.locator("summary").get_by_text("Events (1)").wait_for()
    assert alone.is_hidden(".alarm")
    alone.evaluate(SEE, ["grey", 0.01, "none", "No bear here"])
    alone.evaluate("tab.alarm.tracks.clear(); tab.alarm.visit = -1000")  # it went away long ago
    alone.wait_for_function("!tab.visitor")
    alone.click(".resume")
    alone.locator(".state").get_by_text("Watching, all quiet").wait_for()
    assert alone.is_hidden(".alarm")


def test_the_title_of_a_hidden_page_says_whether_it_still_watches(alone):
    alone.evaluate("colour = 'grey'")
    alone.evaluate(START)
    alone.wait_for_function("tab.state.answered")
    alone.evaluate(HIDE, "hidden")
    assert alone.title() == "Not watching. Open this page again."
    alone.evaluate("tab.hidden = new Date(tab.hidden - 20_000)")  # as if it had been hidden for 20 seconds
    alone.evaluate(SEE, ["grey", 0.01, "none", "No bear here"])
    alone.wait_for_function("document.title == '🔴 Watching'")
    icon = "document.querySelector('link[rel=icon]').href"
    assert alone.evaluate(f"fetch({icon}).then(sent => sent.text())").startswith("<svg")  # a red dot
    alone.evaluate("tab.hasNewPicture = () => false")  # the browser sends no more pictures
    alone.evaluate("tab.state.answered -= 60_000")
    alone.wait_for_function("document.title.startsWith('Not watching')")
    assert alone.evaluate(icon) == "data:,"  # the page's own
    alone.evaluate(HIDE, "visible")
    assert alone.title() == "Bears"


def test_it_watches_in_its_hours_only_and_begins_by_itself(alone):
    alone.evaluate("colour = 'grey'")
    alone.clock.install(time="2026-05-01T18:00:00")
    alone.fill("[aria-label='Watch until']", "06:30")
    alone.check(".hours [type=checkbox]")
    alone.reload()
    alone.evaluate(ALONE)
    assert alone.is_checked(".hours [type=checkbox]") and alone.input_value("[aria-label='Watch until']") == "06:30"
    alone.evaluate("colour = 'grey'")
    alone.evaluate(START)
    state = alone.locator(".state")
    until_then = re.compile(r"^Not watching until 9:00\sPM$")
    state.get_by_text(until_then).wait_for()
    assert not alone.evaluate("tab.state.answered") and not serious_findings(alone)
    assert alone.locator("[data-watching]").count() == 0
    alone.evaluate(HIDE, "hidden")
    assert until_then.match(alone.title())
    alone.evaluate(HIDE, "visible")
    alone.clock.set_system_time("2026-05-01T21:00:01")
    state.get_by_text("Watching, all quiet").wait_for()
    assert alone.inner_text(".badge") == "Watching" and alone.locator("[data-watching]").count() == 1
    alone.clock.set_system_time("2026-05-02T06:30:00")
    state.get_by_text(until_then).wait_for()
    alone.uncheck(".hours [type=checkbox]")
    state.get_by_text("Watching, all quiet").wait_for()


def test_the_checklist_ticks_what_the_browser_knows(alone):
    items = alone.locator(".checklist label").all_inner_texts()
    assert items == ["Plugged in", "Screen stays on", "Sound tested", "Placed in a window or outside"]
    assert not alone.is_checked(".awake")  # there is no wakeLock in such a page
    assert alone.locator(".checklist").is_visible() and not serious_findings(alone)


def test_one_event_can_be_enlarged_and_deleted(alone):
    alone.evaluate("""async () => {
        const canvas = new OffscreenCanvas(64, 64)
        canvas.getContext("2d").fillRect(0, 0, 64, 64)
        const looks = [{picture: await canvas.convertToBlob(), verdict: "Bear, 96% sure", score: 0.99, earned: 0.96}]
        await tab.log.open()
        for (const day of [1, 2]) await tab.log.add({at: `2026-05-0${day}T00:00:00Z`, verdict: "Bear", looks})
    }""")
    alone.get_by_text("Events (2)").click()
    alone.get_by_role("button", name="Bear, 96% sure").first.click()
    large = alone.locator(".large")
    assert large.locator("img").evaluate("image => image.decode().then(() => image.clientWidth)") > 300
    assert not serious_findings(alone)
    large.get_by_role("button", name="Close").click()
    assert large.is_hidden()
    alone.get_by_role("button", name="Bear, 96% sure").first.click()
    alone.evaluate("tab.wake('A bear')")  # while the picture covers the page
    alone.click(".seen")
    assert large.is_hidden() and alone.is_hidden(".alarm")
    first = alone.locator(".log li").first
    first.get_by_role("button", name="Delete").click()
    first.get_by_role("button", name="Really delete?").click()
    alone.get_by_text("Events (1)").wait_for()
    kept = alone.evaluate("tab.log.open().then(() => tab.log.events.map(event => event.at))")
    assert kept == ["2026-05-01T00:00:00Z"]
