"""Test attacks on a public server: it gives no data away, doesn't break, and still answers everybody else."""

import base64
import ctypes
import http.server
import io
import itertools
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import torch
from bears import private_photos
from bears.app import uploads
from bears.app.process import LearnerProcess
from bears.model.classifier import Classifier
from bears.model.photo import open_photo
from bears.model.wording import shown_probs
from helpers import FILE_DATA, ROOT, Server, answer, call, memory, model_process, send, upload, wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

pytestmark = pytest.mark.slow

TEDDY = (ROOT / "examples" / "teddy.jpg").read_bytes()


def join(server, photo, session=None):
    """Join the queue and listen to the session's events, as Gradio's own page does."""
    session = session or uuid.uuid4().hex
    config = requests.get(f"{server.url}/config", timeout=30).json()
    [number] = [d["id"] for d in config["dependencies"] if d["api_name"] == "predict"]
    body = {"data": [photo], "fn_index": number, "session_hash": session}
    asked = requests.post(f"{server.url}/gradio_api/queue/join", json=body, timeout=30)
    if not asked.ok:
        return asked.text
    lines = []
    with requests.get(
        f"{server.url}/gradio_api/queue/data", params={"session_hash": session}, stream=True, timeout=60
    ) as events:
        for line in events.iter_lines(decode_unicode=True):
            lines.append(line)
            if "process_completed" in line or "close_stream" in line:
                break
    return "\n".join(lines)


WAYS_IN = [call, join]


@pytest.mark.parametrize("way", WAYS_IN)
def test_an_uploaded_photo_is_answered_on_every_way_in(server, way):
    assert "Teddy bear" in way(server, upload(server, TEDDY))


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize(
    "photo",
    [
        {"path": str(ROOT / "examples" / "teddy.jpg")},
        {"path": str(ROOT / "examples" / "teddy.jpg"), **FILE_DATA},
        {"path": str(ROOT / "examples" / "teddy.jpg"), "url": None, "meta": {"_type": "other"}},
        {"path": None, "url": "data:image/jpeg;base64," + base64.b64encode(TEDDY).decode()},
        {"path": "x.jpg", "url": "data:image/jpeg;base64," + base64.b64encode(TEDDY).decode()},
        {"path": "http://127.0.0.1:9/teddy.jpg", **FILE_DATA},
        {"path": "https://example.com/teddy.jpg", **FILE_DATA},
        {"path": "https://example.com/teddy.jpg"},
        {"path": "HTTPS://example.com/teddy.jpg", **FILE_DATA},
        {"url": "https://example.com/teddy.jpg"},
        {},
        {"path": "/tmp/gradio/\0.jpg"},
        {"path": ["x.jpg"]},
        "teddy.jpg",
        ["teddy.jpg"],
        7,
    ],
    ids=str,
)
def test_what_is_no_upload_is_refused_on_every_way_in(server, way, photo):
    text = way(server, photo)
    assert "bear" not in text.replace("/bears", "") and "Traceback" not in text
    assert str(ROOT) not in text


@pytest.mark.parametrize("way", WAYS_IN)
def test_no_web_address_is_fetched(server, way):
    with ThreadPoolExecutor(1) as pool:
        hits = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                hits.append(self.path)
                self.send_error(404)

            do_HEAD = do_GET

            def log_message(self, *args):
                pass

        web = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        pool.submit(web.serve_forever, 0.05)
        text = way(server, {"path": f"http://127.0.0.1:{web.server_port}/teddy.jpg", **FILE_DATA})
        web.shutdown()
        web.server_close()
    assert (
        not hits and "Links are not opened" in text
    )  # Gradio's own check, which allows public addresses, has another message


@pytest.mark.parametrize("path", ["app.py", "export.pkl", "export.json", "bears/model/photo.py", "examples/../app.py"])
@pytest.mark.parametrize(
    "route", ["/gradio_api/file={root}/{path}", "/gradio_api/file={path}", "/file={path}", "/{path}"]
)
def test_no_file_of_the_project_is_served(server, route, path):
    response = requests.get(server.url + route.format(root=ROOT, path=path), timeout=30)
    assert response.status_code in (403, 404)


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "%2fetc%2fpasswd", "../../../etc/passwd"])
def test_no_file_of_the_machine_is_served(server, path):
    assert requests.get(f"{server.url}/gradio_api/file={path}", timeout=30).status_code in (403, 404)


def test_over_long_file_is_refused(server):
    response = send(server, bytes(26 * 2**20))
    assert response.status_code == 413 and "maximum allowed size" in response.text


