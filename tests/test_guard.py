"""Test the guard on a running server with low limits: the app stays up, and its disk stays free."""

import contextlib
import io
import json
import os
import signal
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from helpers import ROOT, Server, answer, call, stopped_model, upload, wait_until
from PIL import Image

TEDDY = (ROOT / "examples" / "teddy.jpg").read_bytes()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's limits and addresses"),
]

# app.py with limits that a test can reach. SIGUSR1 makes the program believe that the disk is full, SIGUSR2 empty.
SMALL = f"""
import resource, signal, sys
sys.path.insert(0, {str(ROOT)!r})
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
import app
from bears.app import connections, guard, uploads
connections.HEAD_SECONDS = guard.JSON_SECONDS = 2
guard.UPLOAD_SECONDS = 4
guard.MAX_PLACES = 6
guard.LINES = 1000
uploads.PERIOD, uploads.MAX_HELD, free = 0.2, 30_000_000, uploads.RESERVE
signal.signal(signal.SIGUSR1, lambda *_: setattr(uploads, "RESERVE", 2**60))
signal.signal(signal.SIGUSR2, lambda *_: setattr(uploads, "RESERVE", free))
try:
    app.serve(app.demo, app.args)
except KeyboardInterrupt:
    app.end_page(app.demo)
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    (folder / "app.py").write_text(SMALL)
    (folder / "t").mkdir()
    env = {"TMPDIR": str(folder / "t"), "GRADIO_TEMP_DIR": ""}
    server = Server(folder / "log", app=folder / "app.py", env=env)
    server.folder = folder / "t"
    server.wait_for("The model is ready", 60)
    yield server
    server.close()


def files(server, start=""):
    """Return the files in the server's folder whose names begin with `start`.

    Unlike `rglob`, this ignores folders that are deleted meanwhile.
    """
    found = (Path(folder, name) for folder, _, names in os.walk(server.folder) for name in names)
    return [file for file in found if file.name.startswith(start) and file.is_file()]


def stored(server):
    """Return the files of visitors: all in the server's folder except the examples."""
    examples = {f.name for f in (ROOT / "examples").iterdir()}
    return [file for file in files(server) if file.name not in examples]


def grow_old(server, seconds=10_000):
    """Set the age of all files in the server's folder to `seconds`, and wait until they are deleted."""
    for file in stored(server):
        with contextlib.suppress(FileNotFoundError):
            os.utime(file, (time.time() - seconds,) * 2)
    wait_until(lambda: not stored(server))


def noise(megabytes, seed=0):
    """Return a PNG of about `megabytes` of noise."""
    side, out = int((megabytes * 10**6 / 3) ** 0.5), io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(out, "PNG", compress_level=0)
    return out.getvalue()


def open_socket(server, client="127.0.0.1"):
    """Open a connection from one of this machine's addresses, each of which stands for a client."""
    port = int(server.url.split(":")[-1])
    return socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(client, 0))


def talk(server, data, client="127.0.0.1"):
    """Send bytes, and return what the server sends until it closes the connection."""
    with open_socket(server, client) as s:
        s.sendall(data)
        return b"".join(iter(lambda: s.recv(4096), b""))


def post(path, length, body=b"", headers=""):
    head = f"POST /gradio_api/{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n"
    return head.encode() + body


MULTIPART = "Content-Type: multipart/form-data; boundary=x\r\n"
JSON = "Content-Type: application/json\r\nConnection: close\r\n"
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n\r\n'


def get_page(server, client="127.0.0.2"):
    """Request the page as another client, and return the status."""
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return int(talk(server, request, client).split()[1])


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/login"),
        ("GET", "/gradio_api/deep_link?session_hash=x"),
        ("GET", "/gradio_api/proxy=https://example.com"),
        ("GET", "/gradio_api/runs"),
        ("GET", "/gradio_api/mcp/"),
        ("GET", "/monitoring"),
        ("GET", "/gradio_api/upload/../../monitoring"),
    ],
)
def test_routes_that_the_page_does_not_need_are_not_there(small, method, path):
    response = requests.request(
        method, small.url + path, files={"video": ("a.mp4", b"x")} if method == "POST" else None
    )
    assert (response.status_code == 404 and "There is nothing" in response.text) or response.json() == {
        "detail": "Not Found"
    }


