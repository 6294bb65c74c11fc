"""Share helpers between test files. Fixtures are in conftest.py."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT.parent / "shared" / "photos"
# Debian's headless shell is Chromium without a browser's windows. A page takes half the processor time in it.
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium") or shutil.which("google-chrome")
FFMPEG = shutil.which("ffmpeg")
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
IS_ROOT = sys.platform != "win32" and os.geteuid() == 0
LIST = ["git", "-C", ROOT, "ls-files"]  # fails in a copy without git's history
TRACKED = subprocess.run(LIST, capture_output=True, text=True).stdout.splitlines() if shutil.which("git") else []
# Things that some tests need and some machines lack, and what to do about it.
NEEDS = {
    "a chromium, for the page as a visitor sees it": (CHROMIUM, "install the package chromium"),
    "firefox, for the page once more": (FIREFOX, "install the package firefox-esr"),
    "curl, for README's commands": (shutil.which("curl"), "install the package curl"),
    "ffmpeg, for what cameras in a network send": (FFMPEG, "install the package ffmpeg"),
    "nginx, as a host that most people have": (NGINX, "install the package nginx"),
    "git's list of files": (TRACKED, "install git, and clone the repository with it"),
    "root, who can become a user without permission": (IS_ROOT, "try them in a container"),
    "the real photos in ../shared/photos": (PHOTOS.is_dir(), "they are not part of the repository"),
}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # for chromium
GPS = 0x8825  # EXIF's tag for where a photo was taken
FILE_DATA = {"meta": {"_type": "gradio.FileData"}}


def needs(word):
    """Skip a test if the thing in `NEEDS` whose description starts with `word` is missing."""
    [(name, (there, _))] = [(name, need) for name, need in NEEDS.items() if name.startswith(word)]
    return pytest.mark.skipif(not there, reason=f"needs {name}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url):
    """Return the answer of a program on this machine, as soon as it listens."""
    for _ in range(600):
        try:
            return requests.get(url, timeout=120)
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(f"{url} never answered")


def children(pid):
    """Return the ids, as strings, of the processes that a process has started."""
    return " ".join(f.read_text() for f in Path(f"/proc/{pid}/task").glob("*/children")).split()


def own_memory(pid, field="VmRSS"):
    """Return the bytes that a process has in memory, or had at its peak (`VmHWM`)."""
    return int(re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def memory(pid, field="VmRSS"):
    """Return the bytes that a process and all its children have in memory, or had at their peaks (`VmHWM`)."""
    return own_memory(pid, field) + sum(memory(child, field) for child in children(pid))


class Server:
    """Run `python app.py` as a user does, on a free port of this machine."""

    def __init__(self, log, *args, app=ROOT / "app.py", env=(), seconds=60):
        self.log = log
        env = {**os.environ, "GRADIO_SERVER_PORT": str(free_port()), **dict(env)}
        command = [sys.executable, "-u", str(app), *args]
        with log.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
        self.url = self.wait_for(r"http://\S+:\d+", seconds)

    def wait_for(self, pattern, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if match := re.search(pattern, self.log.read_text()):
                return match[0]
            time.sleep(0.1)
        self.process.kill()  # or it would run for ever
        raise AssertionError(f"app.py never printed {pattern}:\n{self.log.read_text()}")

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Nginx:
    """Run Debian's nginx in front of a server, as in nginx's examples: without passing on clients' address and host."""

    # One process, since its child processes could not write into a folder of root.
    CONFIG = """daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
    events {{ worker_connections 2000; }}
    http {{
        access_log off; client_max_body_size 30m;
        client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
        uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
        {more} server {{ listen 127.0.0.1:{port}; location {path} {{ proxy_pass {url}/; {headers} }} }}
    }}"""

    def __init__(self, folder, url, path="/", headers="", more=""):
        port = free_port()
        config = self.CONFIG.format(folder=folder, port=port, path=path, url=url, headers=headers, more=more)
        (folder / "nginx.conf").write_text(config)
        self.process = subprocess.Popen([NGINX, "-p", folder, "-e", "error.log", "-c", "nginx.conf"])
        get(f"http://127.0.0.1:{port}")
        self.url = f"http://127.0.0.1:{port}{path.rstrip('/')}"

    def close(self):
        self.process.terminate()
        self.process.wait(20)


