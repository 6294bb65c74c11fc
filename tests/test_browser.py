"""Test the app in a real browser: on a desktop and a phone, light and dark, with keyboards and screen readers."""

import base64
import io
import json
import os
import re
import signal
from functools import partial

import pillow_heif
import pytest
import requests
from helpers import DESKTOP, PHONE, ROOT, Server, ask_from, model_process, serious_findings, stopped_model, upload
from PIL import Image

pytestmark = pytest.mark.slow

EXAMPLES = ROOT / "examples"
TEDDY, GRIZZLY = EXAMPLES / "teddy.jpg", EXAMPLES / "grizzly.jpg"
RATE = f"{json.loads((ROOT / 'export.json').read_text())['by_source']['error_rate']:.1%}"
SCREENS = {
    f"{name}-{scheme}": {**screen, "color_scheme": scheme}
    for name, screen in (("desktop", DESKTOP), ("phone", PHONE))
    for scheme in ("light", "dark")
}
FILE = "#page input[type=file]"
TITLE = "Black, grizzly or teddy bear?"


@pytest.fixture(params=SCREENS.values(), ids=SCREENS)
def screen(request):
    return request.param


@pytest.fixture
def open_page(server, browser):
    """Return a function that opens the app on a screen such as `PHONE`. Errors in JavaScript fail the test."""
    errors, contexts = [], []

    def open_page(screen=DESKTOP, ready=True, init="", **kwargs):
        contexts.append(browser.new_context(**screen, **kwargs))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script(init)
        page.goto(server.url)
        if ready:
            page.get_by_label("Example: Teddy bear").wait_for()  # bears/web/page.js has run
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def answered(page, verdict="Teddy bear, 96% sure"):
    """Wait for the verdict; return its position on the screen."""
    page.locator(".verdict[role=status]").get_by_text(verdict).wait_for()
    page.locator('[data-state="answered"]:not([data-first])').wait_for()
    return page.get_by_text(verdict).bounding_box()


