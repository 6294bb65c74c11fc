"""Test app.py with a real server and a real gradio_client."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from bears import cli, private_photos
from bears.app.hosting import check_address
from gradio_client import Client, handle_file
from helpers import ROOT, Server
from PIL import Image

EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))


@pytest.fixture(scope="module")
def client(server):
    client = Client(server.url, verbose=False)
    yield client
    client.close()


@pytest.mark.slow
@pytest.mark.parametrize("photo", EXAMPLES, ids=lambda f: f.name)
def test_predict_returns_label_headline_and_heat_map(client, photo):
    label, headline, heatmap, certainty = client.predict(handle_file(photo), api_name="/predict")
    probs = {c["label"]: c["confidence"] for c in label["confidences"]}
    assert sum(probs[label] for label in ("black", "grizzly", "teddy")) == pytest.approx(1, abs=0.04)  # 0.96 at most
    if photo.stem == "none":
        assert headline == "No bear here" and certainty == "none"
    elif photo.stem == "black":
        assert headline == "A bear: black or grizzly, probably black" and certainty == "group"
        assert label["label"] == "black or grizzly" and probs["black"] > probs["grizzly"]
    else:
        assert (
            certainty == "sure"
            and label["label"] == photo.stem
            and re.match(rf"{photo.stem.capitalize()} bear, [89]\d% sure$", headline)
        )
    with Image.open(photo) as before, Image.open(heatmap) as after:
        assert before.width * after.height == before.height * after.width


@pytest.mark.slow
def test_a_photo_of_something_else_shows_no_bear(client, shapes):
    _, headline, _, certainty = client.predict(handle_file(shapes / "disc" / "00.jpg"), api_name="/predict")
    assert headline == "No bear here" and certainty == "none"


@pytest.mark.slow
def test_log_has_one_line_per_prediction_and_no_progress_bar(server, client):
    server.wait_for("The model is ready", 60)
    before = server.log.read_text()
    client.predict(handle_file(ROOT / "examples" / "teddy.jpg"), api_name="/predict")
    [line] = server.log.read_text()[len(before) :].splitlines()
    assert re.search(r"% sure in \d+\.\d{3} s$", line)


@pytest.mark.slow
def test_help_lists_every_option():
    result = subprocess.run([sys.executable, ROOT / "app.py", "--help"], capture_output=True, text=True, check=True)
    for option in ("--model", "--trust-model", "--share", "--mcp", "--host", "--port"):
        assert option in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "content, sentence", [(None, "There is no model"), (b"nonsense", "can't be opened")], ids=["missing", "damaged"]
)
def test_a_model_that_cannot_be_served_ends_in_one_sentence(tmp_path, content, sentence):
    model = tmp_path / "my.pkl"
    if content:
        model.write_bytes(content)
    command = [sys.executable, ROOT / "app.py", "--model", model]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    [line] = [line for line in result.stderr.splitlines() if line]
    assert line.startswith("app.py: ") and sentence in line


@pytest.mark.slow
def test_a_port_that_is_taken_ends_in_one_sentence(server):
    command = [sys.executable, ROOT / "app.py", "--port", server.url.rstrip("/").split(":")[-1]]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    [line] = [line for line in result.stderr.splitlines() if line]
    assert line.startswith("app.py: This port or address can't be used")


LOSE = "import os; folder = os.environ['GRADIO_TEMP_DIR']; os.rename(folder, folder + '2'); open(folder, 'w').close()"


@pytest.mark.slow
@pytest.mark.parametrize("lose", ["", LOSE], ids=["at once", "later"])
def test_a_folder_that_cannot_be_used_is_not_called_a_port(tmp_path, lose):
    folder = tmp_path / "photos"
    if not lose:
        folder.touch()
    env = {**os.environ, "GRADIO_TEMP_DIR": str(folder)}
    command = [sys.executable, "-c", f"import app; {lose}\napp.serve(app.demo, app.args)"]
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    [line] = [line for line in result.stderr.splitlines() if line]
    assert result.returncode == 1 and line.startswith("app.py: The app can't start (") and str(folder) in line


def test_a_folder_for_photos_that_is_not_there_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "not" / "there"))
    monkeypatch.setattr(private_photos, "PRIVATE", [])
    folder = Path(private_photos.private_folder())
    assert folder.is_dir() and folder.parent == tmp_path / "not" / "there"
    private_photos.delete_private()
    assert not folder.exists()


def has_ipv6():
    try:
        return not socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("host", ["localhost", "::1"] if has_ipv6() else ["localhost"])
def test_an_address_of_this_machine(tmp_path, host):
    server = Server(tmp_path / "log", "--host", host, env={"HTTP_PROXY": "http://127.0.0.1:9"})  # a proxy that is off
    try:
        assert requests.get(server.url, timeout=30).ok
    finally:
        server.close()


@pytest.mark.parametrize("host", ["10.255.255.1", "no-such-host.invalid", "ü" * 70])
def test_an_address_of_another_machine_is_refused_at_once(host):
    with pytest.raises(OSError) as error:
        check_address(host, 0)
    assert cli.no_page(error.value).startswith("This port or address can't be used")


def test_a_folder_stands_for_the_export_in_it():
    cli.add_model(parser := cli.command_parser("app", ""))
    assert parser.parse_args(["--model", str(ROOT)]).model == ROOT / "export.pkl"