def wait_until(true, seconds=10):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


def in_front_end(browser, script, *args):
    """Run a script in a page that can import the modules of bears/web, and return its result."""
    page = browser.new_page()
    open_front_end(page)
    said = page.evaluate(script, *args)
    page.close()
    return said


def open_front_end(page, html=""):
    """Open a page with `html` that can import the modules of bears/web, such as `/alarm.js`, without a server."""

    def send(route):
        name = urlsplit(route.request.url).path[1:]
        if name:
            route.fulfill(path=ROOT / "bears" / "web" / name, content_type="text/javascript")
        else:
            route.fulfill(
                body=f"<!DOCTYPE html><link rel=icon href=data:,>{html}", content_type="text/html; charset=utf-8"
            )

    page.route("http://web.test/**", send)
    page.goto("http://web.test/")


class Host:
    """Serve static files on a host that can go down and come back at the same address.

    `asked` lists the requested paths. With a `rate`, each file is sent at so many bytes per second. `wrong` is a dict
    from path to bytes. These bytes are sent once instead of the file at this path, with the file's date, and may be
    cached for a year.
    """

    def __init__(self, folder, rate=None):
        self.folder, self.port, self.asked, self.rate, self.wrong = folder, 0, [], rate, {}
        self.start()

    def start(self):
        from bears.offline.serve import Quiet  # here since many tests don't need it

        class Noting(Quiet):
            def send_head(handler):
                self.asked.append(handler.path)
                handler.data = self.wrong.pop(handler.path, None)
                return super().send_head()

            def end_headers(handler):
                if handler.data is not None:
                    handler.send_header("Cache-Control", "max-age=31536000")
                super().end_headers()

            def send_header(handler, name, value):
                is_length = name == "Content-Length" and handler.data is not None
                super().send_header(name, str(len(handler.data)) if is_length else value)

            def copyfile(handler, source, target):
                source = source if handler.data is None else io.BytesIO(handler.data)
                while self.rate and (piece := source.read(2**14)):
                    target.write(piece)
                    time.sleep(len(piece) / self.rate)
                super().copyfile(source, target)

        handler = partial(Noting, directory=self.folder)
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port, self.server.daemon_threads = self.server.server_port, True
        self.url = f"http://127.0.0.1:{self.port}/"
        threading.Thread(target=self.server.serve_forever, args=[0.02], daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def send(server, data, name="photo.jpg"):
    return requests.post(f"{server.url}/gradio_api/upload", files={"files": (name, data)}, timeout=60)


def upload(server, data, name="photo.jpg"):
    [path] = send(server, data, name).json()
    return {"path": path, **FILE_DATA}


def ask_from(url, photo, client="127.0.0.1", session="", **headers):
    """Send a photo from one of this machine's addresses. Return the refusal, or "". Don't wait for the answer."""
    with contextlib.closing(HTTPConnection(urlsplit(url).netloc, source_address=(client, 0), timeout=30)) as http:
        body, headers = json.dumps({"data": [photo]}), {"Content-Type": "application/json", **headers}
        http.request("POST", f"{urlsplit(url).path}/gradio_api/call/predict?session={session}", body, headers)
        return json.loads(http.getresponse().read()).get("detail", "")


def call(server, photo):
    """Ask about a photo. Return the events that `/call` streams, as text, or the refusal."""
    url = f"{server.url}/gradio_api/call/predict"
    asked = requests.post(url, json={"data": [photo]}, timeout=30)
    return requests.get(f"{url}/{asked.json()['event_id']}", timeout=60).text if asked.ok else asked.text


def answer(server, data, name="photo.jpg"):
    """Return the label, probabilities and verdict for an uploaded photo, or the sentence that refuses it."""
    sent = send(server, data, name)
    if sent.status_code == 400:
        return sent.text
    text = call(server, {"path": sent.json()[0], **FILE_DATA})
    if text.startswith("{"):
        return json.loads(text)["detail"]
    event, data = re.search(r"event: (complete|error)\ndata: (.*)", text).groups()  # heartbeats may come first
    if event == "complete":
        label, headline, *_ = json.loads(data)
        return label, headline
    return json.loads(data)["error"]


def model_process(server):
    started = children(server.process.pid)
    [model] = [pid for pid in started if "bears.app.batching" in Path(f"/proc/{pid}/cmdline").read_text()]
    return int(model)


@contextlib.contextmanager
def stopped_model(server):
    """Stop the model's process during the `with` block. Continue the process afterwards if it still exists."""
    model = model_process(server)
    os.kill(model, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(model, signal.SIGCONT)


def facts_of(folder):
    """Return the export.json that train.py wrote into a folder."""
    return json.loads((folder / "export.json").read_text())


@contextlib.contextmanager
def chromium(*args):
    """Start Chromium without a window, and yield Playwright's `Browser`. `args` are more options of Chromium."""
    from playwright.sync_api import sync_playwright  # here since many tests don't need it

    with sync_playwright() as playwright, open_browser(playwright, *args) as browser:
        yield browser


def open_browser(playwright, *args):
    """Start Chromium with a Playwright that already runs, since a program can only have one Playwright."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    quick = "--js-flags=--liftoff-only"  # don't optimize WebAssembly, which takes longer than a few photos
    return playwright.chromium.launch(executable_path=CHROMIUM, args=[*options, quick, *args])


def clip(name, file, away=2):
    """Write a clip in MJPEG, 640 x 360 pixels, for Chromium's camera, which shows 30 frames a second.

    `name` is a photo in examples/. The photo slides across a still scene, stays for ten seconds, and comes again `away`
    seconds later. At first, half of the photo shows: from less of a grizzly, the model can't tell which bear it is.
    """
    import numpy as np  # here since many tests don't need these
    from PIL import Image

    grass = np.random.default_rng(0).uniform(80, 150, (18, 32, 1)) * (0.8, 1, 0.55)
    scene = Image.fromarray(grass.astype(np.uint8)).resize((640, 360), Image.Resampling.BICUBIC)
    with Image.open(ROOT / "examples" / f"{name}.jpg") as animal, file.open("wb") as out:
        animal.thumbnail((210, 210))
        for x, times in [(-210, 30 * away), *((x, 1) for x in range(-96, 250, 8)), (250, 300)]:
            frame, data = scene.copy(), io.BytesIO()
            frame.paste(animal, (x, 100))
            frame.save(data, "JPEG")
            out.write(data.getvalue() * times)
    return file


def serious_findings(page):
    """Return axe-core's serious findings in light and in dark mode, and leave the page in the mode it was in."""
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    first, other = ("dark", "light") if is_dark else ("light", "dark")
    found = findings(page)
    page.emulate_media(color_scheme=other)
    page.wait_for_timeout(200)  # Gradio changes its theme a moment later
    found += [f"{other} mode: {finding}" for finding in findings(page)]
    page.emulate_media(color_scheme=first)
    return found


def findings(page):
    """Return axe-core's serious findings after all animations have ended, since fading colours have less contrast."""
    from axe_playwright_python.sync_playwright import Axe  # here since many tests don't need it

    for _ in range(10):
        found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        if not found:
            break
        page.wait_for_timeout(500)
    return [f"{v['id']}: {v['help']}: {[node['html'] for node in v['nodes']]}" for v in found]