def test_uploading_a_photo_shows_the_verdict_without_scrolling(open_page, screen):
    page = open_page(screen)
    page.set_input_files(FILE, TEDDY)
    box = answered(page)
    assert page.evaluate("scrollY") == 0 and box["y"] + box["height"] < screen["viewport"]["height"]
    assert box["x"] + box["width"] <= screen["viewport"]["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    bars = page.locator(".probs li").all_inner_texts()
    assert bars == ["Teddy bear\n96%", "Grizzly bear\nunder 1%", "Black bear\nunder 1%"]


def test_why_is_a_tap_away_and_on_the_photo_itself(open_page):
    page = open_page(PHONE)
    page.set_input_files(FILE, TEDDY)
    answered(page)
    assert not page.get_by_alt_text("heatmap of the areas").is_visible()
    page.get_by_role("button", name="Why?").tap()
    page.get_by_alt_text("heatmap of the areas").wait_for()
    assert page.get_by_text("The glow shows what counted most.", exact=True).is_visible()
    photo, glow = (page.locator(f"#page .{name}").bounding_box() for name in ("yours", "glow"))
    assert photo == glow and page.get_by_role("button", name="Why?").get_attribute("aria-pressed") == "true"
    with Image.open(TEDDY) as photo:
        shape = page.get_by_alt_text("heatmap of the areas").evaluate(
            "i => i.decode().then(() => i.naturalWidth / i.naturalHeight)"
        )
        assert shape == pytest.approx(photo.width / photo.height, abs=0.01)
    page.get_by_role("button", name="Why?").tap()
    assert not page.get_by_alt_text("heatmap of the areas").is_visible()
    assert not page.get_by_text("The glow shows what counted most.", exact=True).is_visible()


def test_what_is_no_bear_has_no_map_and_a_list_that_says_so(open_page):
    page = open_page()
    page.get_by_label("Example: No bear").click()
    answered(page, "I don't see a bear")
    assert page.get_by_text("To ask about only a part of the photo").is_visible()
    assert page.get_by_text("Show the figures anyway").is_visible()
    assert not page.get_by_role("button", name="Why?").is_visible()
    assert not serious_findings(page)


def test_one_tap_on_an_example_and_one_more_for_the_next(open_page, screen):
    page = open_page(screen)
    page.get_by_label("Example: Grizzly bear").click()
    answered(page, "Grizzly bear, 96% sure")
    page.get_by_label("Example: Teddy bear").click()
    answered(page)


def test_another_photo_is_one_tap_away(open_page):
    page = open_page()
    page.set_input_files(FILE, GRIZZLY)
    answered(page, "Grizzly bear, 96% sure")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Another photo").click()
    chooser.value.set_files(TEDDY)
    answered(page)
    assert focused(page) == "Another photo"


def focused(page):
    return page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.innerText")


def test_the_next_example_is_one_press_away_and_focus_stays_there(open_page, screen):
    page = open_page(screen)
    page.get_by_label("Example: Grizzly bear").press("Enter")
    answered(page, "Grizzly bear, 96% sure")
    page.get_by_label("Example: Teddy bear").press("Enter")
    answered(page)
    assert focused(page) == "Example: Teddy bear"


def drop(page, target, file):
    """Drag a file onto the middle of an element, by Chromium's protocol, since other ways make no trusted events."""
    page.locator(target).scroll_into_view_if_needed()
    box = page.locator(target).bounding_box()
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    protocol = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        protocol.send("Input.dispatchDragEvent", {"type": kind, **at, "data": data})


@pytest.mark.parametrize("target", [".frame", "#about"])
def test_a_photo_can_be_dropped_anywhere_and_another_on_top_of_it(open_page, target):
    page = open_page()
    drop(page, target, TEDDY)
    answered(page)
    drop(page, target, GRIZZLY)
    answered(page, "Grizzly bear, 96% sure")


def test_a_link_that_is_dropped_is_a_sentence_beside_the_buttons(open_page):
    page = open_page()
    page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer()
            dataTransfer.setData("text/uri-list", "https://example.com/teddy.jpg")
            document.body.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer}))
        }"""
    )
    page.locator(".verdict[role=status]").get_by_text("Please save the photo itself").wait_for()
    assert page.get_by_role("button", name="Choose a photo").is_visible()
    assert not page.get_by_alt_text("Your photo").first.is_visible()


def test_the_latest_photo_is_answered_even_if_the_one_before_still_waits(open_page):
    page = open_page()
    page.set_input_files(FILE, TEDDY)
    page.set_input_files(FILE, GRIZZLY)
    answered(page, "Grizzly bear, 96% sure")
    page.wait_for_timeout(1000)
    assert page.locator(".verdict[role=status]").inner_text() == "Grizzly bear, 96% sure"


def test_a_photo_whose_kind_the_browser_does_not_know(open_page, tmp_path):
    pillow_heif.from_pillow(Image.open(TEDDY)).save(tmp_path / "IMG_0001.HEIC")
    page = open_page(PHONE)
    page.set_input_files(FILE, tmp_path / "IMG_0001.HEIC")
    answered(page, "Teddy bear, 9")
    assert page.get_by_text("This browser can't show this photo.").is_visible()


def test_pasting_a_photo_runs_it(open_page):
    page = open_page(permissions=["clipboard-read", "clipboard-write"])
    png = io.BytesIO()
    with Image.open(TEDDY) as im:
        im.save(png, "PNG")
    page.evaluate(
        """async data => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0))
            await navigator.clipboard.write([new ClipboardItem({"image/png": new Blob([bytes], {type: "image/png"})})])
        }""",
        base64.b64encode(png.getvalue()).decode(),
    )
    page.keyboard.press("Control+V")
    answered(page, "Teddy bear, 9")


def test_taking_a_photo_with_the_camera_runs_it(open_page):
    page = open_page(permissions=["camera"])
    page.get_by_role("button", name="Take a photo").click()
    page.wait_for_function("document.querySelector('#page video').videoWidth > 0")
    assert focused(page) == "Take photo"
    page.get_by_role("button", name="Take photo").click()
    answered(page, "I don't see a bear")  # the browser's fake camera shows a green test picture
    assert focused(page) == "Another photo"
    assert page.evaluate(
        "document.querySelector('#page video').srcObject.getTracks().every(t => t.readyState == 'ended')"
    )


def test_a_phone_takes_the_photo_with_its_own_camera(open_page):
    page = open_page(PHONE, init="matchMedia = () => ({matches: true, addEventListener() {}, addListener() {}})")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Take a photo").tap()
    assert chooser.value.element.get_attribute("capture") == "environment"
    chooser.value.set_files(TEDDY)
    answered(page)


KEEP_UPLOAD = """const before = window.fetch
window.fetch = (url, options) => {
    if (options?.body instanceof FormData) window.sent = options.body.get("files")
    return before(url, options)
}"""


def test_a_large_photo_is_sent_small(open_page, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right
    with Image.open(TEDDY) as im:
        im.resize((4032, 3024)).rotate(90).save(tmp_path / "large.jpg", exif=exif)
    page = open_page(init=KEEP_UPLOAD)
    page.set_input_files(FILE, tmp_path / "large.jpg")
    answered(page, "Teddy bear, ")
    assert page.evaluate("sent.type") == "image/jpeg"
    width, height = page.evaluate("createImageBitmap(sent).then(b => [b.width, b.height])")
    assert (width, height) == (768, 1024)


def test_a_file_that_is_no_photo_is_refused_in_one_sentence_where_the_verdict_would_be(open_page, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"not a photo")
    page = open_page(PHONE)
    page.set_input_files(FILE, tmp_path / "photo.jpg")
    page.locator(".verdict[role=status]").get_by_text("This file is not a photo that can be opened here.").wait_for()
    assert not serious_findings(page)
    page.set_input_files(FILE, TEDDY)
    answered(page)


def test_a_damaged_photo_leaves_no_strip_of_itself(open_page, tmp_path):
    data = GRIZZLY.read_bytes()
    (tmp_path / "broken.jpg").write_bytes(data[: len(data) // 3])
    page = open_page()
    page.set_input_files(FILE, tmp_path / "broken.jpg")
    page.locator(".verdict[role=status]").get_by_text("damaged or incomplete").wait_for()
    assert page.get_by_role("button", name="Choose a photo").is_visible()
    assert not page.get_by_alt_text("Your photo").first.is_visible()
    assert not page.get_by_role("button", name="Try again").is_visible()


HTML = {"content_type": "text/html", "body": "<html><h1>502 Bad Gateway</h1></html>"}
PROXIES = [
    ("upload", {"status": 502, **HTML}),
    ("upload", {"status": 200, **HTML}),  # as from a proxy that asks people to log in
    ("upload", {"status": 404, "content_type": "text/plain", "body": "404 page not found"}),
    ("call/predict", {"status": 504, **HTML}),
    ("call/predict", {"status": 503, "content_type": "text/plain", "body": "no healthy upstream"}),
]


def answer_as(said, route):
    route.fulfill(**said)


def test_what_a_proxy_says_is_one_sentence_and_the_photo_can_be_sent_again(open_page):
    page = open_page(PHONE)
    for path, said in PROXIES:
        page.route(f"**/gradio_api/{path}*", partial(answer_as, said))
        page.set_input_files(FILE, TEDDY)
        page.locator('[data-state="refused"]').wait_for()
        assert page.inner_text(".verdict") == ("The server gave an unexpected answer. Please try again in a minute.")
        page.unroute(f"**/gradio_api/{path}*")
        page.get_by_role("button", name="Try again").click()
        answered(page)


def test_a_proxy_that_takes_no_large_photos_says_so(open_page):
    page = open_page()
    page.route("**/gradio_api/upload", lambda route: route.fulfill(status=413, **HTML))
    page.set_input_files(FILE, TEDDY)
    page.get_by_text("This photo is too large for the server. Please choose a smaller one.").wait_for()


def test_examples_have_names_and_can_be_chosen_before_their_pictures_are_there(open_page):
    page = open_page(ready=False)
    page.route("**/examples/*", lambda route: None)
    page.reload(wait_until="commit")
    page.get_by_label("Example: Teddy bear").get_by_text("Teddy bear").wait_for()
    page.get_by_label("Example: Teddy bear").click()
    page.locator(".verdict").get_by_text("Looking…").wait_for()
    page.unroute("**/examples/*")  # lets the waiting requests continue
    answered(page)
    tiles = page.locator(".examples img").evaluate_all("all => all.map(i => [i.clientWidth, i.clientHeight])")
    assert len(tiles) == 4 and len({*map(tuple, tiles)}) == 1


def test_forced_colours_show_the_bars_and_the_open_tab(open_page):
    page = open_page(forced_colors="active")
    page.set_input_files(FILE, TEDDY)
    answered(page)
    first, second = (page.locator(".probs li > div").nth(i).screenshot() for i in (0, 1))
    assert first != second
    outlines = page.get_by_role("tab").evaluate_all("all => all.map(tab => getComputedStyle(tab).outlineStyle)")
    assert outlines == ["solid", "none"]


def test_a_page_of_somebody_else_shows_the_app_and_gets_no_photo(server, browser, web_server):
    [script] = re.findall(r'src="\./(assets/index[^"]*)"', requests.get(server.url, timeout=30).text)
    web_server.pages["/"] = f"""<!DOCTYPE html><html lang="de"><head><meta charset="utf-8"><title>Zoo</title>
        <script type="module" src="{server.url}/{script}"></script></head>
        <body><h1>Unser Zoo</h1><gradio-app src="{server.url}"></gradio-app></body></html>""".encode()
    page, asked = browser.new_context(**DESKTOP, permissions=["camera"]).new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(web_server.url("/"))
    page.get_by_label("Example: Grizzly bear").click()
    answered(page, "Grizzly bear, 96% sure")
    page.set_input_files(FILE, TEDDY)
    answered(page)
    with page.expect_popup() as popup:
        page.get_by_role("link", name="the API").click()
    assert popup.value.url.startswith(server.url)
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start watching").click()
    page.locator("#camera .now").get_by_text("No bear here").wait_for()
    page.wait_for_function("document.documentElement.lang == 'de'")
    assert page.title() == "Zoo"
    assert {url for url in asked if url.startswith(web_server.url(""))} <= {web_server.url("/")}
    page.context.close()


def snippet(server, frame):
    """Return an example of docs/deploy.md with a server's address: an <iframe>, or the lines with <gradio-app>."""
    [*examples] = re.findall(r"```html\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8"), re.S)
    [example] = [example for example in examples if ("<iframe" in example) == frame]
    [script] = re.findall(r'src="\./assets/(index[^"]*)"', requests.get(server.url, timeout=30).text)
    return example.replace("https://ADDRESS-OF-THE-APP", server.url).replace("index-….js", script)


