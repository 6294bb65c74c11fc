"""Test rare states of the photo tab with a back end made for the test, without a server."""

import re

import pytest
from bears.web.files import text_of
from helpers import PHONE, ROOT, findings, in_front_end, open_front_end, serious_findings
from PIL import Image, ImageFilter

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples" / "grizzly.jpg"
ANSWER = {"rows": [["black", 0.9], ["teddy", 0.1]], "verdict": "Black bear, 90% sure", "map": None, "certainty": "sure"}
# `asked` has the width and height of each photo. The back end waits until there is an `answer`.
OPEN = """async ([examples, first, answer, hints, marks]) => {
    const {PhotoTab} = await import("/page.js")
    Object.assign(window, {answer, asked: []})
    const predict = async (file, signal, wait) => {
        const {width, height} = await createImageBitmap(file)
        window.asked.push([width, height])
        window.wait = wait
        while (!window.answer) await new Promise(done => setTimeout(done, 10))
        return window.answer
    }
    const backend = {predict, first: async () => first, addressOf: path => path, address: "https://bears.example/"}
    const props = {examples, hints, marks, none: "I don't see a bear"}
    window.tab = new PhotoTab(document.querySelector("#page > div"), props, backend)
}"""


@pytest.fixture
def open_tab(browser):
    """Return a function that opens the tab on a phone. Errors in JavaScript fail the test."""
    errors, contexts = [], []

    def open_tab(examples=(), first=None, answer=ANSWER, init="", hints=None, marks=None):
        contexts.append(browser.new_context(**PHONE))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script(init)
        style, html = text_of("page.css", "feedback.css"), text_of("page.html")
        open_front_end(page, f'<html lang="en"><title>Bears</title><style>{style}</style><div id="page"><div>{html}')
        page.evaluate(OPEN, [list(examples), first, answer, hints, marks])
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert not errors


def give(page, file):
    page.set_input_files("input", file)
    page.locator('[data-state="answered"]:not([data-first])').wait_for()


def test_without_examples_the_page_opens_empty(open_tab):
    page = open_tab()
    page.locator('[data-state="empty"]').wait_for()
    assert page.get_by_role("button", name="Choose a photo").is_visible()
    assert not page.locator(".examples").is_visible() and not page.locator(".verdict").is_visible()


def test_an_example_that_has_no_answer_yet_leaves_the_page_empty(open_tab):
    page = open_tab([["data:,", "Teddy bear"]])
    page.locator('[data-state="empty"]').wait_for()
    assert page.get_by_label("Example: Teddy bear").is_visible()


def test_seconds_are_counted_from_the_first_one_on(open_tab):
    page = open_tab(answer=None)
    page.clock.install()
    page.set_input_files("input", EXAMPLE)
    page.get_by_text("Looking…").wait_for()
    assert page.inner_text(".note") == ""
    page.clock.fast_forward(1000)
    page.clock.fast_forward(1000)
    assert page.inner_text(".note") == "Waiting for 2 s"
    page.wait_for_function("typeof window.wait == 'function'")  # the photo has been opened
    page.evaluate("wait('Looking… 3 photos are ahead of yours.')")
    assert page.inner_text(".verdict") == "Looking… 3 photos are ahead of yours."


