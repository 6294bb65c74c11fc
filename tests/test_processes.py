"""Test the processes of the model and for opening photos: if one runs out of time or memory, it is replaced."""

import gc
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hostile
import pytest
import requests
from bears.app import decode_workers, process
from bears.errors import PhotoError
from bears.model.answers import NONE
from helpers import ROOT, Server, answer, memory, upload
from PIL import Image

pytestmark = pytest.mark.slow
TEDDY = ROOT / "examples" / "teddy.jpg"
LITTLE_MEMORY = ["sh", "-c", f'ulimit -v 250000; exec "{sys.executable}" -m bears.app.decode_worker']


def waits():
    return False


@pytest.fixture
def one_opener(monkeypatch):
    monkeypatch.setattr(decode_workers, "cpu_count", lambda: 1)
    made = decode_workers.DecodeWorkers()
    yield made
    made.close()


@pytest.fixture
def slow(tmp_path):
    file = tmp_path / "slow.jpg"
    file.write_bytes(hostile.jpeg_of_many_comments())
    return file


def refusal(one_opener, file, hung_up=waits):
    """Return the sentence that refuses `file`, and check that a new process then opens the next photo."""
    one_opener.start()
    [before] = [opener.process for opener in one_opener.all]
    with pytest.raises(PhotoError) as error:
        one_opener.open(file, hung_up)
    with Image.open(TEDDY) as photo:
        small = one_opener.open(TEDDY, waits)
        assert small.width * photo.height == photo.width * small.height
    assert before.poll() is not None
    return str(error.value)


def test_a_photo_that_takes_too_long(one_opener, slow, monkeypatch):
    monkeypatch.setattr(decode_workers, "DEADLINE", 2)
    start = time.monotonic()
    assert refusal(one_opener, slow) == "This photo takes too long to open. Please send a smaller copy."
    assert time.monotonic() - start < 8


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot limit what a process may have")
def test_a_photo_that_takes_too_much_memory(one_opener, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_workers, "COMMAND", LITTLE_MEMORY)
    Image.new("1", (7000, 7000)).save(tmp_path / "large.png")
    sentence = "This photo takes too much memory to open. Please send a smaller copy."
    assert refusal(one_opener, tmp_path / "large.png") == sentence


def test_a_caller_who_hangs_up_frees_the_place(one_opener, slow):
    start = time.monotonic()
    refusal(one_opener, slow, lambda: True)
    assert time.monotonic() - start < 8


def test_a_process_that_ends_with_a_photo_in_it(one_opener, slow):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(refusal, one_opener, slow)
        time.sleep(1)
        one_opener.all[0].process.kill()
        assert waiting.result() == ("Opening this photo failed. Please send it again, or a smaller copy.")


def test_many_callers_get_their_own_photos(tmp_path):
    made = decode_workers.DecodeWorkers()
    files = [tmp_path / f"{i}.png" for i in range(40)]
    for i, file in enumerate(files):
        Image.new("RGB", (30 + i, 30), (i, 0, 0)).save(file)
    try:
        with ThreadPoolExecutor(8) as pool:
            photos = list(pool.map(made.open, files, [waits] * 40))
    finally:
        made.close()
    assert [(photo.width - 30, photo.getpixel((0, 0))) for photo in photos] == [(i, (i, 0, 0)) for i in range(40)]