@pytest.mark.parametrize("frame", [True, False], ids=["iframe", "gradio-app"])
def test_the_guide_shows_how_to_embed_the_app(server, browser, web_server, frame):
    html = f'<!DOCTYPE html><html lang="de"><meta charset="utf-8"><title>Zoo</title>{snippet(server, frame)}'
    web_server.pages["/"] = html.encode()
    with browser.new_context(**PHONE) as context:
        page = context.new_page()
        page.goto(web_server.url("/"))
        app = page.frame_locator("iframe") if frame else page
        app.locator("[data-first]").wait_for()
        app.get_by_label("Example: Teddy bear").tap()
        app.locator(".verdict").get_by_text("Teddy bear, 96% sure").wait_for()


def test_the_footer_has_the_api_and_the_theme_on_a_phone(open_page):
    page = open_page(PHONE)
    page.locator("[data-first]").wait_for()
    page.get_by_role("button", name="Settings").tap()
    page.get_by_text("Dark", exact=False).first.tap()
    page.wait_for_function("document.body.classList.contains('dark')")
    assert page.evaluate("document.documentElement.lang") == "en"
    page.keyboard.press("Escape")
    page = open_page(PHONE)
    page.get_by_role("button", name="Use via API").tap()
    page.get_by_text("/predict").first.wait_for()