def test_who_waits_reads_how_long_it_will_take(open_tab):
    page = open_tab(answer=None)
    page.clock.install()
    page.set_input_files("input", EXAMPLE)
    page.wait_for_function("typeof window.wait == 'function'")
    page.clock.fast_forward(1000)
    bar = page.get_by_role("progressbar")
    assert page.inner_text(".note") == "Waiting for 1 s" and bar.get_attribute("value") is None  # nobody knows
    page.evaluate("wait('Looking… 4 photos are ahead of yours.', 0)")
    page.clock.fast_forward(1000)
    assert page.inner_text(".note") == "Waiting for 2 s"
    page.evaluate("wait('Looking… 3 photos are ahead of yours.', 0.25)")
    page.clock.fast_forward(1000)
    assert re.fullmatch("Waiting for 3 s, about [3-5] s left", page.inner_text(".note"))  # the clock runs on, too
    assert bar.evaluate("bar => bar.value") == 0.25
    assert not findings(page)
    page.evaluate("wait('Looking… 1 photo is ahead of yours.', 0.75)")
    page.clock.fast_forward(1000)
    page.locator("[data-nearly]").wait_for(state="attached")  # too late to offer an answer on this device
    page.evaluate("wait()")  # no photo is ahead any more
    page.clock.fast_forward(1000)
    assert page.locator("[data-nearly]").count()
    page.clock.run_for(6000)
    assert not page.locator("[data-nearly]").count()  # it takes longer than it should
    assert re.fullmatch("Waiting for 1[1-6] s", page.inner_text(".note")) and page.inner_text(".verdict") == "Looking…"
    page.evaluate("answer => (window.answer = answer)", ANSWER)
    page.clock.run_for(100)
    page.locator('[data-state="answered"]').wait_for()
    page.evaluate("wait('Looking… 1 photo is ahead of yours.', 0.5)")  # a place that arrives after the answer
    assert page.inner_text(".verdict") == ANSWER["verdict"] and bar.is_hidden()


def test_each_answer_says_how_to_check_it(open_tab):
    black, grizzly = {"black": "A black bear has a high rump."}, {"grizzly": "A grizzly has a hump."}
    page = open_tab(hints={"black": black, "grizzly": grizzly, "black or grizzly": {**black, **grizzly}})
    give(page, EXAMPLE)
    assert page.inner_text(".check") == "Check: A black bear has a high rump."
    assert not serious_findings(page)
    rows = [["black or grizzly", 0.9], ["black", 0.5], ["grizzly", 0.4]]
    for change, hint in (
        ({"rows": rows, "certainty": "group"}, "Check: A black bear has a high rump.\nA grizzly has a hump."),
        ({"rows": rows[:0:-1], "certainty": "unsure"}, "Check: A grizzly has a hump.\nA black bear has a high rump."),
        ({"certainty": "none"}, ""),  # there is nothing to check
        ({"rows": [["teddy", 0.9], ["black", 0.1]]}, ""),  # a class without a hint
    ):
        page.evaluate("answer => (window.answer = answer)", {**ANSWER, **change})
        give(page, EXAMPLE)
        said = "document.querySelector('.check').checkVisibility() ? document.querySelector('.check').innerText : ''"
        page.wait_for_function(f"hint => ({said}) == hint", arg=hint)
    page.get_by_role("button", name="Crop").tap()
    assert page.locator(".check").is_hidden()


def test_a_photo_can_be_compared_with_the_examples(open_tab):
    signs = {label: {label: f"It looks like {label}."} for label in ("black", "teddy")}
    dot = "data:image/gif;base64,R0lGODlhAQABAIAAAAUEBAAAACwAAAAAAQABAAACAkQBADs="
    examples = [[f"{dot}#/{label}.gif", f"{label.title()} bear"] for label in ("black", "none", "teddy")]
    page = open_tab(examples, hints=signs)
    give(page, EXAMPLE)
    dialog = page.get_by_role("dialog")
    assert dialog.is_hidden()
    page.get_by_role("button", name="Compare with the example: Black bear").tap()
    assert dialog.get_by_text("It looks like black.").is_visible()
    sources = [image.get_attribute("src") for image in dialog.locator("img").all()]
    assert sources[0] == page.locator(".yours").get_attribute("src") and sources[1].endswith("black.gif")
    assert not serious_findings(page)
    dialog.get_by_role("button", name="Teddy bear").tap()  # there are no signs of “none”, so no button for it
    assert dialog.get_by_text("It looks like teddy.").is_visible()
    assert dialog.get_by_role("button").all_inner_texts() == ["Black bear", "Teddy bear", "Close"]
    assert dialog.get_by_role("button", name="Teddy bear").evaluate("button => button == document.activeElement")
    page.keyboard.press("Escape")
    assert dialog.is_hidden()