def test_each_of_many_callers_gets_the_answer_to_their_own_photo(server):
    model, photos = Classifier(ROOT / "export.pkl"), []
    for file in sorted((ROOT / "examples").glob("*.jpg")):
        with Image.open(file) as im:
            for variant in (im, ImageOps.mirror(im), im.rotate(10), im.crop((0, 0, *[n * 3 // 4 for n in im.size]))):
                data = io.BytesIO()
                variant.save(data, "PNG")
                photos.append(data.getvalue())
    asked = [model.ask([open_photo(io.BytesIO(photo))])[0] for photo in photos]
    expected = [shown_probs(probs, certainty, model.limits) for probs, certainty, *_ in asked]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda photo: answer(server, photo, "photo.png"), photos * 3))
    for (label, _), probs in zip(answers, expected * 3):
        assert {c["label"]: c["confidence"] for c in label["confidences"]} == pytest.approx(probs, abs=1e-4)


def test_a_client_that_hangs_up_costs_nobody_else_their_answer(server):
    stop, url = threading.Event(), f"{server.url}/gradio_api/call/predict"

    def hang_up():
        while not stop.is_set():
            asked = requests.post(url, json={"data": [upload(server, TEDDY)]}, timeout=30)
            if asked.ok:  # not refused for too many calls
                requests.get(f"{url}/{asked.json()['event_id']}", stream=True, timeout=30).close()

    def ask(_):
        while "Please wait" in (said := answer(server, TEDDY)):
            time.sleep(0.1)
        return said

    with ThreadPoolExecutor(4) as pool:
        rude = [pool.submit(hang_up) for _ in range(2)]
        polite = list(pool.map(ask, range(20)))
        stop.set()
        [r.result() for r in rude]
    assert [said for said in polite if isinstance(said, str)] == []
    assert all(headline == "Teddy bear, 96% sure" for _, headline in polite)


def test_photos_wait_while_the_model_loads_and_the_page_survives_its_end(tmp_path):
    server = Server(tmp_path / "log")  # returns when the app is up, seconds before the model has loaded
    try:
        assert "ready" not in server.log.read_text()
        assert answer(server, TEDDY)[1] == "Teddy bear, 96% sure"
        os.kill(model_process(server), signal.SIGKILL)
        sentences = [answer(server, TEDDY) for _ in range(2)]
        assert sentences[0] in (
            sentences[1],
            "The model has just restarted. Please send the photo again.",
        )
        assert sentences[1][1] == "Teddy bear, 96% sure"
    finally:
        server.close()


@pytest.fixture
def own_process():
    """Return a function that creates a `LearnerProcess` without the app, and close it afterwards."""
    made = []

    def make(*args):
        made.append(LearnerProcess(*args))
        return made[-1]

    yield make
    for predictor in made:
        predictor.close()


def test_every_caller_of_a_model_that_dies_is_asked_to_send_the_photo_again(own_process):
    predictor = own_process(ROOT / "export.pkl")

    def ask(_):
        try:
            return predictor.predict(ROOT / "examples" / "teddy.jpg")
        except Exception as e:
            predictor.start()  # as the next visitor does
            return e

    with ThreadPoolExecutor(32) as pool:
        dying = predictor.start().process
        answers = pool.map(ask, range(32))
        time.sleep(1)  # until all of them wait for the model to load
        with dying:
            dying.kill()
        refused = {str(answer) for answer in answers if not isinstance(answer, tuple)}  # not those that came too late
    assert refused == {"The model has just restarted. Please send the photo again."}


def test_a_model_that_prints_is_heard_in_the_log_and_goes_on(own_process, tmp_path, capfd):
    class Loud:
        """Pickle as a call that prints more than a pipe can hold and returns no Learner."""

        def __reduce__(self):
            return print, ("." * 100_000,)

    torch.save(Loud(), tmp_path / "loud.pkl")
    predictor = own_process(tmp_path / "loud.pkl", True)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(predictor.load)
        try:
            assert "can't be opened here" in str(loading.exception(60))
        finally:
            predictor.close()  # or the thread would wait for ever
    assert capfd.readouterr().err.startswith("." * 100_000)


def wait_for_end(model):
    wait_until(lambda: not Path(f"/proc/{model}").exists())


def test_the_model_goes_when_the_server_is_killed(tmp_path):
    server = Server(tmp_path / "log")
    server.wait_for("The model is ready", 60)
    model = model_process(server)
    server.process.kill()
    server.process.wait(20)
    wait_for_end(model)


def signal_other_thread(pid, how):
    """Send a signal to a thread other than the main thread. The kernel, too, sometimes chooses such a thread."""
    thread = next(int(name) for name in os.listdir(f"/proc/{pid}/task") if int(name) != pid)
    assert ctypes.CDLL(None).tgkill(pid, thread, how) == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_a_server_that_is_stopped_leaves_no_photo_and_no_model_behind(tmp_path, how):
    folder = tmp_path / "t"
    folder.mkdir()
    server = Server(tmp_path / "log", env={"TMPDIR": str(folder), "GRADIO_TEMP_DIR": ""})
    try:
        assert answer(server, TEDDY)[1] == "Teddy bear, 96% sure"
        [private] = folder.glob("photos-*")
        assert list(private.rglob("photo.jpg")) and stat.S_IMODE(private.stat().st_mode) == 0o700
        model = model_process(server)
        os.kill(model, how)  # a service manager stops all processes at once
        signal_other_thread(server.process.pid, how)
        assert server.process.wait(20) == 0
    finally:
        server.process.kill()
    wait_for_end(model)  # which also deletes its files
    assert not list(folder.iterdir()) and "Traceback" not in server.log.read_text()


@pytest.fixture
def killed(tmp_path):
    """Return the folder of an app that was killed while it had a photo. A running app's folder is next to it."""
    code = "from bears.private_photos import private_folder; print(private_folder(), flush=True); input()"
    env, pipe = {**os.environ, "GRADIO_TEMP_DIR": str(tmp_path)}, subprocess.PIPE
    apps = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=env, stdin=pipe, stdout=pipe) for _ in "ab"]
    dead, running = (Path(app.stdout.readline().decode().strip()) for app in apps)
    for folder in (dead, running, tmp_path / "photos-holiday"):
        folder.mkdir(exist_ok=True)
        (folder / "photo.jpg").write_bytes(TEDDY)
    apps[0].kill()
    apps[0].communicate()
    yield dead, running
    apps[1].communicate(b"\n")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks no folders")
