"""Test the offline version: built by the real command, in a real browser, with and without a network."""

import gzip
import io
import json
import re
import shutil
import subprocess
from functools import partial
from types import SimpleNamespace

import numpy as np
import pillow_heif
import pytest
import torch
from bears import deploy
from bears.errors import OfflineError
from bears.learning.learner import LINEAR_HEAD, vision_learner
from bears.model.answers import NONE
from bears.model.classifier import Classifier
from bears.model.export import export, open_export
from bears.model.photo import MAX_MEGAPIXELS_JPEG, open_photo
from bears.offline import runtime as runtime_module
from bears.offline import site as site_module
from bears.offline.folder import check_folder, write
from bears.offline.graph import export_graph, find_shape
from bears.offline.parity import GraphSquares, check
from bears.offline.site import build, service_worker, unpack
from bears.static_site import POLICY, find_site
from fastai.vision.all import ImageDataLoaders, Normalize, Resize, imagenet_stats
from helpers import DESKTOP, NGINX, PHONE, ROOT, Host, Server, free_port, get, needs, open_browser, serious_findings
from PIL import Image

TEDDY, BLACK = ROOT / "examples" / "teddy.jpg", ROOT / "examples" / "black.jpg"
FILE = "#page input[type=file]"
LOOK = """async url => {
    const {look} = await import(new URL("offline/model.js", document.baseURI))
    return look(await (await fetch(url)).blob())
}"""


@pytest.fixture
def host(offline, tmp_path):
    host = Host(shutil.copytree(offline[0], tmp_path / "site"))
    yield host
    host.stop()


@pytest.fixture(scope="module")
def steady_host(offline):
    host = Host(offline[0])
    yield host
    host.stop()


@pytest.fixture
def open_page(browser):
    """Return a function that opens a page as a new visitor. Errors in JavaScript and the console fail the test."""
    errors, contexts = [], []

    def open_page(host, screen=DESKTOP, init="", **kwargs):
        contexts.append(browser.new_context(**screen, **kwargs))
        contexts[-1].add_init_script(init)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(host.url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def answered(page, verdict):
    page.locator(".verdict[role=status]").get_by_text(verdict).wait_for()
    page.locator('[data-state="answered"]:not([data-first])').wait_for()


def kept(page):
    page.get_by_text("Works offline now.").wait_for()


@pytest.mark.slow
def test_the_command_says_what_it_has_compared_and_made(offline):
    folder, said = offline
    assert "The answers agree on all 12" in said and f"files to {folder}" in said
    assert sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) < 13_000_000
    assert not [f for f in folder.rglob("*") if f.suffix in (".pkl", ".onnx", ".wasm", ".part")]


@pytest.mark.slow
def test_what_was_open_once_answers_without_its_host_and_asks_nobody_else(host, open_page):
    page, asked = open_page(host), []
    page.context.on("request", lambda request: asked.append(request.url))
    page.set_input_files(FILE, TEDDY)
    answered(page, "Teddy bear, 96% sure")
    kept(page)
    host.stop()
    page.reload()
    kept(page)
    page.set_input_files(FILE, TEDDY)
    answered(page, "Teddy bear, 96% sure")
    bars = page.locator(".probs li").all_inner_texts()
    assert bars == ["Teddy bear\n96%", "Grizzly bear\nunder 1%", "Black bear\nunder 1%"]
    page.get_by_role("button", name="Why?").click()
    sides = page.locator("#page .glow").evaluate("i => i.decode().then(() => [i.naturalWidth, i.naturalHeight])")
    assert sides == list(open_photo(TEDDY).size)
    page.get_by_label("Example: No bear").click()
    answered(page, "I don't see a bear")
    assert asked and all(url.startswith((host.url, "blob:")) for url in asked)
    host.start()


@pytest.mark.slow
def test_a_first_visit_loads_the_large_files_once_and_a_second_one_nothing(host, open_page):
    page = open_page(host)
    kept(page)
    large = [f"/{file.name}" for file in host.folder.glob("*.bin")]
    assert len(large) == 2 and [host.asked.count(path) for path in large] == [1, 1]
    assert page.evaluate("caches.keys().then(names => names.length)") == 2  # the files, and the state
    host.asked.clear()
    page.reload()
    kept(page)
    assert set(host.asked) <= {"/sw.js"}  # the check for a new version


