"""The main path once more, in Firefox; all else is tried in Chromium."""

import socket
import subprocess
import time

import pytest
from helpers import FIREFOX, ROOT, free_port, needs

pytestmark = [
    needs("firefox"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Mozilla's packages, at import
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
]
# Its camera is a drawing that moves.
PREFERENCES = """user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("marionette.port", %d);
"""


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    """A `Marionette`: what Mozilla drives Firefox with."""
    from marionette_driver.marionette import Marionette

    profile, port = tmp_path_factory.mktemp("profile"), free_port()
    (profile / "user.js").write_text(PREFERENCES % port)
    command = [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", profile]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not listens(port):
            time.sleep(0.2)
        client = Marionette(host="127.0.0.1", port=port)
        client.start_session()
        yield client
        process.terminate()


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def find(firefox, selector, text=""):
    """The first element that a selector finds, once it is visible and has that text."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for element in firefox.find_elements("css selector", selector):
            if element.is_displayed() and text in element.text:
                return element
        time.sleep(0.2)
    raise AssertionError(f"{selector} with “{text}” never came: {firefox.page_source}")


def test_a_photo_an_example_and_another_photo(firefox, server):
    firefox.navigate(server.url)
    find(firefox, "#page .examples button")
    firefox.find_element("css selector", "#page input[type=file]").send_keys(str(ROOT / "examples" / "grizzly.jpg"))
    find(firefox, "#page .verdict", "Grizzly bear, 99% sure")
    find(firefox, "#page .probs li:first-child", "99%")
    find(firefox, "#page .another").click()
    find(firefox, "#page .examples button[aria-label='Example: Teddy bear']").click()
    find(firefox, "#page .verdict", "Teddy bear, 99% sure")


def test_camp_watch(firefox, server):
    firefox.navigate(server.url)
    find(firefox, "[role=tab]", "Camp watch").click()
    find(firefox, "#watch .start").click()
    find(firefox, "#watch .now", "No bear here")
    find(firefox, "#watch .stop").click()
    find(firefox, "#watch .start")