def test_who_waits_reads_how_many_photos_are_before_theirs(open_page, server):
    page, photo = open_page(), upload(server, TEDDY.read_bytes())
    page.locator("[data-first]").wait_for()
    with stopped_model(server):
        for _ in range(3):
            assert ask_from(server.url, photo, "127.0.0.9") == ""
        page.set_input_files(FILE, TEDDY)
        page.locator(".verdict").get_by_text("Looking… 3 photos are ahead of yours.").wait_for()
        assert re.fullmatch(r"Waiting for \d+ s", page.inner_text(".note"))
        assert not serious_findings(page)
    answered(page)
    assert page.inner_text(".note") == ""


def test_a_server_that_is_gone_is_no_endless_wait(open_page):
    page = open_page()
    page.route("**/gradio_api/upload", lambda route: route.abort())
    page.set_input_files(FILE, TEDDY)
    page.locator(".verdict[role=status]").get_by_text("Can't reach the server.").wait_for()


def test_the_page_says_what_answers_and_that_nobody_should_trust_it_with_their_safety(open_page):
    page = open_page()
    page.locator("#about h2").wait_for()  # Gradio renders Markdown a moment later
    text = page.locator("#about").inner_text()
    assert "857 photos" in text and RATE in text and "Never rely on it for anyone’s safety" in text
    with page.expect_popup() as popup:
        page.get_by_role("link", name="the API").click()
    popup.value.get_by_text("/predict").first.wait_for()
    assert "raw.githubusercontent" not in popup.value.locator("body").inner_text()


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious(open_page, screen):
    page = open_page(screen, locale="de-DE")
    page.locator("[data-first]").wait_for()
    assert not serious_findings(page)
    page.set_input_files(FILE, TEDDY)
    answered(page)
    assert not serious_findings(page)
    page.get_by_role("button", name="Crop").click()
    page.get_by_role("button", name="Ask about this part").wait_for()
    assert not serious_findings(page)
    assert page.evaluate("document.documentElement.lang") == "en"