@pytest.fixture(scope="module")
def beside(offline, tmp_path_factory):
    """Start the app next to an offline version whose folder also has a file of the user's own."""
    folder = tmp_path_factory.mktemp("beside")
    for name in ("bears", "examples", "export.pkl", "export.json"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "app.py", folder)
    shutil.copytree(offline[0], folder / "site")
    (folder / "site" / "mine.txt").touch()
    server = Server(folder / "log", app=folder / "app.py")
    yield server
    server.close()


@pytest.mark.slow
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_a_visitor_gets_an_answer_when_the_server_is_gone_or_slow(beside, browser, screen):
    with browser.new_context(**screen) as context:  # no `open_page`, since a lost server is an error in the console
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(beside.url)
        page.locator("[data-first]").wait_for()
        context.set_offline(True)
        page.set_input_files(FILE, TEDDY)
        page.get_by_text("You are offline.").wait_for()  # nothing is saved yet
        page.get_by_role("link", name="Save for offline").wait_for(state="hidden")
        context.set_offline(False)
        answered(page, "Teddy bear, 96% sure")  # the page has tried again
        assert page.get_by_role("link", name=re.compile(r"^Save for offline \(1\d MB\)$")).is_visible()
        page.route("**/call/predict/*", lambda route: None)  # the answer never comes
        page.set_input_files(FILE, TEDDY)
        button = page.get_by_role("button", name=re.compile(r"^Answer on this device \(1\d MB\)$"))
        button.wait_for()
        assert not serious_findings(page)
        nearly = "b => b.closest('[data-state]').toggleAttribute('data-nearly', true) && b.checkVisibility()"
        assert not button.evaluate(nearly)
        page.locator("[data-state]:not([data-nearly]) .here").wait_for()  # the page finds out each second
        button.click()
        answered(page, "Teddy bear, 96% sure")
        assert page.inner_text(".note") == "Answered on this device." and button.is_hidden()
        page.get_by_role("link", name="✓ Saved for offline").wait_for()
        page.unroute("**/call/predict/*")
        page.reload()
        page.get_by_role("link", name="✓ Saved for offline").wait_for()
        page.set_input_files(FILE, TEDDY)
        answered(page, "Teddy bear, 96% sure")
        context.set_offline(True)
        page.set_input_files(FILE, BLACK)
        answered(page, "A bear: black or grizzly, probably black")
        assert page.inner_text(".note") == "Answered on this device." and not serious_findings(page)
        page.get_by_role("button", name="Why?").click()
        assert page.locator("#page .glow").evaluate("image => image.decode().then(() => image.naturalWidth)")
        page.get_by_label("Example: Grizzly bear", exact=True).click()
        answered(page, "Grizzly bear, 96% sure")
        context.set_offline(False)
        page.route("**/call/predict/*", lambda route: None)  # the answer never comes
        page.set_input_files(FILE, TEDDY)
        answered(page, "Teddy bear, 96% sure")
        assert page.inner_text(".note") == "Answered on this device."
        context.set_offline(True)
        page.goto(f"{beside.url}/?from=bookmark")
        assert page.url == f"{beside.url}/offline/"
        page.set_input_files(FILE, TEDDY)
        answered(page, "Teddy bear, 96% sure")
        assert not errors