def test_signs_have_numbers_on_the_example_and_in_the_sentence(open_tab):
    picture = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='400' height='200'/>"
    examples = [[f"{picture}#/{label}.svg", label] for label in ("grizzly", "teddy")]
    hints = {label: {label: f"The {label} has a hump and ears."} for label in ("grizzly", "teddy")}
    marks = {"ears": [0.9, 0.5], "hump": [0.5, 0.25], "claws": [0, 1], "ear": [0, 0], "has": 7, "": [0, 0]}
    page = open_tab(examples, hints=hints, marks={"grizzly": marks})
    page.evaluate("answer => (window.answer = answer)", {**ANSWER, "rows": [["grizzly", 0.9]]})
    give(page, EXAMPLE)
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Compare with the example").tap()
    points = (
        "[...document.querySelectorAll('.marks line')].map(line => ['x1', 'y1'].map(end => +line.getAttribute(end)))"
    )
    page.wait_for_function(f"({points}).length == 2")
    assert page.evaluate(points) == [[200, 50], [360, 100]]  # “claws” and “ear” are no words of it, and 7 no point
    assert dialog.locator("text").all_text_contents() == ["1", "2"]
    assert dialog.locator(".signs").inner_text() == "The grizzly has a hump1 and ears2."
    assert dialog.locator(".signs").evaluate("p => [...p.childNodes].map(n => n.textContent)") == [
        "The grizzly has a hump", "1", " and ears", "2", "."
    ]  # fmt: skip
    picture, drawn = (dialog.locator(name).bounding_box() for name in (".other", ".marks"))
    assert picture == drawn and not serious_findings(page)
    dialog.get_by_role("button", name="teddy").tap()
    dialog.get_by_text("The teddy has a hump and ears.").wait_for()
    assert not dialog.locator("text").count()


def test_without_hints_there_is_no_word_about_checking(open_tab):
    page = open_tab()
    give(page, EXAMPLE)
    assert page.locator(".check").is_hidden()


def test_the_bars_of_a_no_are_folded(open_tab):
    page = open_tab(answer={**ANSWER, "certainty": "none"})
    give(page, EXAMPLE)
    assert page.locator(".probs").is_hidden()
    page.get_by_text("Show the figures anyway").tap()
    assert page.locator(".probs li").all_inner_texts() == ["black\n90%", "teddy\n10%"] and not serious_findings(page)
    page.evaluate("answer => (window.answer = answer)", ANSWER)
    give(page, EXAMPLE)
    assert page.locator(".probs").is_visible() and page.get_by_text("Show the figures anyway").is_hidden()


def test_where_nothing_is_saved_the_server_alone_answers_however_late(browser):
    said = in_front_end(
        browser,
        """async () => {
            const {withDevice} = await import("/device.js"), {make, pause} = await import("/tab.js")
            document.body.append(make("p", {className: "note"}))
            const {signal} = new AbortController()
            const ask = predict => withDevice(document.body, 13, {predict}).predict(null, signal)
            const fail = error => ask(async () => { throw error }).catch(error => error.message)
            const early = [await fail(new TypeError("gone")), await fail(Error("no photo"))]
            const offers = () => document.querySelectorAll(".here button").length
            const late = [pause(2.5).then(() => "late"), pause(2.5).then(() => { throw Error("refused") })]
            const said = late.map(answer => ask(() => answer).catch(error => error.message))
            await pause(2.2)
            return [...early, offers(), ...await Promise.all(said)]
        }""",
    )
    assert said == ["gone", "no photo", 2, "late", "refused"]


ASK_FOR_FEEDBACK = """async () => {
    const {withFeedback} = await import("/feedback.js"), keeper = "The owner keeps it. ".repeat(9)
    const labels = ["black", "teddy", "something else"], names = {black: "Black bear"}
    const words = {labels, names, unknown: "I don't know", yes: "yes", keeper}
    tab.backend = withFeedback(tab.element, words, tab.backend)
}"""