QUESTIONS = [
    b"[]",
    b"7",
    b"null",
    b"{",
    b"",
    b"{}",
    b'{"data": []}',
    b'{"data": "x"}',
    b'{"data": [1, 2]}',
    b"[" * 10**5,
]
QUESTIONS += [b'{"data": [%s]}' % photo for photo in (b"7", b'"teddy.jpg"', b'["x"]', b'{"path": ["x"]}')]
QUESTIONS += [b'{"data": [{"path": "x", "meta": {"a": %s}}]}' % (b"[" * 500 + b"]" * 500)]
QUESTIONS += [b'{"data": [null], "session_hash": 7}', b'{"data": [null], "trigger_id": "x"}']


def one_line(server, before):
    """Return the one new line in the log. Nobody else may use the server meanwhile."""
    [line] = server.log.read_text()[before:].splitlines()
    return line


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q[:40].decode())
def test_a_question_that_makes_no_sense_is_a_sentence_and_a_line_in_the_log(small, question):
    before = len(small.log.read_text())
    response = requests.post(f"{small.url}/gradio_api/call/predict", data=question, timeout=30)
    assert response.status_code == 400 and response.json()["detail"].endswith(".")
    assert response.json()["detail"] in one_line(small, before)


@pytest.mark.parametrize("number", [None, 99, -1, "x", 1.5, [1]])
def test_a_function_that_does_not_exist_is_a_sentence(small, number):
    before = len(small.log.read_text())
    body = {"data": [None], "fn_index": number, "session_hash": "abc"}
    response = requests.post(f"{small.url}/gradio_api/queue/join", json=body, timeout=30)
    assert response.status_code == 404 and "no such function" in response.json()["detail"]
    assert "no such function" in one_line(small, before)


@pytest.mark.parametrize(
    "path",
    [
        "call/predict/abc",
        "queue/data?session_hash=abc",
        f"heartbeat/{'x' * 99}",
        f"upload_progress?upload_id={'x' * 99}",
    ],
)
def test_an_event_or_a_session_that_does_not_exist_is_a_sentence(small, path):
    before = len(small.log.read_text())
    response = requests.get(f"{small.url}/gradio_api/{path}", timeout=30)
    assert response.status_code in (400, 404) and response.json()["detail"] in one_line(small, before)


@pytest.mark.parametrize("field", ["session_hash", "event_id", "event_data", "data"])
def test_a_question_of_more_than_a_megabyte_is_not_read(small, field):
    body = json.dumps({"data": [None], field: "x" * 20_000_000}).encode()
    response = requests.post(f"{small.url}/gradio_api/call/predict", data=body, timeout=30)
    said = "This request has more than 1,000,000 bytes. Please upload the photo first, and send only its path."
    assert (response.status_code, response.json()["detail"]) == (413, said)
    chunks = iter([body[i : i + 100_000] for i in range(0, 2_000_000, 100_000)])
    assert requests.post(f"{small.url}/gradio_api/call/predict", data=chunks, timeout=30).status_code == 413


def test_a_long_name_of_a_session_is_not_kept(small):
    body = {"data": [None], "session_hash": "x" * 100_000}
    response = requests.post(f"{small.url}/gradio_api/call/predict", json=body, timeout=30)
    assert response.status_code == 400 and "64 characters" in response.json()["detail"]


@pytest.mark.parametrize(
    "request_, status",
    [
        (post("call/predict", 100, b'{"data'), b"408"),
        (post("upload", 10**6, PART + TEDDY[:100], MULTIPART), b"408"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b""),
        (b"", b""),
    ],
    ids=["question", "upload", "head", "nothing"],
)
def test_what_comes_too_slowly_is_given_up(small, request_, status):
    start = time.monotonic()
    said = talk(small, request_)
    assert time.monotonic() - start < 15 and said.partition(b" ")[2].startswith(status)
    wait_until(lambda: not files(small, "tmp"))


def test_a_head_without_an_end_is_given_up(small):
    with open_socket(small) as s, pytest.raises(OSError):
        s.sendall(b"GET / HTTP/1.1\r\nX: ")
        for _ in range(10_000):
            s.sendall(b"x" * 10_000)