@pytest.mark.skipif(sys.platform != "linux", reason="the test reads /proc")
def test_of_large_photos_one_is_in_memory_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setattr(decode_workers, "cpu_count", lambda: 2)
    made, pixels = decode_workers.DecodeWorkers(), 20_000_000
    Image.new("RGB", (5000, pixels // 5000), "green").save(tmp_path / "large.webp", method=0)
    made.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(made.open, [TEDDY] * 2, [waits] * 2))
            pids, peaks = [opener.process.pid for opener in made.all], []
            before = sum(map(memory, pids))
            asked = [pool.submit(made.open, tmp_path / "large.webp", waits) for _ in range(6)]
            while not all(one.done() for one in asked):
                peaks.append(sum(map(memory, pids)) - before)
                time.sleep(0.005)
    finally:
        made.close()
    assert {one.result().size for one in asked} == {(455, 364)}
    assert max(peaks) < 15 * pixels  # one takes 12 bytes per pixel


def test_classifying_imports_some_packages_only_when_they_are_called():
    code = """
import sys
from bears.model.classifier import Classifier
from bears.model.late_imports import LATE
Classifier("export.pkl")
assert not set(LATE) & set(sys.modules)
import fastai.metrics, torch
assert fastai.metrics.F1Score().name == "f1_score"
assert fastai.metrics.skm.f1_score([0, 1], [0, 1]) == 1
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)) == 2
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "module, never", [("bears.app.decode_worker", "torch gradio fastai asyncio"), ("app", "torch fastai")]
)
def test_only_the_model_s_process_imports_torch(module, never):
    code = f"import sys, {module}; print(not set({never.split()}) & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip() == "True"


@pytest.fixture(scope="module")
def own_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("processes") / "log")
    server.wait_for("The model is ready", 60)
    yield server
    server.close()


def test_hostile_photos_cost_other_visitors_no_time_and_the_machine_no_memory(own_server):
    refused = [make() for make in hostile.REFUSED]
    costly = [*refused, hostile.avif_that_lies()] * 2 + [hostile.png_that_is_thin()] * 24
    with ThreadPoolExecutor(20) as pool:  # one client may have 24 photos in the queue
        ordinary = list(pool.map(answer, [own_server] * 24, [TEDDY.read_bytes()] * 24))
        assert {verdict for _, verdict in ordinary} == {"Teddy bear, 96% sure"}
        before = memory(own_server.process.pid)
        asked = [pool.submit(answer, own_server, data) for data in costly]
        start = time.monotonic()
        assert answer(own_server, TEDDY.read_bytes())[1] == "Teddy bear, 96% sure"
        seconds, peaks = time.monotonic() - start, []
        while not all(one.done() for one in asked):
            peaks.append(memory(own_server.process.pid))
            time.sleep(0.2)
    answers = [one.result() for one in asked]
    for sentence in answers[: len(refused)]:
        assert re.search("too long to open|megapixels|more metadata", sentence)
    assert all(isinstance(result, tuple) for result in answers[-24:])
    assert seconds < 30 and max(peaks) - before < 10**9
    assert "Traceback" not in own_server.log.read_text()


def test_a_visitor_who_hangs_up_makes_nobody_wait(own_server):
    slow, url = hostile.jpeg_of_many_comments(), f"{own_server.url}/gradio_api/call/predict"
    for _ in range(6):
        photo = upload(own_server, slow)
        event = requests.post(url, json={"data": [photo]}, timeout=60).json()["event_id"]
        requests.get(f"{url}/{event}", stream=True, timeout=60).close()
    start = time.monotonic()
    assert answer(own_server, TEDDY.read_bytes())[1] == "Teddy bear, 96% sure"
    assert time.monotonic() - start < decode_workers.DEADLINE


@pytest.fixture(scope="module")
def predictor():
    made = process.LearnerProcess(ROOT / "export.pkl", strictness=0)
    made.load()
    yield made
    made.close()


@pytest.mark.skipif(os.name == "nt" or sys.version_info < (3, 11), reason="needs Python 3.11's process_group")
def test_ctrl_c_spares_the_processes_but_they_share_the_app_s_session(predictor):
    """Check the sessions: on a busy core, Linux 6.18 gave a process with its own session no CPU time for minutes."""
    pid = predictor.latest.process.pid
    assert os.getpgid(pid) == pid and os.getsid(pid) == os.getsid(0)


def test_a_model_that_gives_no_answer_is_ended_and_started_again(predictor, monkeypatch):
    monkeypatch.setattr(process, "ANSWERING", 2)
    os.kill(predictor.latest.process.pid, signal.SIGSTOP)
    with pytest.raises(PhotoError) as error:
        predictor.predict(TEDDY)
    assert str(error.value) == "The model has just restarted. Please send the photo again."
    monkeypatch.undo()
    assert predictor.predict(TEDDY)[0]["teddy"] > 0.99


def test_the_process_is_as_strict_as_it_is_told_and_with_0_nothing_is_turned_away(predictor):
    assert predictor.predict(ROOT / "examples" / "none.jpg")[1] != NONE


def replaced(predictor):
    """Kill the model's process, and wait for the next one; return the killed one."""
    died = predictor.start()
    died.process.kill()
    for _ in range(300):
        if predictor.latest is not died:
            break
        time.sleep(0.1)
    return died


def test_a_model_that_dies_is_started_again_before_anybody_asks(predictor):
    died = replaced(predictor)
    assert predictor.latest.process.poll() is None and not Path(died.folder).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_nothing_stays_open_of_a_model_that_died(predictor):
    before = len(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(8) as pool:  # each thread has a connection of its own
        assert all(answer[0]["teddy"] > 0.99 for answer in pool.map(predictor.predict, [TEDDY] * 16))
        replaced(predictor)
        assert len(os.listdir("/proc/self/fd")) < before + 4


@pytest.mark.skipif(sys.platform != "linux", reason="counts in /proc")
def test_nothing_stays_open_of_a_model_that_died_while_it_was_asked(predictor):
    """Check open files, since the threads' errors refer to the dead process until Python collects its garbage."""
    before = len(os.listdir("/proc/self/fd"))
    gc.disable()
    try:
        with ThreadPoolExecutor(8) as pool:
            os.kill(predictor.latest.process.pid, signal.SIGSTOP)
            errors = [pool.submit(predictor.predict, TEDDY) for _ in range(8)]
            time.sleep(3)  # until they wait for the answer
            replaced(predictor)
            assert all(isinstance(error.exception(), PhotoError) for error in errors)
            assert len(os.listdir("/proc/self/fd")) < before + 4
    finally:
        gc.enable()


def test_replacing_a_model_that_died_removes_its_socket(monkeypatch):
    monkeypatch.setattr(process.LearnerProcess, "start_again", lambda self: None)  # as if it were sleeping
    made = process.LearnerProcess(ROOT / "export.pkl")
    died = made.start()
    died.process.kill(), died.process.wait()
    made.start()
    folder = Path(died.folder)
    made.close()
    assert not folder.exists()