def test_every_control_can_be_reached_and_used_by_keyboard(open_page):
    page = open_page()
    names = []
    page.locator("[data-first]").wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.ariaLabel || document.activeElement.innerText"))
        if names[-1].startswith("Example"):
            break
    if names[0] == "Save for offline":  # somebody has built the offline version here
        del names[0]
    buttons = ["Photo", "Camera", "Why?", "Crop", "Share", "Choose a photo", "Take a photo"]
    assert names == [*buttons, "Example: Black bear"]
    page.keyboard.press("Enter")
    answered(page, "A bear: black or grizzly")


def test_what_a_finger_taps_is_large_enough(open_page):
    page = open_page(PHONE)
    page.locator("[data-first]").wait_for()
    sizes = "e => e.map(e => e.getBoundingClientRect()).filter(b => b.width).map(b => [b.width, b.height])"
    for width, height in page.locator("#page :is(button, summary)").evaluate_all(sizes):
        assert width >= 44 and height >= 44
    page.set_input_files(FILE, TEDDY)
    answered(page)
    for width, height in page.locator("#page :is(button, summary)").evaluate_all(sizes):
        assert width >= 44 and height >= 44


SHIFTS = """window.shifts = []
new PerformanceObserver(list => list.getEntries().forEach(e => window.shifts.push([e.value, ...e.sources.map(
    ({node, previousRect, currentRect}) => `${node?.id || node?.className}: ${previousRect.y} to ${currentRect.y}`)])))
    .observe({type: "layout-shift", buffered: true})"""


def test_nothing_moves_while_the_page_loads_and_answers(open_page, screen):
    page = open_page(screen, init=SHIFTS)
    page.locator("[data-first]").wait_for()
    page.set_input_files(FILE, TEDDY)
    answered(page)
    page.wait_for_timeout(300)
    shifts = page.evaluate("window.shifts")
    assert sum(shift for shift, *_ in shifts) < 0.02, shifts