@pytest.mark.slow
def test_who_is_on_the_page_of_the_app_can_take_it_along(beside, open_page):
    page = open_page(beside)
    top = page.get_by_role("link", name="Save for offline")
    assert top.bounding_box()["y"] < page.locator(".frame").first.bounding_box()["y"]
    link = page.get_by_role("link", name="the offline version", exact=True)
    assert link.evaluate("a => a.href") == top.evaluate("a => a.href") == f"{beside.url}/offline/"
    with page.expect_popup() as popup:
        link.click()
    page.close()
    kept(popup.value)
    for name, there in (("mine.txt", False), ("..%2fapp.py", False), ("offline/worker.js", True)):
        answer = popup.value.request.get(f"{beside.url}/offline/{name}")
        assert answer.ok == there
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["content-type"].startswith("text/javascript")
    beside.close()
    popup.value.reload()
    popup.value.set_input_files(FILE, TEDDY)
    answered(popup.value, "Teddy bear, 96% sure")
    check = popup.value.locator(".check")
    assert check.inner_text().startswith("Compare\nCheck: A teddy bear has") and check.locator("img").is_visible()


@pytest.mark.slow
def test_a_page_of_another_model_or_half_a_page_is_neither_linked_nor_sent(offline, tmp_path, monkeypatch):
    def finds(export, folder):
        monkeypatch.setattr(deploy, "find_site", partial(find_site, folder=folder))
        sent = deploy.files_to_send("me/bears", export)
        return {name for name in sent if name.startswith("site/")}

    site, another = tmp_path / "site", tmp_path / "export.pkl"
    assert {"site/index.html", "site/model.json", "site/sw.js"} < finds(ROOT / "export.pkl", offline[0])
    shutil.copy(ROOT / "export.json", tmp_path)
    another.write_bytes(b"another model")
    assert not finds(another, offline[0]) and not finds(ROOT / "export.pkl", tmp_path)
    shutil.copytree(offline[0], site)
    (site / "page.js").write_text("half a page")
    assert not finds(ROOT / "export.pkl", site)


@pytest.mark.slow
def test_the_camera_is_watched_without_a_network(host, open_page):
    page = open_page(host, permissions=["camera"])
    kept(page)
    host.stop()
    page.reload()
    page.get_by_role("tab", name="Camera").click()
    assert page.locator("#camera .classes :checked").evaluate_all("all => all.map(e => e.value)") == [
        "black",
        "grizzly",
    ]
    assert page.locator("#camera .classes label").all_inner_texts() == ["Black bear", "Grizzly bear", "Teddy bear"]
    assert "never leave this device" in page.locator("#camera .promise").inner_text()
    assert not serious_findings(page)
    page.get_by_role("button", name="Start watching").click()
    page.locator("#camera .now").get_by_text("No bear here").wait_for()  # the browser's fake camera shows none
    page.get_by_role("button", name="Stop watching").click()
    page.get_by_role("tab", name="Camera").press("ArrowLeft")
    assert page.evaluate("document.activeElement.innerText") == "Photo"
    assert page.get_by_role("button", name="Choose a photo").is_visible()
    host.start()


@pytest.fixture
def nginx(offline, tmp_path):
    """Serve the offline version with Debian's nginx and its own list of types; yield the address."""
    port, config = free_port(), tmp_path / "nginx.conf"
    temporary = "".join(f"{kind}_temp_path temp; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config.write_text(
        f"daemon off; master_process off; pid pid; events {{}} http {{ include /etc/nginx/mime.types; {temporary}"
        f"access_log off; server {{ listen 127.0.0.1:{port}; root {offline[0]}; }} }}"
    )
    with subprocess.Popen([NGINX, "-p", tmp_path, "-c", config, "-e", "stderr"]) as process:
        url = f"http://127.0.0.1:{port}/"
        assert get(url).ok
        yield SimpleNamespace(url=url)
        process.terminate()


@pytest.mark.slow
@needs("nginx")
def test_stock_nginx_is_a_host_that_does(nginx, open_page):
    page = open_page(nginx)
    page.get_by_label("Example: Teddy bear").click()
    answered(page, "Teddy bear, 96% sure")
    kept(page)


@pytest.mark.slow
def test_opened_from_a_folder_it_says_what_to_do(offline, browser):
    with browser.new_context(**PHONE) as context:
        page = context.new_page()
        page.goto((offline[0] / "index.html").as_uri())
        page.get_by_text("Put the folder on a web host").wait_for()
        assert not page.get_by_role("tab").count() and not page.locator(".frame").first.is_visible()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["offline/worker.js", "page.js", "examples/teddy.jpg", "model-*.bin"])
