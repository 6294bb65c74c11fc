"""Test the main path in Firefox. All other tests use Chromium."""

import json
import socket
import subprocess
import time

import pytest
from helpers import FIREFOX, ROOT, Host, free_port, needs

pytestmark = [pytest.mark.slow, needs("firefox")]
# Firefox's fake camera shows a moving drawing.
PREFERENCES = """user_pref("media.navigator.streams.fake", true);
user_pref("media.navigator.permission.disabled", true);
user_pref("marionette.port", %d);
"""
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # https://www.w3.org/TR/webdriver2/#elements


class Marionette:
    """Control Firefox by WebDriver's commands over a socket. Mozilla's own client needs too many packages.

    See https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
    """

    def __init__(self, port):
        self.socket, self.number = socket.create_connection(("127.0.0.1", port), 60), 0
        self.read()  # Firefox's greeting
        self("NewSession")

    def __call__(self, command, **parameters):
        self.number += 1
        message = json.dumps([0, self.number, f"WebDriver:{command}", parameters])
        self.socket.sendall(f"{len(message)}:{message}".encode())
        _, _, error, result = self.read()
        assert error is None, error
        return result.get("value") if isinstance(result, dict) else result  # a list of elements has no "value"

    def read(self):
        length = b""
        while not length.endswith(b":"):
            length += self.socket.recv(1)
        message = b""
        while len(message) < int(length[:-1]):
            message += self.socket.recv(2**16)
        return json.loads(message)

    def all(self, selector):
        """Return the elements that a selector finds, as dicts for other commands."""
        return [{"id": found[ELEMENT]} for found in self("FindElements", using="css selector", value=selector)]

    def find(self, selector, text=""):
        """Wait for the first visible element that a selector finds with this text, and return it."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for found in self.all(selector):
                if self("IsElementDisplayed", **found) and text in self("GetElementText", **found):
                    return found
            time.sleep(0.2)
        raise AssertionError(f"{selector} with “{text}” never came")

    def click(self, selector, text=""):
        self("ElementClick", **self.find(selector, text))


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    profile, port = tmp_path_factory.mktemp("profile"), free_port()
    (profile / "user.js").write_text(PREFERENCES % port)
    command = [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", profile]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not listens(port):
            time.sleep(0.2)
        firefox = Marionette(port)
        yield firefox
        firefox.socket.close()
        process.terminate()


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_a_photo_an_example_and_another_photo(firefox, server):
    firefox("Navigate", url=server.url)
    firefox.find("#page .examples button")
    [file] = firefox.all("#page input[type=file]")
    firefox("ElementSendKeys", text=str(ROOT / "examples" / "grizzly.jpg"), **file)
    firefox.find("#page .verdict", "Grizzly bear, 96% sure")
    firefox.find("#page .probs li:first-child", "96%")
    firefox.click("#page .examples button[aria-label='Example: Teddy bear']")
    firefox.find("#page .verdict", "Teddy bear, 96% sure")


def test_camera_tab(firefox, server):
    firefox("Navigate", url=server.url)
    firefox.click("[role=tab]", "Camera")
    firefox.click("#camera .start")
    firefox.find("#camera .now", "No bear here")
    firefox.click("#camera .stop")
    firefox.find("#camera .start")


def test_the_offline_version_opened_from_a_folder(firefox, offline):
    firefox("Navigate", url=(offline[0] / "index.html").as_uri())
    firefox.find("#here", "Put the folder on a web host")
    time.sleep(1)  # the worker fails meanwhile
    firefox.find("#here", "Put the folder on a web host")


def test_the_offline_version_without_a_network(firefox, offline):
    host = Host(offline[0])
    firefox("Navigate", url=host.url)
    firefox.find("#here [role=status]", "Works offline now.")
    host.stop()
    firefox("Navigate", url=host.url)
    firefox.click("#page .examples button[aria-label='Example: Teddy bear']")
    firefox.find("#page .verdict", "Teddy bear, 96% sure")
