"""Test the app on Binder: behind a real Jupyter server and its proxy, with a base URL like Binder's."""

import os
import re
import subprocess
import sys

import pytest
from helpers import ROOT, free_port, get, memory

BASE = "/user/some-name-1a2b3c/"
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def app_url(tmp_path_factory):
    """Start a Jupyter server configured by `.binder/postBuild`, and yield the app's address on it."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    env = {**os.environ, "HOME": str(home), "BINDER_LAUNCH_HOST": "https://mybinder.org/"}
    subprocess.run([ROOT / ".binder" / "postBuild"], cwd=ROOT, env=env, check=True)
    options = {"ServerApp.base_url": BASE, "ServerApp.port": port, "IdentityProvider.token": "secret"}
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (home / "log").open("w") as log:
        jupyter = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
    os.sched_setaffinity(jupyter.pid, {min(os.sched_getaffinity(0))})  # Binder gives it one core
    url = f"http://127.0.0.1:{port}{BASE}bears/"
    try:
        get(url)
        yield url
        # The sum of all peaks, which is more than they used at any one time.
        assert memory(jupyter.pid, "VmHWM") < 2e9, "Binder gives it 2 GB"
    finally:
        jupyter.terminate()  # Jupyter stops the app, too
        jupyter.wait(30)


@pytest.fixture(scope="module")
def page(app_url, browser):
    """Open the app as Binder's badge does, with a token in the address."""
    page, failed = browser.new_page(), []
    page.on("response", lambda r: failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.goto(f"{app_url}?token=secret")
    page.get_by_label("Example: Grizzly bear").wait_for(timeout=60_000)  # the page listens now
    yield page
    page.close()
    assert not [f for f in failed if not f.endswith("/manifest.json")]  # Gradio's manifest isn't there


@pytest.mark.slow
def test_the_page_knows_where_it_is(page):
    assert page.evaluate("window.gradio_config.root").endswith(f"{BASE}bears")


@pytest.mark.slow
def test_an_uploaded_photo_is_answered_with_its_heat_map(page):
    page.set_input_files("#page input[type=file]", EXAMPLES / "teddy.jpg")
    page.get_by_text("Teddy bear, 96% sure").wait_for(timeout=60_000)  # the model loads on one core
    page.get_by_role("button", name="Why?").click()
    heatmap = page.locator("#page .glow")
    heatmap.wait_for()
    assert f"{BASE}bears/gradio_api/file=" in heatmap.get_attribute("src")
    page.wait_for_function("document.querySelector('#page .glow').naturalWidth > 100")


@pytest.mark.slow
def test_an_example_is_answered(page):
    page.get_by_label("Example: Grizzly bear").click()
    page.get_by_text("Grizzly bear, 96% sure").wait_for(timeout=60_000)


def test_badge_opens_the_app_and_not_a_list_of_notebooks():
    badge = re.search(
        r"https://mybinder.org/v2/gh/\S+/HEAD\?urlpath=(\S+)\)", (ROOT / "README.md").read_text(encoding="utf-8")
    )
    assert badge[1] == "bears/"


def test_configuration_is_what_binder_reads():
    requirements = (ROOT / ".binder" / "requirements.txt").read_text()
    assert all(word in requirements for word in ("-r ../requirements.txt", "-r ../requirements-train.txt"))
    assert "jupyter-server-proxy" in requirements
    assert "download.pytorch.org/whl/cpu" in requirements
    assert os.access(ROOT / ".binder" / "postBuild", os.X_OK)
    assert re.fullmatch(r"python-3\.1\d", (ROOT / ".binder" / "runtime.txt").read_text().strip())