def test_the_next_start_deletes_the_photos_of_an_app_that_was_killed_and_nobody_elses(killed, tmp_path, monkeypatch):
    dead, running = killed
    assert (dead / "photo.jpg").is_file()
    monkeypatch.setattr(private_photos, "PRIVATE", [])
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    own = private_photos.private_folder()
    assert not dead.exists() and (running / "photo.jpg").is_file() and (tmp_path / "photos-holiday/photo.jpg").is_file()
    private_photos.delete_private()
    assert not Path(own).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows locks no folders")
def test_the_bound_of_the_disk_counts_what_other_apps_hold(killed, tmp_path):
    own = tmp_path / "photos-own"
    own.mkdir()
    store = uploads.Store(own)
    store.sweep()
    assert store.held == max(len(TEDDY), uploads.LEAST) and not killed[0].exists()


def test_a_model_that_stops_while_it_loads_is_one_sentence(tmp_path):
    server = Server(tmp_path / "log")
    try:
        os.kill(model_process(server), signal.SIGKILL)
        assert server.process.wait(20) == 1
    finally:
        server.process.kill()
    assert server.log.read_text().splitlines()[1:] == [
        "app.py: The model crashed while it was loading, most likely because memory ran out."
    ]


def images(format):
    data = io.BytesIO()
    Image.effect_noise((24, 24), 50).convert("RGB").save(data, format)
    return data.getvalue()


WHOLE = [images(f) for f in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")]
HEADS = [data[:12] for data in WHOLE] + [
    b"%!PS-Adobe-3.0 EPSF",
    b"%PDF-1.7",
    b"<svg xmlns=",
    b"8BPS",
    b"GIF89a",
    b"qoif",
]


@st.composite
def cut(draw):
    data = draw(st.sampled_from(WHOLE))
    return data[: draw(st.integers(0, len(data) - 1))]


@st.composite
def scrambled(draw):
    data = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 20))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


malformed = st.one_of(
    st.just(b""),
    cut(),
    scrambled(),
    st.tuples(st.sampled_from(HEADS), st.binary(max_size=2000)).map(b"".join),
    st.binary(max_size=500),
)
names = st.sampled_from(
    ["a.jpg", "a.png", "a.heic", "a.gif", "a.svg", "a.html", "a.exe", "a", "../../a.jpg", "ä b.jpg"]
)


@pytest.fixture(scope="module")
def after_a_thousand_malformed_files(server):
    """Send malformed files, eight at a time. Return the log, and the memory in MB after each quarter of the files."""
    drawn = []

    @settings(
        max_examples=1000, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(malformed, names)
    def draw(data, name):
        drawn.append((data, name))

    def ask(file):
        result = answer(server, *file)
        if isinstance(result, str):
            assert result.endswith(".") and "/" not in result and "\n" not in result, file
        else:  # a scrambled photo may still be valid
            assert result[1], file

    draw()
    assert len(drawn) == 1000
    log, taken = len(server.log.read_text()), []
    with ThreadPoolExecutor(8) as pool:
        for start in range(0, 1000, 250):
            list(pool.map(ask, drawn[start : start + 250]))
            taken.append(memory(server.process.pid) / 2**20)
    return server.log.read_text()[log:], taken


def test_a_thousand_malformed_files_leave_the_server_answering(server, after_a_thousand_malformed_files):
    assert answer(server, TEDDY)[1] == "Teddy bear, 96% sure"
    assert "Traceback" not in after_a_thousand_malformed_files[0]


def test_a_thousand_malformed_files_leave_no_memory_behind(after_a_thousand_malformed_files):
    _, taken = after_a_thousand_malformed_files
    # Each of the two workers keeps the memory of the largest photo once. A leak would grow each time.
    assert min(after - before for before, after in itertools.pairwise(taken)) < 30