def test_a_wrong_file_that_the_browser_may_keep_for_a_year_is_gone_with_the_next_reload(host, browser, name):
    [file] = host.folder.glob(name)
    right = gzip.decompress(file.read_bytes()) if name.endswith(".bin") else b""
    host.wrong[f"/{file.relative_to(host.folder)}"] = gzip.compress(right[:1000]) if right else b"{"
    with browser.new_context(**DESKTOP) as context:
        page = context.new_page()
        page.goto(host.url)
        page.get_by_text(re.compile("[Rr]eload|Works offline now")).wait_for()
        assert not host.wrong
        page.reload()
        kept(page)
        page.set_input_files(FILE, TEDDY)
        answered(page, "Teddy bear, 96% sure")


@pytest.mark.slow
def test_who_waits_for_the_model_reads_how_much_of_it_is_here(offline, open_page):
    host = Host(offline[0], rate=1e6)
    page = open_page(host, permissions=["camera"])
    page.set_input_files(FILE, TEDDY)
    page.locator(".verdict").get_by_text(re.compile(r"^Loading the model: \d+ of 12 MB$")).wait_for()
    page.locator("#here").get_by_text("Loading the model").wait_for()
    assert all(0 < bar.evaluate("bar => bar.value") < 1 for bar in page.get_by_role("progressbar").all())
    assert not serious_findings(page)
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start watching").click()
    page.locator("#camera .now").get_by_text("Loading the model").wait_for()
    page.get_by_role("button", name="Stop watching").click()
    page.get_by_role("tab", name="Photo").click()
    answered(page, "Teddy bear, 96% sure")
    kept(page)
    host.stop()


@pytest.mark.slow
def test_a_browser_can_install_it(steady_host, open_page):
    page = open_page(steady_host)
    protocol = page.context.new_cdp_session(page)
    manifest = protocol.send("Page.getAppManifest")
    assert not manifest["errors"] and manifest["url"].endswith("manifest.webmanifest")
    errors = protocol.send("Page.getInstallabilityErrors")["installabilityErrors"]
    assert {error["errorId"] for error in errors} <= {"in-incognito"}  # tests always use private windows
    told = json.loads(manifest["data"])
    assert told["name"] == "Black, grizzly or teddy bear?" and told["short_name"] == "Bear"
    for icon in told["icons"]:
        response = page.request.get(steady_host.url + icon["src"])
        assert "x".join(map(str, Image.open(io.BytesIO(response.body())).size)) == icon["sizes"]
    assert page.locator(".hint").is_hidden()
    page.evaluate("dispatchEvent(Object.assign(new Event('beforeinstallprompt'), {prompt() { window.asked = true }}))")
    page.get_by_role("button", name="Install").click()
    assert page.evaluate("window.asked") and not page.get_by_role("button", name="Install").is_visible()


@pytest.mark.slow
def test_an_iphone_is_told_how_to_install_it(steady_host, open_page):
    page = open_page(steady_host, PHONE, init="navigator.standalone = false")  # as Safari on iPhones has it
    kept(page)
    page.get_by_text("To install, tap Share in the browser, then Add to Home Screen.").wait_for()
    assert page.locator("#here").bounding_box()["y"] < page.get_by_role("tablist").bounding_box()["y"]
    assert not serious_findings(page)


def change(folder):
    """Write a new version of the page, with another heading."""
    files = files_of(folder)
    del files["sw.js"]
    files["index.html"] = files["index.html"].replace(b"<h1>", b"<h1>New: ")
    return {**files, "sw.js": service_worker(files)}


VERSIONS = "caches.keys().then(names => names.filter(name => !name.endsWith(' state')).length)"
# Check for a new version, wait until its installation ends or fails, and return whether it waits to be used.
WAITS = """async () => {
    const registration = await navigator.serviceWorker.getRegistration()
    await registration.update().catch(() => 0)
    const worker = registration.installing
    if (worker) await new Promise(done => worker.addEventListener("statechange", done, {once: true}))
    return !!registration.waiting
}"""