@pytest.mark.parametrize("certainty, left_out", [("sure", "Black bear"), ("none", "something else"), ("unsure", None)])
def test_who_says_no_is_not_asked_about_the_wrong_answer_again(open_tab, certainty, left_out):
    page = open_tab(answer={**ANSWER, "certainty": certainty})
    page.evaluate(ASK_FOR_FEEDBACK)
    give(page, EXAMPLE)
    no = page.get_by_role("button", name="No", exact=True)
    no.tap()
    assert no.evaluate("button => getComputedStyle(button).color") == "rgb(255, 255, 255)"  # pressed
    labels = {"Black bear", "teddy", "something else", "I don't know"}
    shown = [button for button in page.locator(".others button").all() if button.is_visible()]
    assert {button.inner_text() for button in shown} == labels - {left_out}


def test_nothing_moves_when_the_form_for_feedback_comes(open_tab):
    page = open_tab(answer=None)
    page.evaluate(ASK_FOR_FEEDBACK)
    page.set_input_files("[type=file]", EXAMPLE)
    page.get_by_text("Looking…").wait_for()
    before = page.locator(".actions").bounding_box()
    assert page.get_by_text("Is that right?").is_hidden()
    page.evaluate("answer => (window.answer = answer)", ANSWER)
    page.get_by_text("Is that right?").wait_for()
    assert page.locator(".actions").bounding_box() == before


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (lambda photo: photo.point(lambda v: v // 8), "The photo is very dark. Try one with more light."),
        (lambda photo: photo.filter(ImageFilter.GaussianBlur(12)), "The photo is blurred. Try a sharper one."),
        (lambda photo: photo.resize((100, 75)), "The photo is very small: 100 × 75 pixels. Try a larger one."),
        (lambda photo: photo, "To ask about only a part of the photo, tap that part."),
    ],
    ids=["dark", "blurred", "small", "good"],
)
def test_a_no_says_what_is_wrong_with_the_photo(open_tab, tmp_path, change, flaw):
    with Image.open(EXAMPLE) as photo:
        change(photo).save(tmp_path / "photo.png")
    page = open_tab(answer={**ANSWER, "certainty": "none"})
    give(page, tmp_path / "photo.png")
    assert page.inner_text(".verdict") == "I don't see a bear"
    assert page.inner_text(".note") == flaw


def test_each_of_several_animals_is_outlined_and_named(open_tab):
    boxes = ([0.1, 0.2, 0.3, 0.6], [0.5, 0.5, 0.9, 1])
    animals = [{"box": box, "verdict": f"Bear {n}, 9{n}% sure"} for n, box in enumerate(boxes)]
    page = open_tab(answer={**ANSWER, "animals": animals})
    give(page, EXAMPLE)
    assert page.evaluate("getComputedStyle(document.querySelector('.verdict'), '::before').content") == '"1. "'
    assert page.locator(".animals li").all_inner_texts() == ["Bear 1, 91% sure"]
    assert page.locator(".found div").all_inner_texts() == ["1", "2"] and not serious_findings(page)
    frame, photo = page.locator(".frame").bounding_box(), page.evaluate("tab.crop.shown()")
    for (left, top, right, bottom), outline in zip(boxes, page.locator(".found div").all(), strict=True):
        box = outline.bounding_box()
        assert box["x"] - frame["x"] - 1 == pytest.approx(photo["left"] + left * photo["width"], abs=2)
        assert box["y"] - frame["y"] - 1 == pytest.approx(photo["top"] + top * photo["height"], abs=2)
        assert box["width"] == pytest.approx((right - left) * photo["width"], abs=3)
        assert box["height"] == pytest.approx((bottom - top) * photo["height"], abs=3)
    page.get_by_role("button", name="Crop").tap()
    part = page.evaluate("tab.crop.part")  # around the first animal
    assert part["x"] + part["w"] / 2 == pytest.approx(0.27) and part["y"] + part["h"] / 2 == pytest.approx(0.4)
    assert part["x"] < 0.1 and part["x"] + part["w"] > 0.3 and part["h"] == pytest.approx(1.8 * 0.4)
    page.keyboard.press("Escape")
    page.evaluate("answer => (window.answer = answer)", ANSWER)
    give(page, EXAMPLE)
    page.wait_for_function("!document.querySelector('.found div')")
    assert page.locator(".animals").is_hidden()