@pytest.mark.parametrize(
    ("example", "verdict"), [("Black bear", "A bear: black or grizzly"), ("No bear", "I don't see")]
)
def test_nothing_moves_for_an_answer_that_is_not_sure_either(open_page, screen, example, verdict):
    page = open_page(screen, init=SHIFTS)
    page.locator("[data-first]").wait_for()
    page.get_by_label(f"Example: {example}").click()
    answered(page, verdict)
    page.wait_for_timeout(300)
    shifts = page.evaluate("window.shifts")
    assert sum(shift for shift, *_ in shifts) < 0.02, shifts


def test_the_answer_says_how_to_check_it(open_page):
    page = open_page(PHONE)
    page.get_by_label("Example: Black bear").click()
    answered(page, "A bear: black or grizzly")
    facts = json.loads((ROOT / "export.json").read_text())["hints"]
    texts = page.locator(".check li > span").all_inner_texts()
    assert texts == [f"Check: {facts['black']}", facts["grizzly"]]
    assert page.locator(".check li > :not(span)").all_inner_texts() == ["This photo", "Compare"]
    picture = page.locator(".check button img")
    assert picture.get_attribute("src").endswith("/grizzly.jpg") and picture.evaluate("img => img.naturalWidth > 0")
    assert not serious_findings(page)


def test_the_first_words_come_before_the_scripts(browser, server):
    page = browser.new_page()
    page.route("**/assets/*", lambda route: route.abort())
    page.goto(server.url)
    assert page.get_by_role("heading", name=TITLE).is_visible()
    page.close()


def test_a_link_to_the_page_shows_what_it_is(browser, server):
    page = browser.new_page()
    page.goto(server.url)
    shown = dict(
        page.locator("meta[property]").evaluate_all("e => e.map(e => [e.getAttribute('property'), e.content])")
    )
    assert page.title() == shown["og:title"] == TITLE
    assert shown["og:description"].endswith("a black, grizzly or teddy bear, or none of these.")
    assert requests.get(shown["og:image"], timeout=30).headers["content-type"] == "image/jpeg"
    assert "gradio" not in " ".join(shown.values()).lower().replace("gradio_api", "")
    assert b"<svg" in requests.get(f"{server.url}/favicon.ico", timeout=30).content
    page.close()


def test_the_page_tries_again_by_itself_while_the_server_has_no_place(open_page):
    page, full = open_page(), [503]

    def answer(route):
        headers = {"Retry-After": "10"}
        route.fulfill(status=full.pop(), headers=headers, json={"detail": "Full."}) if full else route.continue_()

    page.route("**/call/predict?*", answer)
    page.clock.install()
    page.set_input_files(FILE, TEDDY)
    page.get_by_text("The app is busy right now. Trying again in 10 s.").wait_for()
    page.clock.fast_forward(10_000)
    answered(page)
    assert not full


def test_a_busy_server_says_so(tmp_path, browser):
    server = Server(tmp_path / "log")
    model = model_process(server)
    os.kill(model, signal.SIGSTOP)  # so that the queue fills up
    try:
        photo = upload(server, TEDDY.read_bytes())
        joined = 0
        for client in range(2, 8):  # each gets some places
            while ask_from(server.url, photo, f"127.0.0.{client}") == "":
                joined += 1
        assert 64 <= joined < 200
        page = browser.new_page()
        page.goto(server.url)
        page.set_input_files(FILE, TEDDY)
        page.locator(".verdict[role=status]").get_by_text("The app is busy right now.").wait_for()
        page.close()
    finally:
        os.kill(model, signal.SIGCONT)
        server.close()


def test_a_script_that_somebody_has_put_into_the_page_does_not_run(open_page):
    page = open_page()
    planted = page.evaluate(
        """async () => {
            document.body.insertAdjacentHTML("beforeend", '<img src="data:," onerror="window.planted = 1">')
            document.body.append(Object.assign(document.createElement("script"), {textContent: "window.planted = 2"}))
            await new Promise(done => setTimeout(done, 500))
            return window.planted ?? null
        }"""
    )
    assert planted is None
