import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")

import numpy as np
import pytest
from PIL import Image, ImageDraw
from webserver import WebServer

ROOT = Path(__file__).parent.parent
PHOTOS = ROOT.parent / "shared" / "photos"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
IS_ROOT = sys.platform != "win32" and os.geteuid() == 0
LIST = ["git", "-C", ROOT, "ls-files"]  # which fails in a copy without its history
TRACKED = subprocess.run(LIST, capture_output=True, text=True).stdout.splitlines() if shutil.which("git") else []
# What some tests need and not every machine has, and what to do about it.
NEEDS = {
    "a chromium, for the page as a visitor sees it": (CHROMIUM, "install the package chromium"),
    "curl, for README's commands": (shutil.which("curl"), "install the package curl"),
    "git's list of files": (TRACKED, "install git, and clone the repository with it"),
    "root, who can become a user without permission": (IS_ROOT, "try them in a container"),
    "the real photos in ../shared/photos": (PHOTOS.is_dir(), "they are not part of the repository"),
}


def needs(word):
    """Skip a test where what it needs is missing."""
    [(name, (there, _))] = [(name, need) for name, need in NEEDS.items() if name.startswith(word)]
    return pytest.mark.skipif(not there, reason=f"needs {name}")


def pytest_report_header():
    missing = [f"  {name}: {remedy}" for name, (there, remedy) in NEEDS.items() if not there]
    return ["Skipped here will be the tests that need", *missing] if missing else []


def pytest_addoption(parser):
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test fails the run, as .ci/run wants it")


def pytest_sessionstart():
    # Until here Ctrl-C ended all at once; or it was ignored, as in a job in the background. Tests send it to programs.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--fail-on-skip") and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def photos():
    """The real photos that the shipped model was trained on; they are not part of the repository."""
    if not PHOTOS.is_dir():
        pytest.skip("needs the real photos in ../shared/photos")
    return PHOTOS


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """A data set that this machine can draw: 16 photos each of discs and squares, on noise."""
    folder, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    for label, draw in (("disc", ImageDraw.ImageDraw.ellipse), ("square", ImageDraw.ImageDraw.rectangle)):
        (folder / label).mkdir()
        for i in range(16):
            im = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((96, 96))
            x, y, size = rng.integers(5, 40), rng.integers(5, 40), rng.integers(35, 50)
            draw(ImageDraw.Draw(im), [x, y, x + size, y + size], fill=tuple(rng.integers(0, 255, 3).tolist()))
            im.save(folder / label / f"{i:02}.jpg")
    return folder


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def memory(pid, field="VmRSS"):
    """Bytes that a process and all its children have in memory, or had at their peaks (`VmHWM`)."""
    process = Path(f"/proc/{pid}")
    own = int(re.search(rf"{field}:\s+(\d+)", (process / "status").read_text())[1]) * 1024
    children = " ".join(f.read_text() for f in process.glob("task/*/children")).split()
    return own + sum(memory(child, field) for child in children)


class Server:
    """`python app.py` as a user starts it, on a free port of this machine."""

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
        raise AssertionError(f"app.py never printed {pattern}:\n{self.log.read_text()}")

    def close(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "log")
    yield server
    server.close()


@pytest.fixture
def no_workers(monkeypatch):
    """fastai loads photos in this process: to start others takes longer than to load a few drawn photos."""
    from fastai.torch_core import defaults  # not above: tests of the web need no torch

    monkeypatch.setattr(defaults, "cpus", 0)


@pytest.fixture
def web_server():
    server = WebServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("needs a chromium on the PATH")
    args = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    args += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]  # a camera
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=args)
        yield browser
        browser.close()