def test_a_part_is_tapped_and_asked_about(open_tab):
    page = open_tab()
    give(page, EXAMPLE)
    page.locator(".yours").tap(position={"x": 200, "y": 150})
    assert not serious_findings(page)
    page.get_by_role("button", name="Ask about this part").tap()
    page.locator('[data-state="answered"]').wait_for()
    whole, (width, height) = page.evaluate("asked")
    assert whole == [960, 720] and abs(width - height) <= 1 and 400 < width < 450


def test_a_part_is_drawn_and_moved_with_the_pointer(open_tab):
    page = open_tab()
    give(page, EXAMPLE)
    page.get_by_role("button", name="Crop").click()
    photo = page.evaluate("tab.crop.shown()")
    frame = page.locator(".frame").bounding_box()
    left, top = frame["x"] + 1 + photo["left"], frame["y"] + 1 + photo["top"]

    def drag(*points):
        for i, (x, y) in enumerate(points):
            page.mouse.move(left + x * photo["width"], top + y * photo["height"], steps=3)
            if i == 0:
                page.mouse.down()
        page.mouse.up()

    drag((0.05, 0.05), (0.5, 0.55))
    drag((0.25, 0.3), (0.35, 0.4))
    part = page.evaluate("tab.crop.part")
    assert part == pytest.approx({"x": 0.15, "y": 0.15, "w": 0.45, "h": 0.5}, abs=0.02)
    drag((0.6, 0.65), (0.9, 0.8))  # its corner
    assert page.evaluate("tab.crop.part") == pytest.approx({"x": 0.15, "y": 0.15, "w": 0.75, "h": 0.65}, abs=0.02)


def test_two_fingers_make_the_part_larger(open_tab):
    page = open_tab()
    give(page, EXAMPLE)
    page.get_by_role("button", name="Crop").tap()
    before, box = page.evaluate("tab.crop.part"), page.locator(".part").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    protocol = page.context.new_cdp_session(page)

    def touch(kind, *fingers):
        points = [{"x": x + dx, "y": y, "id": i} for i, dx in enumerate(fingers)]
        protocol.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -20)
    touch("touchStart", -20, 20)
    touch("touchMove", -25, 25)
    touch("touchEnd")
    assert page.evaluate("tab.crop.part.w") == pytest.approx(before["w"] * 1.25, abs=0.02)


def test_a_part_is_chosen_by_keyboard_and_escape_goes_back(open_tab):
    page = open_tab()
    give(page, EXAMPLE)
    page.get_by_role("button", name="Crop").press("Enter")
    assert page.evaluate("document.activeElement.className") == "part"
    before = page.evaluate("tab.crop.part")
    assert before["h"] == pytest.approx(0.8)  # most of the photo
    for key in ("ArrowRight", "ArrowDown", "-"):
        page.keyboard.press(key)
    after = page.evaluate("tab.crop.part")
    assert after["x"] > before["x"] and after["y"] > before["y"] and after["w"] < before["w"]
    page.keyboard.press("Escape")
    assert page.inner_text(".verdict") == "Black bear, 90% sure"
    assert page.evaluate("document.activeElement.innerText") == "Crop"
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_function("asked.length == 2")


SHARE = """navigator.canShare = () => true
navigator.share = async ({files, title}) => {
    const {width, height} = await createImageBitmap(files[0])
    window.shared = [files[0].type, title, width, height]
}"""


def test_a_phone_shares_a_picture_of_the_answer(open_tab):
    page = open_tab(init=SHARE)
    give(page, EXAMPLE)
    page.get_by_role("button", name="Share").tap()
    page.wait_for_function("window.shared")
    assert page.evaluate("shared") == ["image/png", "Bears", 1080, 1040]
    assert page.inner_text(".note") == ""


def test_other_devices_save_the_picture(open_tab, tmp_path):
    page = open_tab(init="navigator.canShare = undefined")
    give(page, EXAMPLE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Share").tap()
    download.value.save_as(tmp_path / "card.png")
    with Image.open(tmp_path / "card.png") as card:
        assert card.size == (1080, 1040)
    page.get_by_text(re.compile("The picture is saved")).wait_for()