def test_connections_that_wait_for_nothing_make_room_for_others(small):
    with contextlib.ExitStack() as stack:
        for _ in range(40):  # of 16 that one client may have
            s = stack.enter_context(open_socket(small))
            s.sendall(b"GET /robots.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert s.recv(4096).split()[1] == b"200"


def test_a_hundred_slow_uploads_leave_the_page_up(small):
    with contextlib.ExitStack() as stack:
        for _ in range(110):
            s = stack.enter_context(open_socket(small))
            with contextlib.suppress(OSError):  # refused already
                s.sendall(post("upload", 10**6, PART + TEDDY[:100], MULTIPART))
        assert get_page(small) == 200
    wait_until(lambda: get_page(small, "127.0.0.1") == 200)
    wait_until(lambda: not files(small, "tmp"))
    assert answer(small, TEDDY)[1] == "Teddy bear, 96% sure"


def test_no_client_takes_all_places_and_the_page_stays_up_while_the_model_stands_still(small):
    photo, url = upload(small, TEDDY), f"{small.url}/gradio_api"

    def ask(i, path="call/predict"):
        return requests.post(f"{url}/{path}", json={"data": [photo]}, headers={"X-Forwarded-For": f"10.0.0.{i}"})

    with stopped_model(small), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(30)))
        refused = [a for a in answers if not a.ok]
        assert len(answers) - len(refused) == 6
        assert all(a.status_code == 429 and a.headers["Retry-After"] == "10" for a in refused)
        assert all("Please wait for an answer, or for ten seconds" in a.json()["detail"] for a in refused)
        question = json.dumps({"data": [photo]}).encode()
        assert b"event_id" in talk(small, post("call/predict", len(question), question, JSON), "127.0.0.2")
        assert {r.status_code for r in pool.map(lambda i: ask(i, "run/predict"), range(100))} == {404}
        assert get_page(small) == 200
    events = [a.json()["event_id"] for a in answers if a.ok]
    assert all("complete" in requests.get(f"{url}/call/predict/{event}", timeout=60).text for event in events)


@pytest.mark.parametrize(
    "data", [b"", b"not a photo", b"<svg xmlns=''/>", b"%PDF-1.7 1 0 obj", b"PK\3\4" + bytes(100), b"BA"]
)
def test_nothing_but_pictures_is_taken_in(small, data):
    grow_old(small)
    response = requests.post(f"{small.url}/gradio_api/upload", files={"files": ("a.jpg", data)}, timeout=30)
    assert response.status_code == 400 and response.text.startswith("This file is not a photo that can be opened here.")
    assert not stored(small)


def test_a_form_without_a_file_is_a_sentence(small):
    response = requests.post(f"{small.url}/gradio_api/upload", files={"files": (None, "text")}, timeout=30)
    assert response.status_code == 400 and response.text == "Please send photos as files."


def test_an_upload_that_is_given_up_leaves_nothing_behind(small):
    with open_socket(small) as s:
        s.sendall(post("upload", 10**6, PART + TEDDY[:5000], MULTIPART))
        wait_until(lambda: files(small, "tmp"))
    wait_until(lambda: not files(small, "tmp"), 2)


def test_an_upload_that_the_disk_cannot_take_is_a_sentence_and_leaves_nothing_behind(small):
    grow_old(small)
    response = requests.post(f"{small.url}/gradio_api/upload", files={"files": ("a.png", noise(6))}, timeout=30)
    assert response.status_code == 507 and response.text.endswith("Please try again in a minute.")
    assert not stored(small)


def test_a_full_disk_is_a_sentence_until_it_has_room_again(small):
    photo = upload(small, TEDDY)
    small.process.send_signal(signal.SIGUSR1)
    try:
        wait_until(lambda: requests.post(f"{small.url}/gradio_api/upload", files={"files": TEDDY}).status_code == 507)
        assert "The server has no space for more photos. Please try again in a minute." in call(small, photo)
    finally:
        small.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: requests.post(f"{small.url}/gradio_api/upload", files={"files": TEDDY}).ok)
    assert "Teddy bear" in call(small, upload(small, TEDDY))


def test_all_uploads_together_are_bounded(small):
    grow_old(small)
    url = f"{small.url}/gradio_api/upload"
    answers = [requests.post(url, files={"files": ("a.png", noise(4, seed))}, timeout=30) for seed in range(12)]
    taken = [a.status_code for a in answers].index(507)
    assert 5 <= taken <= 7 and "try again in a minute" in answers[taken].text
    for file in stored(small):
        os.utime(file, (time.time() - 100,) * 2)  # old enough to be deleted if there is little space
    wait_until(lambda: requests.post(url, files={"files": ("a.png", noise(4))}, timeout=30).ok)


def test_a_photo_stays_for_an_hour_and_with_little_room_for_a_minute(tmp_path, monkeypatch):
    from bears.app.uploads import Store  # here since it changes Gradio

    ages, store = (30, 100, 3500, 3700), Store(tmp_path)
    for age in ages:
        (tmp_path / f"{age}").mkdir()
        (tmp_path / f"{age}" / "photo.jpg").write_bytes(b"photo")
        os.utime(tmp_path / f"{age}" / "photo.jpg", (time.time() - age,) * 2)
    store.sweep()
    assert sorted(f.name for f in tmp_path.iterdir()) == ["100", "30", "3500"]
    monkeypatch.setattr("bears.app.uploads.MAX_HELD", 2**16)  # as much as one small file counts
    store.sweep()
    assert [f.name for f in tmp_path.iterdir()] == ["30"]


