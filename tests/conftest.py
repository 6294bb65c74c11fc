import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from functools import partial

os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # torch's waiting threads use no CPU, which servers and browsers need

import numpy as np
import pytest
from bears.errors import OfflineError
from filelock import FileLock
from helpers import CAMERA, CHROMIUM, GPS, NEEDS, PHOTOS, ROOT, Server, open_browser
from hub import running_hub
from PIL import Image, ImageDraw
from webserver import WebServer


def pytest_report_header():
    missing = [f"  {name}: {remedy}" for name, (there, remedy) in NEEDS.items() if not there]
    return ["Skipped here will be the tests that need", *missing] if missing else []


def pytest_addoption(parser):
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test fails the run, as .ci/run wants it")


def pytest_sessionstart():
    # Until here, Ctrl-C ended the program at once, or was ignored, as in a background job. Tests send it to programs.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")  # None in pytest-xdist's workers
    if session.config.getoption("--fail-on-skip") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


# Files that take minutes, the longest first. They run first, or one worker would wait for the other at the end.
LONG = ("offline", "browser", "train", "watch", "security", "watch_page", "trust", "distributed", "space", "clean")
LONG = [
    f"test_{name}" for name in (*LONG, "processes", "compare_models", "predict", "any_classes", "launcher", "proxy")
]


def pytest_collection_modifyitems(items):
    """Run the files in `LONG` first, then the others, beginning with those that have the most tests."""
    tests, place = Counter(item.path for item in items), {name: i for i, name in enumerate(LONG)}
    items.sort(key=lambda item: (place.get(item.path.stem, len(LONG)), -tests[item.path]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Fail a test that is not marked as slow but starts a program, itself or through its fixtures."""

    def refuse(command, *args, **kwargs):
        pytest.fail(f"starts {command}: mark the test with @pytest.mark.slow")

    with pytest.MonkeyPatch.context() as patch:
        if not item.get_closest_marker("slow"):
            patch.setattr(subprocess, "Popen", refuse)
        return (yield)


@pytest.fixture(scope="session")
def photos():
    """Return the folder of the shipped model's photos, which are not part of the repository."""
    if not PHOTOS.is_dir():
        pytest.skip("needs the real photos in ../shared/photos")
    return PHOTOS


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    """Draw a data set: 16 photos each of discs and squares, on noise."""
    folder, rng = tmp_path_factory.mktemp("shapes"), np.random.default_rng(0)
    for label, draw in (("disc", ImageDraw.ImageDraw.ellipse), ("square", ImageDraw.ImageDraw.rectangle)):
        (folder / label).mkdir()
        for i in range(16):
            im = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((96, 96))
            x, y, size = rng.integers(5, 40), rng.integers(5, 40), rng.integers(35, 50)
            draw(ImageDraw.Draw(im), [x, y, x + size, y + size], fill=tuple(rng.integers(0, 255, 3).tolist()))
            im.save(folder / label / f"{i:02}.jpg")
    return folder


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Return a function that fills a folder once. The first worker fills it, and the other workers wait and use it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name, fill):
        folder = base / name
        with FileLock(base / f"{name}.lock"):
            if not (folder / "filled").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                (folder / "filled").touch()
        return folder

    return once


@pytest.fixture(scope="session")
def shapes_model(shapes, once):
    """Train on `shapes` as a user does, with GPS data in every photo, and return the export."""
    return once("shapes_model", partial(train_shapes, shapes)) / "model" / "export.pkl"


def train_shapes(shapes, folder):
    exif = Image.Exif()
    exif[GPS] = {1: "N", 2: (46.0, 30.0, 0.0)}
    for file in shapes.glob("*/*.jpg"):
        photo = folder / "photos" / file.relative_to(shapes)
        photo.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as im:
            im.save(photo, exif=exif, comment="at home")
    command = [sys.executable, ROOT / "train.py", "--data", folder / "photos", "--out", folder / "model"]
    result = subprocess.run([*command, "--subject", "shape"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="session")
def runtime(once):
    """Return ONNX Runtime Web's files. Download them with npm if it is installed, or else as the command does."""
    from bears.offline.runtime import fetch_runtime  # here since hosts don't install its packages

    once("runtime", keep_runtime)
    try:
        return fetch_runtime()
    except OfflineError as e:
        pytest.skip(f"needs ONNX Runtime Web: {e}")


def keep_runtime(to):
    from bears.offline.runtime import FILES, VERSION, folder, kept

    names = [name for name, digest in FILES.items() if not kept(folder() / name, digest)]
    if names and (npm := shutil.which("npm")):
        subprocess.run([npm, "pack", "--silent", f"onnxruntime-web@{VERSION}"], cwd=to, capture_output=True)
        for file in to.glob("*.tgz"):
            folder().mkdir(parents=True, exist_ok=True)
            with tarfile.open(file) as tar:
                for name in names:
                    (folder() / name).write_bytes(tar.extractfile(f"package/dist/{name}").read())


@pytest.fixture(scope="session")
def offline(runtime, once):
    """Run `python3 -m bears offline` for the shipped model; return the folder and the output."""
    folder = once("offline", make_offline)
    return folder / "site", (folder / "said").read_text()


def make_offline(folder):
    command = [sys.executable, "-m", "bears.offline", "--out", folder / "site"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (folder / "said").write_text(result.stdout)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server") / "log")
    yield server
    server.close()


@pytest.fixture(scope="session")
def no_workers():
    """Let fastai load photos in this process, since starting other processes takes longer for a few small photos."""
    from fastai.torch_core import defaults  # here since tests of the web need no torch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(defaults, "cpus", 0)
        yield


@pytest.fixture
def no_pictures(monkeypatch):
    """Replace the report's plots, which take longer than a tiny training. Other tests check the plots."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *args, **kwargs: None)


@pytest.fixture
def web_server():
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def hub(monkeypatch):
    """Start a server that behaves like the Hub, and let this process use it. Other processes need HF_ENDPOINT."""
    with running_hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        yield hub


@pytest.fixture(scope="session")
def playwright():
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM:
        pytest.skip("needs a chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright):
    with open_browser(playwright, *CAMERA) as browser:
        yield browser