@pytest.mark.slow
def test_a_new_version_comes_with_the_next_start_and_not_before(host, open_page):
    page = open_page(host)
    kept(page)
    files = change(host.folder)
    write(files, host.folder)
    page.get_by_label("Example: Teddy bear").click()
    answered(page, "Teddy bear, 96% sure")
    assert page.evaluate(WAITS)
    assert page.get_by_role("heading", name="New:").count() == 0
    page.reload()
    page.get_by_role("heading", name="New: Black, grizzly or teddy bear?").wait_for()
    kept(page)
    assert page.evaluate(VERSIONS) == 1
    host.stop()
    page.reload()
    page.get_by_role("heading", name="New: Black, grizzly or teddy bear?").wait_for()
    host.start()


@pytest.mark.slow
def test_a_new_version_waits_until_no_tab_has_the_one_before(host, open_page):
    page = open_page(host)
    kept(page)
    other = page.context.new_page()
    other.goto(host.url)
    write(change(host.folder), host.folder)
    assert page.evaluate(WAITS)
    page.reload()
    kept(page)
    assert page.get_by_role("heading", name="New:").count() == 0
    assert page.evaluate(VERSIONS) == 2
    other.close()
    page.reload()
    page.get_by_role("heading", name="New: Black, grizzly or teddy bear?").wait_for()
    assert page.evaluate(VERSIONS) == 1


@pytest.mark.slow
def test_half_of_a_new_version_is_none(host, open_page):
    page = open_page(host)
    kept(page)
    files = change(host.folder)
    (host.folder / "sw.js").write_bytes(files["sw.js"])  # all other files are still the old ones
    assert not page.evaluate(WAITS)
    assert page.evaluate(VERSIONS) == 1
    host.stop()
    page.reload()
    page.get_by_label("Example: Teddy bear").click()
    answered(page, "Teddy bear, 96% sure")
    assert page.evaluate(VERSIONS) == 1
    host.start()


def heic(file):
    pillow_heif.from_pillow(open_photo(TEDDY)).save(file)


BAD = {
    "photo.jpg": (lambda file: file.write_bytes(b"not a photo"), "not a photo that can be opened here"),
    "half.jpg": (lambda file: file.write_bytes(TEDDY.read_bytes()[:2000]), "damaged or incomplete"),
    "IMG_1.HEIC": (heic, "can't open HEIC"),
    "huge.png": (lambda file: Image.new("1", (10_000, 6_000)).save(file), "more than 50 megapixels"),
    "thin.png": (lambda file: Image.new("RGB", (2_100, 100)).save(file), "too long and thin"),
}


@pytest.mark.slow
def test_each_bad_file_is_a_sentence_and_the_next_photo_is_answered(steady_host, open_page, tmp_path):
    page = open_page(steady_host, PHONE)
    for name, (create, sentence) in BAD.items():
        create(tmp_path / name)
        page.set_input_files(FILE, tmp_path / name)
        page.locator(".verdict[role=status]").get_by_text(sentence).wait_for()
    page.set_input_files(FILE, TEDDY)
    answered(page, "Teddy bear, 96% sure")


@pytest.mark.slow
def test_a_photo_may_be_as_large_as_the_apps(steady_host, open_page, tmp_path):
    page = open_page(steady_host)
    open_photo(TEDDY).resize((8000, 8000)).save(tmp_path / "large.jpg")
    page.set_input_files(FILE, tmp_path / "large.jpg")
    answered(page, "Teddy bear, ")
    data = (tmp_path / "large.jpg").read_bytes()
    size = (8000).to_bytes(2, "big")
    (tmp_path / "huge.jpg").write_bytes(data.replace(size * 2, (15_000).to_bytes(2, "big") * 2, 1))
    page.set_input_files(FILE, tmp_path / "huge.jpg")
    sentence = f"more than {MAX_MEGAPIXELS_JPEG} megapixels"
    page.locator(".verdict[role=status]").get_by_text(sentence).wait_for()