def test_what_is_older_than_an_hour_is_deleted_and_forgotten(small):
    call(small, upload(small, TEDDY, "mine.jpg"))
    assert len(stored(small)) > 1
    grow_old(small)
    assert not files(small, "mine.jpg")


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Gradio-Server", "X-Forwarded-Proto"])
@pytest.mark.parametrize("path", ["/gradio_api/info", "/gradio_api/info?all_endpoints=True", "/config", "/"])
def test_no_stranger_changes_the_address_of_the_page(small, path, header):
    value = "https" if header == "X-Forwarded-Proto" else "http://planted.example"
    page = requests.get(small.url + path, headers={header: value}, timeout=30).text
    assert "planted.example" not in page and "https://localhost" not in page


def test_no_stranger_plants_an_address_in_the_page_of_others(tmp_path):
    server = Server(tmp_path / "log", "--host", "0.0.0.0")  # any host name is allowed
    port = server.url.split(":")[-1]
    try:
        for path in ("/gradio_api/info", "/gradio_api/info?all_endpoints=1", "/config", "/"):
            requests.get(f"http://127.0.0.1:{port}{path}", headers={"Host": "planted.example"}, timeout=30)
            assert "planted.example" not in requests.get(f"http://127.0.0.1:{port}{path}", timeout=30).text
    finally:
        server.close()


@pytest.mark.parametrize("host, status", [("planted.example", 421), ("127.0.0.1.planted.example:7860", 421), ("", 421)])
def test_a_page_for_this_machine_answers_to_no_foreign_name(small, host, status):
    assert requests.get(small.url, headers={"Host": host}, timeout=30).status_code == status


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:7860", "127.0.0.1", "[::1]:1"])
def test_a_page_for_this_machine_answers_to_the_names_of_this_machine(small, host):
    assert requests.get(small.url, headers={"Host": host}, timeout=30).ok


@pytest.mark.parametrize("path", ["/", "/config", "/nothing", "/gradio_api/upload"])
def test_every_answer_tells_the_browser_what_it_may_do(small, path):
    headers = requests.get(small.url + path, timeout=30).headers
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'self'" in headers["Content-Security-Policy"] and "X-Frame-Options" not in headers


def test_sessions_are_forgotten(small):
    """Check that old sessions are dropped. Each session takes memory, and Gradio would keep ten thousand of them."""
    ask = f"{small.url}/gradio_api/call/predict"

    def visit(_):
        with requests.Session() as session:
            body = {"data": [None], "session_hash": uuid.uuid4().hex}
            event = session.post(ask, json=body, timeout=30).json()["event_id"]
            return session.get(f"{ask}/{event}", timeout=30).ok

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(visit, range(150)))
        before = front_memory(small)
        assert all(pool.map(visit, range(600)))
    assert front_memory(small) < before + 20e6


def front_memory(server):
    """Return the bytes in memory of the server's main process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def test_a_queue_that_is_full_says_when_to_come_back(small):
    question = json.dumps({"data": [upload(small, TEDDY)]}).encode()
    with stopped_model(small):
        for i in range(120):  # six of each address
            said = talk(small, post("call/predict", len(question), question, JSON), f"127.0.1.{1 + i // 5}")
            if b" 503 " in said:
                break
        assert b"retry-after: 60" in said.lower() and b"Please try again in a minute" in said


def test_a_stop_under_load_ends_all_within_five_seconds_and_leaves_nothing_behind(
    small,
):  # the last: it ends the server
    photo = upload(small, TEDDY)
    with contextlib.ExitStack() as stack, stopped_model(small):
        for i in range(10):
            s = stack.enter_context(open_socket(small, f"127.0.0.{i + 3}"))
            s.sendall(post("upload", 10**6, PART + TEDDY[:5000], MULTIPART))
            question = json.dumps({"data": [photo]}).encode()
            talk(small, post("call/predict", len(question), question, JSON), f"127.0.0.{i + 3}")
        start = time.monotonic()
        small.process.send_signal(signal.SIGTERM)
        assert small.process.wait(20) == 0
        assert time.monotonic() - start < 5
        assert not list(small.folder.glob("photos-*"))
    wait_until(lambda: not list(small.folder.iterdir()))
    assert "Traceback" not in small.log.read_text()