@pytest.mark.slow
def test_photos_that_lie_on_their_side_or_have_holes_are_seen_as_the_app_sees_them(steady_host, open_page, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it to the right
    teddy = open_photo(TEDDY)
    teddy.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    large = teddy.resize((1600, 1600 * teddy.height // teddy.width))
    large.save(tmp_path / "large.png")
    large.save(tmp_path / "large.jpg", quality=95)
    teddy.putalpha(Image.new("L", teddy.size, 120))
    teddy.save(tmp_path / "clear.png")
    page, model = open_page(steady_host), Classifier(ROOT / "export.pkl", detect=False)
    for name in ("turned.jpg", "large.png", "large.jpg", "clear.png"):
        page.context.route(f"**/{name}", lambda route, _, name=name: route.fulfill(path=tmp_path / name))
        answer = page.evaluate(LOOK, name)
        [(probs, certainty, *_)] = model.ask([open_photo(tmp_path / name)])
        assert answer["probs"] == pytest.approx(list(probs.values()), abs=0.01) and answer["certainty"] == certainty


@pytest.mark.slow
def test_frames_of_a_canvas_are_answered_one_after_another(steady_host, open_page):
    page = open_page(steady_host)
    answers = page.evaluate(
        """async url => {
            const {ask} = await import(new URL("offline/model.js", document.baseURI))
            const teddy = await createImageBitmap(await (await fetch(url)).blob())
            const canvas = Object.assign(document.createElement("canvas"), {width: 320, height: 240})
            canvas.getContext("2d").fillRect(0, 0, 320, 240)
            return ask([teddy, canvas])
        }""",
        "examples/teddy.jpg",
    )
    assert [answer["certainty"] for answer in answers] == ["sure", "none"]
    assert answers[0]["probs"][2] > 0.99 and all(len(answer["probs"]) == 3 for answer in answers)


@pytest.mark.slow
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(steady_host, open_page, screen):
    page = open_page(steady_host, screen)
    assert not serious_findings(page)
    page.set_input_files(FILE, TEDDY)
    answered(page, "Teddy bear, 96% sure")
    assert not serious_findings(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    text = page.locator("#about").inner_text()
    assert "857 photos" in text and "Your photos never leave this device" in text and "API" not in text


@pytest.mark.slow
def test_a_hundred_photos_get_the_answers_of_the_app(photos, steady_host, playwright):
    files = sorted(photos.rglob("*.jpg"))[::20] + sorted((photos.parent / "camp").rglob("*.jpg"))[::6]
    model, differ, apart = Classifier(ROOT / "export.pkl", detect=False), [], []
    with open_browser(playwright, "--js-flags=") as browser:  # optimizes WebAssembly
        page = browser.new_page()
        page.goto(steady_host.url)
        page.context.route("**/asked/*", lambda route: route.fulfill(path=files[int(route.request.url.split("/")[-1])]))
        for i, file in enumerate(files):
            [(probs, certainty, *_)] = model.ask([open_photo(file)])
            answer, probs = page.evaluate(LOOK, f"asked/{i}"), np.array(list(probs.values()))
            apart.append(np.abs(probs - answer["probs"]).max())
            alike = certainty == NONE or probs.argmax() == np.argmax(answer["probs"])
            differ += [file] if not alike or answer["certainty"] != certainty else []
    assert len(files) >= 100 and len(differ) <= len(files) // 100 and max(apart) < 0.05


@pytest.mark.slow
def test_another_subject_has_its_own_words(shapes_model, runtime, open_page, tmp_path):
    files = build(shapes_model, False, [], lambda words: None)
    assert b"bear" not in files["index.html"].lower() + files["manifest.webmanifest"].lower() + files["model.json"]
    check_folder(tmp_path / "site")
    write(files, tmp_path / "site")
    host = Host(tmp_path / "site")
    page = open_page(host)
    page.get_by_role("heading", name="Disc or square shape?").wait_for()
    page.get_by_label("Example: Square shape").click()
    answered(page, "Square shape, ")
    page.set_input_files(FILE, TEDDY)
    answered(page, "I don't see a shape")
    host.stop()


@pytest.fixture
def noise(tmp_path):
    """Write photos of noise, a wide one and a high one."""
    rng, files = np.random.default_rng(0), []
    for i, size in enumerate([(200, 140), (140, 300), (96, 96)]):
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(rng.integers(0, 255, (*size[::-1], 3), np.uint8)).save(files[-1])
    return files


def family_export(arch, shapes, file, whole):
    """Export an untrained network, with or without the data for "none of the classes"."""
    tfms = {"item_tfms": Resize(64), "batch_tfms": Normalize.from_stats(*imagenet_stats)}
    dls = ImageDataLoaders.from_folder(shapes, valid_pct=0.5, seed=1, bs=4, num_workers=0, **tfms)
    learn = vision_learner(dls, arch, pretrained=False, **(LINEAR_HEAD if whole else {}))
    if whole:
        features = torch.rand(30, learn.model[1][-1].in_features)
        gallery = torch.nn.functional.normalize(features).half()
        learn.ood = {"gallery": gallery, "share_power": 1, "threshold": 0.1, "sure": 1.0}  # always makes a second pass
    export(learn, file)


@pytest.mark.parametrize("arch, whole", [("resnet10t", False), ("mobilenetv3_small_050", True)])
def test_each_family_says_what_torch_says(arch, whole, shapes, noise, no_workers, tmp_path):
    family_export(arch, shapes, tmp_path / "export.pkl", whole)
    learn = open_export(tmp_path / "export.pkl")
    shape = find_shape(learn)
    graph, names = export_graph(learn, shape)
    graph_squares = GraphSquares(graph, names, shape, getattr(learn, "ood", None))
    assert shape["whole"] == whole
    assert check(Classifier(tmp_path / "export.pkl"), graph_squares, noise) == (9, pytest.approx(0, abs=1e-4))


def test_other_families_are_refused(shapes, no_workers, tmp_path):
    family_export("test_vit", shapes, tmp_path / "export.pkl", False)
    with pytest.raises(OfflineError, match=r"supports the backbones .*, not test_vit"):
        find_shape(open_export(tmp_path / "export.pkl"))


def test_a_layer_that_cannot_be_converted_is_one_sentence(shapes, no_workers, tmp_path):
    family_export("resnet50_gn", shapes, tmp_path / "export.pkl", False)
    learn = open_export(tmp_path / "export.pkl")
    with pytest.raises(OfflineError, match=r"can't convert .*, a part of resnet50_gn\. Train again"):
        export_graph(learn, find_shape(learn))


def files_of(folder):
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.mark.slow
def test_a_graph_that_says_something_else_makes_no_page(offline):
    class Wrong(GraphSquares):
        def outputs(self, picture):
            found = super().outputs(picture)
            return {**found, "probs": np.roll(found["probs"], 1)}

    learn = open_export(ROOT / "export.pkl")
    graph_squares = Wrong(*unpack(files_of(offline[0])), find_shape(learn), learn.ood)
    with pytest.raises(OfflineError, match="nothing was written"):
        check(Classifier(ROOT / "export.pkl", detect=False), graph_squares, [TEDDY])


@pytest.mark.slow
def test_the_dry_run_of_a_static_space_lists_what_it_sends(offline, monkeypatch, capsys):
    files = files_of(offline[0])
    monkeypatch.setattr(site_module, "build", lambda *args: files)
    deploy.main(["me/bears", "--static", "--dry-run"])
    listed = {line.split()[1]: line.split()[0] for line in capsys.readouterr().out.splitlines()[:-1]}
    assert {*files, "README.md"} == listed.keys() and listed["index.html"] == f"{len(files['index.html']):,}"
    card = deploy.static_files("me/bears", ROOT / "export.pkl", False)["README.md"].decode()
    assert "sdk: static" in card and "app_file: index.html" in card and "python_version" not in card
    assert "Your photos never leave this device" in card and "General Public License" in card


def test_a_folder_with_something_else_in_it_is_left_alone_and_an_earlier_page_is_replaced(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(OfflineError, match="Choose an empty folder with --out"):
        check_folder(tmp_path)
    site = tmp_path / "site"
    check_folder(site)
    for name in ("a.js", "b/c.js"):
        files = {name: b"x"}
        write({**files, "sw.js": service_worker(files)}, site)
        (site / "mine.txt").touch()
        check_folder(site)
    assert {f.relative_to(site).as_posix() for f in site.rglob("*") if f.is_file()} == {"b/c.js", "sw.js", "mine.txt"}


def test_nothing_outside_of_the_folder_is_changed_whatever_is_in_it(tmp_path):
    site, outside = tmp_path / "site", tmp_path / "outside"
    outside.mkdir()
    (outside / "a.js").write_bytes(b"x")
    for name in ("link/a.js", "../outside/a.js", str(outside / "a.js"), "%2e%2e/outside/a.js"):
        site.mkdir()
        (site / "link").symlink_to(outside)
        (site / "sw.js").write_bytes(service_worker({name: b"x"}).replace(b"%252e", b"%2e"))
        with pytest.raises(OfflineError, match=r"Choose an empty folder|Choose a new folder"):
            check_folder(site)
        write({"sw.js": b""}, site)
        with pytest.raises(OfflineError, match=r"Choose an empty folder|Choose a new folder"):
            write({"link/b.js": b""}, site)
        shutil.rmtree(site)
    assert files_of(outside) == {"a.js": b"x"}


def test_a_file_of_an_earlier_page_that_somebody_has_changed_stays(tmp_path):
    files = {"a.js": b"x", "b.js": b"x"}
    write({**files, "sw.js": service_worker(files)}, tmp_path)
    (tmp_path / "a.js").write_bytes(b"mine")
    write({"sw.js": b""}, tmp_path)
    assert files_of(tmp_path) == {"a.js": b"mine", "sw.js": b""}


@pytest.mark.slow
def test_classes_whose_names_mean_something_in_an_address_are_kept(shapes, no_workers, runtime, open_page, tmp_path):
    names = ["50% #1?", "ü&'+ (2)"]
    for source, name in zip(sorted(shapes.iterdir()), names):
        shutil.copytree(source, tmp_path / "photos" / name)
    family_export("resnet10t", tmp_path / "photos", tmp_path / "export.pkl", False)
    (tmp_path / "export.json").write_text(json.dumps({"classes": names}))
    (tmp_path / "examples").mkdir()
    for name in names:
        shutil.copy(tmp_path / "photos" / name / "00.jpg", tmp_path / "examples" / f"{name}.jpg")
    files = build(tmp_path / "export.pkl", False, [], lambda words: None)
    for _ in range(2):
        check_folder(tmp_path / "site")
        write(files, tmp_path / "site")
    host = Host(tmp_path / "site")
    page = open_page(host)
    kept(page)
    host.stop()
    page.reload()
    for name in names:
        page.get_by_label(f"Example: {name[:1].upper()}{name[1:]}").click()
        page.locator('[data-state="answered"]:not([data-first])').wait_for()


def test_the_runtime_comes_from_a_mirror_once_and_only_as_it_should_be(monkeypatch, web_server, tmp_path):
    data = b"the runtime"
    digest = runtime_module.hashlib.sha256(data).hexdigest()
    monkeypatch.setattr(runtime_module, "FILES", {"a.mjs": digest})
    monkeypatch.setattr(runtime_module, "folder", lambda: tmp_path / "kept")
    monkeypatch.setenv("BEARS_CDN", web_server.url("/npm"))
    path = f"/npm/onnxruntime-web@{runtime_module.VERSION}/dist/a.mjs"
    web_server.pages[path] = b"something else"
    with pytest.raises(OfflineError, match=r"checksum of .* is wrong"):
        runtime_module.fetch_runtime()
    web_server.pages[path] = data
    assert runtime_module.fetch_runtime() == runtime_module.fetch_runtime() == {"a.mjs": data}
    assert web_server.asked == [path] * 2
    monkeypatch.setattr(runtime_module, "folder", lambda: tmp_path / "new")
    del web_server.pages[path]
    with pytest.raises(OfflineError, match=r"download .* save that file in"):
        runtime_module.fetch_runtime()
