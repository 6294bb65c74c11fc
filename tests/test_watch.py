"""`python3 -m bears watch`: what moves before a camera, what it is, and whether that wakes somebody."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from bears.app.model import Model
from bears.watch import __main__ as command
from bears.watch import frames, tell
from bears.watch.alarm import Alarm, Rule, score
from bears.watch.engine import Frame, watch
from bears.watch.motion import Movement
from bears.watch.record import GB, Record
from helpers import ROOT, memory, needs
from PIL import Image
from streams import Hls, Rtsp
from test_project import imports

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")
WIDTH, HEIGHT, RATE = 640, 360, 5
REAL = ["black", "grizzly"]
ABOUT = {"source": "x", "rule": vars(Rule()), "classes": REAL, "alarm": REAL, "live": False, "whole_only": False}
VECTORS = json.loads((ROOT / "docs" / "alarm_vectors.json").read_text(encoding="utf-8"))


def pairs(values):
    """(track, score) pairs of a step of the vectors."""
    return [(0, *values)] if len(values) == 1 else list(zip(values[1::2], values[::2]))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_rule_does_what_its_vectors_say(case):
    alarm = Alarm(Rule(**case["rule"]))
    events = [event for t, *values in case["steps"] for event in alarm.step(t, pairs(values))]
    assert [list(event.values()) for event in events] == [pytest.approx(event, abs=1e-9) for event in case["events"]]


@pytest.mark.parametrize("case", VECTORS["scores"])
def test_a_score_is_what_the_vectors_say(case):
    assert score(case["probs"], case["certainty"], case["alarm"]) == pytest.approx(case["score"], abs=1e-9)


def test_the_rule_remembers_no_more_after_weeks():
    alarm = Alarm(Rule())
    for t in range(20_000):
        alarm.step(t, [(t, 0.1)])
    assert len(alarm.tracks) <= alarm.rule.memory + 1


def test_nothing_else_imports_opencv():
    files = [file for file in (ROOT / "bears").rglob("*.py") if file.parent.name != "watch"]
    assert not [file for file in files if {"cv2"} & {name.split(".")[0] for name in imports(file)}]


@pytest.fixture(scope="module")
def open_model():
    return Model(ROOT / "export.pkl")


@pytest.fixture
def opened(open_model, monkeypatch):
    """The command uses the model that is open already."""
    monkeypatch.setattr(command, "Model", lambda file, trust: open_model)


def meadow(seed=0):
    """A still scene with some texture: (h, w, 3) of uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 140, (9, 16, 3), np.uint8)
    scene = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return cv2.add(scene, rng.integers(0, 30, scene.shape, np.uint8))


def walk(photo, seconds=8, height=200):
    """Frames of a still scene through which a photo is carried, from the second second on."""
    scene, rng = meadow(), np.random.default_rng(1)
    animal = cv2.imread(str(ROOT / "examples" / f"{photo}.jpg"))
    animal = cv2.resize(animal, (round(height * animal.shape[1] / animal.shape[0]), height))
    for n in range(seconds * RATE):
        picture = cv2.add(scene, rng.integers(0, 6, scene.shape, np.uint8))
        x = (n - 2 * RATE) * 15
        if 0 <= x < WIDTH - animal.shape[1]:
            picture[100 : 100 + height, x : x + animal.shape[1]] = animal
        yield Frame(n / RATE, picture)


def write_film(file, pictures):
    writer = cv2.VideoWriter(str(file), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    for frame in pictures:
        writer.write(frame.picture)
    writer.release()
    return str(file)


def events_of(folder):
    return [json.loads(file.read_text()) for file in sorted(folder.glob("events/*/event.json"))]


def size_of(file):
    with Image.open(file) as picture:
        return picture.size


@pytest.fixture(scope="module")
def bear_watch(open_model, tmp_path_factory):
    """What the command keeps of a film of a bear."""
    folder = tmp_path_factory.mktemp("watch")
    film = write_film(folder / "bear.mp4", walk("grizzly"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "Model", lambda file, trust: open_model)
        command.main([film, "--to", str(folder / "kept")])
    return folder / "kept"


def test_a_bear_alarms_once_and_its_folder_says_why(bear_watch):
    [event] = events_of(bear_watch)
    assert event["label"] == "grizzly" and event["alarm"] == REAL and event["median"] > 0.5
    assert 2 < event["seconds"] < 5 and event["why"].startswith("The latest scores of track ")
    [folder] = (bear_watch / "events").iterdir()
    likely = [entry for entry in event["scores"] if entry["score"] > 0.5]
    assert len(likely) >= 2
    for entry in likely:
        left, top, right, bottom = entry["box"]
        assert size_of(folder / entry["picture"]) == (right - left, bottom - top)
    assert size_of(folder / "frame.jpg") == (WIDTH, HEIGHT)
    clip = cv2.VideoCapture(str(folder / "clip.mp4"))
    shown = sum(iter(clip.grab, False))
    assert shown > 3 * RATE and clip.get(cv2.CAP_PROP_FRAME_WIDTH) == 480


def test_a_teddy_alarms_nobody_and_the_log_says_that_it_was_seen(opened, tmp_path, capsys):
    command.main([write_film(tmp_path / "teddy.mp4", walk("teddy")), "--to", str(tmp_path / "kept")])
    assert not events_of(tmp_path / "kept") and "; 0 alarms\n" in capsys.readouterr().out
    [log] = (tmp_path / "kept" / "scores").iterdir()
    about, *looks = map(json.loads, log.read_text().splitlines())
    assert about["alarm"] == REAL and about["rule"]["threshold"] == Rule().threshold
    assert any(look["certainty"] == "sure" and look["probs"]["teddy"] > 0.9 for look in looks)


def test_a_replay_says_why_it_alarmed_and_what_other_settings_had_done(bear_watch, capsys):
    command.main(["--replay", str(bear_watch)])
    said = capsys.readouterr().out
    [event] = events_of(bear_watch)
    assert f"  {event['seconds']:.1f} s, " in said and f"ALARM, track {event['track']}: " in said
    assert "0.5: 1, " in said
    command.main(["--replay", str(bear_watch), "--alarm", "teddy", "--threshold", "0.2"])
    said = capsys.readouterr().out
    assert "ALARM" not in said and "the highest medians" in said and "alarm for teddy, threshold 0.2" in said


@pytest.mark.parametrize(
    "args, said",
    [
        (
            ["nowhere.mp4"],
            "There is no nowhere.mp4: name a film, a folder, a camera (0) or a stream (rtsp://, http://).",
        ),
        (["notes.txt"], "notes.txt is no film that can be opened here: name another, or convert it to MP4."),
        (["film.mp4", "--alarm", "black,panda"], "The model knows no panda: name some of black, grizzly, teddy with"),
        (
            ["film.mp4", "--to", "notes.txt"],
            "notes.txt cannot be written to (File exists): name another folder",
        ),
        (["film.mp4", "--model", "none.pkl"], "There is no model none.pkl."),
        (["--replay", "nowhere"], "There are no scores in nowhere: name a folder that a watch has written."),
    ],
)
def test_what_is_wrong_is_one_sentence(args, said, open_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "Model", Model if "--model" in args else lambda file, trust: open_model)
    (tmp_path / "notes.txt").write_text("no film")
    write_film("film.mp4", walk("teddy", seconds=1))
    with pytest.raises(SystemExit, match=r"^bears\.watch: ") as e:
        command.main(args)
    assert str(e.value).startswith(f"bears.watch: {said}") and "\n" not in str(e.value)


@pytest.mark.parametrize(
    "option",
    [["--until", "25:00"], ["--threshold", "2"], ["--quiet-hours", "22"], ["--webhook", "x"], ["--every", "0"]],
)
def test_options_that_make_no_sense_are_refused(option, capsys):
    with pytest.raises(SystemExit):
        command.parse_args(["0", *option])
    assert option[0] in capsys.readouterr().err.splitlines()[-1]


# Where something moves


def boxes(pictures, rate=RATE):
    movement = Movement()
    return [movement.boxes(picture, n / rate) for n, picture in enumerate(pictures)]


def noisy(picture, n):
    return cv2.add(picture, np.random.default_rng(n).integers(0, 6, picture.shape, np.uint8))


def test_nothing_moves_in_a_still_scene_with_noise():
    assert boxes(noisy(meadow(), n) for n in range(40)) == [[]] * 40


def test_what_moves_is_found_where_it_is():
    found = boxes(frame.picture for frame in walk("grizzly"))
    [(x, y, width, height)] = found[4 * RATE]
    assert abs(x - 2 * RATE * 15) < 40 and abs(y - 100) < 30 and abs(width - 230) < 60 and abs(height - 200) < 40


def test_a_camera_that_shakes_moves_nothing():
    scene, rng = meadow(), np.random.default_rng(2)
    shaken = [np.roll(scene, rng.integers(-8, 9, 2), (0, 1)) for _ in range(60)]
    assert sum(map(len, boxes(noisy(picture, n) for n, picture in enumerate([scene] * 20 + shaken)))) < 6


def test_when_the_light_goes_out_the_background_is_learnt_anew():
    dark = meadow() // 4
    found = boxes(noisy(meadow() if n < 20 else dark, n) for n in range(40))
    assert found[20] is None and found[21:] == [[]] * 19


def test_light_that_drifts_moves_nothing():
    assert not any(boxes(noisy(cv2.convertScaleAbs(meadow(), alpha=1 - n / 300), n) for n in range(100)))


class Scorer:
    """In the place of the model, where what it says does not matter: sure of a bear where there is much red."""

    def __init__(self):
        self.asked = 0

    def ask(self, pictures, alone):
        self.asked += len(pictures)
        for picture in pictures:
            red, green, _ = np.asarray(picture, float).mean((0, 1))
            prob = 0.99 if red > green + 30 else 0.01
            yield {"black": prob, "grizzly": 0, "teddy": 1 - prob}, "sure", None, None


def red_visitor(seconds, begin, end, stop=None):
    """Frames with a red thing from `begin` to `end` seconds that walks, until `stop` seconds after it came."""
    scene = meadow()[::2, ::2].copy()
    for n in range(seconds * RATE):
        picture, t = noisy(scene, n), n / RATE
        if begin <= t < end:
            x = round(10 + 20 * min(t - begin, stop or t))
            picture[60:120, x : x + 60] = (30, 30, 220)
        yield Frame(t, picture)


def test_what_came_and_stands_still_stays_watched():
    steps = list(watch(red_visitor(90, 5, 90, stop=4), Scorer(), REAL))
    looks = [step.frame.seconds for step in steps for look in step.looks if look.track and look.score > 0.5]
    assert max(looks) > 85 and max(np.diff(looks)) < 5
    assert [event["event"] for step in steps for event in step.events] == ["alarm"]


def test_a_stump_that_looks_like_a_bear_alarms_once_and_not_for_ever():
    scene = meadow()[::8, ::8] // 2 + np.uint8((0, 0, 100))
    steps = list(watch((Frame(2.0 * n, noisy(scene, n)) for n in range(600)), Scorer(), REAL))
    assert [(e["event"], e["seconds"] < 700) for step in steps for e in step.events] == [("alarm", True), ("end", True)]


def test_a_visit_ends_and_the_next_one_alarms_again():
    two = [*red_visitor(100, 5, 12), *(Frame(t + 100, picture) for t, picture in red_visitor(20, 5, 12))]
    events = [(e["event"], round(e["seconds"])) for step in watch(two, Scorer(), REAL) for e in step.events]
    assert [kind for kind, _ in events] == ["alarm", "end", "alarm"] and events[0][1] < 9 and 105 <= events[2][1] < 109


@pytest.mark.slow  # it takes seconds
def test_eight_hours_take_no_more_memory_than_one(tmp_path):
    scenes = [noisy(meadow(), n)[::2, ::2] for n in range(20)]

    def night():
        for n in range(8 * 300):  # a frame every twelve seconds; a visit every half hour, and things that move
            picture, x = scenes[n % 20].copy(), n * 37 % 300
            picture[20:50, x : x + 30] = (200, 200, 40)
            if 20 < n % 150 < 32:
                picture[60:120, 8 * (n % 150) : 8 * (n % 150) + 60] = (30, 30, 220)
            yield Frame(12.0 * n, picture)

    about = {
        "source": "night",
        "rule": vars(Rule()),
        "classes": REAL,
        "alarm": REAL,
        "live": False,
        "whole_only": False,
    }
    record, used, alarms = Record(tmp_path, 1, about), [], 0
    for n, step in enumerate(watch(night(), Scorer(), REAL)):
        record.add(step)
        alarms += any(event["event"] == "alarm" for event in step.events)
        if n % 300 == 299:
            used.append(memory(os.getpid()))
    record.close()
    assert alarms == 16
    assert used[-1] - used[0] < 30e6


# Where frames come from


def test_a_folder_gives_each_photo_once_it_is_complete(open_model, tmp_path, capsys):
    photo = (ROOT / "examples" / "grizzly.jpg").read_bytes()
    (tmp_path / "old.jpg").write_bytes(photo)
    source = frames.open_source(str(tmp_path), 0.1)

    def camera():
        for n in range(3):
            with (tmp_path / f"{n}.jpg").open("wb") as file:
                file.write(photo[: len(photo) // 2])
                file.flush()
                time.sleep(1)
                file.write(photo[len(photo) // 2 :])
        (tmp_path / "notes.txt").write_text("no photo")

    threading.Thread(target=camera).start()
    seen, end = 0, time.monotonic() + 30
    for step in watch(source.frames(), open_model, REAL, whole_only=True):
        seen += len(step.looks)
        assert time.monotonic() < end
        if step.events:
            break
    assert seen == 3 and step.events[0]["label"] == "grizzly"
    [said] = capsys.readouterr().out.splitlines()
    assert said.endswith("  Photos that are there already (1) are not looked at, only those that come")


def test_all_photos_that_come_at_once_are_looked_at(tmp_path):
    source = frames.open_source(str(tmp_path), 0.1)
    for n in range(8):
        shutil.copy(ROOT / "examples" / "teddy.jpg", tmp_path / f"{n}.jpg")
    looks = (look for step in watch(source.frames(), Scorer(), REAL, whole_only=True) for look in step.looks)
    assert len(list(itertools.islice(looks, 8))) == 8


def test_a_photo_that_is_written_over_comes_again(tmp_path):
    shutil.copy(ROOT / "examples" / "grizzly.jpg", tmp_path / "latest.jpg")
    came = (frame for frame in frames.open_source(str(tmp_path), 0.1).frames() if frame.picture is not None)
    threading.Timer(1, shutil.copy, [ROOT / "examples" / "teddy.jpg", tmp_path / "latest.jpg"]).start()
    assert next(came).picture.shape == cv2.imread(str(ROOT / "examples" / "teddy.jpg")).shape


class Camera(BaseHTTPRequestHandler):
    """Streams MJPEG, 50 frames a second: grey ones, of which each connection has another grey."""

    connections, script = 0, ()

    def do_GET(self):
        cls = type(self)
        n, cls.connections = cls.connections, cls.connections + 1
        what = self.script[min(n, len(self.script) - 1)]
        if what == "refuse":
            return self.send_error(503)
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for i in range(10_000):
                if what in ("stall", "drop") and i == 40:
                    time.sleep(60 if what == "stall" else 0)
                    return None
                jpeg = cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), self.grey(n, i), np.uint8))[1].tobytes()
                if i == 20 or (what == "break" and i > 40):
                    jpeg = jpeg[:30]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(0.02)
        except OSError:  # whoever watched is gone
            return None

    def grey(self, connection, i):
        return 50 * connection + 20

    def log_message(self, *args):
        pass


@pytest.fixture
def camera(monkeypatch):
    """A function that starts such a camera and gives its address."""
    started = []

    def start(*script, **more):
        handler = type("Scripted", (Camera,), {"script": script, **more})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://user:secret@127.0.0.1:{server.server_port}/video?token=secret"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_a_stream_that_stalls_drops_refuses_or_breaks_is_there_again(camera, monkeypatch, capsys):
    monkeypatch.setattr(frames, "TIMEOUT", 1)
    source = frames.open_source(camera("stall", "drop", "refuse", "break", "run"), 0.1)
    seen, end, ticks = [], time.monotonic() + 40, 0
    for frame in source.frames():
        assert time.monotonic() < end, seen
        ticks += frame.picture is None
        if frame.picture is not None and (not seen or seen[-1] != frame.picture[0, 0, 0]):
            seen.append(frame.picture[0, 0, 0])
        if len(seen) == 4:
            break
    source.close()
    assert [int(grey) // 50 for grey in seen] == [0, 1, 3, 4] and ticks
    said = capsys.readouterr().out
    assert "gives no picture" in said and "is there again" in said and "secret" not in said


def test_a_slow_model_gets_the_newest_frame(camera):
    url = camera("run", grey=lambda self, connection, i: i % 250)
    source = frames.open_source(url, 0.01)
    greys = []
    for frame in source.frames():
        if frame.picture is not None:
            greys.append(int(frame.picture[0, 0, 0]))
            if len(greys) == 4:
                break
            time.sleep(0.5)
    source.close()
    assert min(np.diff(greys) % 250) > 10  # of the 25 frames, or nearly, that are sent in half a second


@needs("ffmpeg")
def test_an_rtsp_camera_that_stalls_drops_and_refuses_is_there_again(monkeypatch, capsys):
    monkeypatch.setattr(frames, "TIMEOUT", 1)
    camera, end = Rtsp("stall", "drop", "refuse", "run"), time.monotonic() + 60
    source = frames.open_source(camera.url(), 0.1)
    seen = []
    for frame in source.frames():
        assert time.monotonic() < end, seen
        if frame.picture is not None and seen != camera.played:
            assert frame.picture.shape == (360, 640, 3)
            seen = list(camera.played)
        if seen == ["stall", "drop", "run"]:
            break
    source.close(), camera.close()
    said = capsys.readouterr().out
    assert "gives no picture" in said and "is there again" in said and "secret" not in said


@needs("ffmpeg")
def test_a_stream_that_comes_in_pieces_is_seen_evenly(tmp_path):
    camera = Hls(tmp_path)
    source, end = frames.open_source(f"{camera.url}live.m3u8", 0.2), time.monotonic() + 60
    came = (frame.picture is not None for frame in source.frames() if time.monotonic() < end)
    list(itertools.takewhile(bool, came))  # what was there already
    assert sum(itertools.islice(came, 25)) > 20
    source.close(), camera.close()


# What is done about it


class Hook(BaseHTTPRequestHandler):
    """Takes events, in one of several bad ways."""

    got, way = [], "ok"

    def do_POST(self):
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if self.way == "never":
            time.sleep(60)
        if self.way == "slow":
            time.sleep(0.5)
        self.send_response(500 if self.way == "error" or (self.way == "once" and len(self.got) == 1) else 200)
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.mark.parametrize(
    "way, got, said",
    [
        ("ok", 2, ""),
        ("slow", 2, ""),
        ("once", 3, ""),
        ("error", 6, "the webhook did not take the event, 3 times (status 500)"),
        ("never", 3, "the webhook did not take the event, 3 times (ReadTimeout)"),
    ],
)
def test_a_webhook_never_holds_up_the_watch(way, got, said, monkeypatch, capsys):
    monkeypatch.setattr(tell, "PAUSE", 0.01), monkeypatch.setattr(tell, "TIMEOUT", (1, 0.6))
    monkeypatch.setattr(tell, "PATIENCE", 2.2)
    handler = type("Bad", (Hook,), {"got": [], "way": way})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook, start = tell.Webhook(f"http://127.0.0.1:{server.server_port}"), time.monotonic()
    hook.send({"event": "alarm"}), hook.send({"event": "end"})
    assert time.monotonic() - start < 0.1
    hook.close()
    server.shutdown(), server.server_close()
    assert len(handler.got) >= got and handler.got[0] == {"event": "alarm"}
    assert said in capsys.readouterr().out


def test_events_that_a_webhook_does_not_take_do_not_gather(monkeypatch):
    monkeypatch.setattr(tell, "PATIENCE", 0)
    hook = tell.Webhook("http://127.0.0.1:9")
    for n in range(1000):
        hook.send({"n": n})
    hook.close()
    assert hook.events.qsize() <= tell.WAITING


def test_a_webhook_gets_what_has_happened(monkeypatch):
    sent = []
    monkeypatch.setattr(tell.Webhook, "send", lambda self, event: sent.append(json.loads(json.dumps(event))))
    teller = tell.Teller("http://127.0.0.1:9", False, None, ABOUT, "bear")
    alarm = {"event": "alarm", "seconds": 2.0, "track": 1, "median": 0.9, "label": "black"}
    teller.tell(alarm, ROOT), teller.tell({"event": "end", "seconds": 80.0}, None)
    assert sent[0].items() >= {**alarm, "source": "x", "folder": str(ROOT)}.items() and "time" in sent[0]
    assert sent[1]["event"] == "end"


def test_the_sound_is_a_second_or_two(tmp_path):
    tell.write_tones(tmp_path / "alarm.wav")
    with wave.open(str(tmp_path / "alarm.wav")) as sound:
        assert 1 < sound.getnframes() / sound.getframerate() < 3


def test_it_stops_the_next_time_that_it_is_so_late():
    evening = datetime(2026, 5, 31, 21, 30, 5)
    assert command.next_time(command.clock("07:00"), evening) == datetime(2026, 6, 1, 7)
    assert command.next_time(command.clock("21:31"), evening) == datetime(2026, 5, 31, 21, 31)


def test_a_camera_is_watched_until_then(opened, camera, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "next_time", lambda minute, now: now + timedelta(seconds=2))
    command.main([camera("run"), "--until", "07:00", "--to", str(tmp_path / "kept")])
    assert re.search(
        r"\n\S+ \S+  \d+ frames, \S+ a second; the model was asked \d+ times; 0 alarms\n", capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "now, quiet",
    [("21:59", False), ("22:00", True), ("23:30", True), ("00:00", True), ("05:59", True), ("06:00", False)],
)
def test_quiet_hours_may_be_those_of_a_night(now, quiet):
    hours = command.hours("22:00-06:00")
    assert tell.is_within(datetime.strptime(now, "%H:%M"), *hours) == quiet
    assert not tell.is_within(datetime.strptime(now, "%H:%M"), *command.hours("12:00-13:00"))


def test_in_quiet_hours_alarms_are_said_and_kept_but_not_sent(opened, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tell.Webhook, "send", lambda self, event: pytest.fail("was sent"))
    film = write_film(tmp_path / "bear.mp4", walk("grizzly"))
    options = ["--to", str(tmp_path / "kept"), "--webhook", "http://127.0.0.1:9", "--quiet-hours", "00:00-23:59"]
    command.main([film, *options])
    assert "(quiet hours)" in capsys.readouterr().out and len(events_of(tmp_path / "kept")) == 1


def test_the_oldest_goes_when_there_is_too_much_and_never_the_newest(tmp_path):
    for n in range(6):
        folder = tmp_path / "events" / f"2026-01-0{n} 12-00-00.000"
        folder.mkdir(parents=True)
        (folder / "frame.jpg").write_bytes(bytes(1000))
    (tmp_path / "events" / "mine").mkdir()
    Record(tmp_path, 3500 / GB, ABOUT)
    assert sorted(path.name[8:10] for path in tmp_path.glob("events/2026*/")) == ["03", "04", "05"]
    Record(tmp_path, 1 / GB, ABOUT)
    assert sorted(path.name[8:10] for path in tmp_path.glob("events/2026*/")) == ["05"]
    assert (tmp_path / "events" / "mine").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that takes nothing")
def test_a_full_disk_is_one_sentence_and_watching_goes_on(tmp_path, capsys):
    record = Record(tmp_path, 1, ABOUT)
    steps = list(watch(red_visitor(12, 3, 9), Scorer(), REAL))
    for n, step in enumerate(steps):
        record.add(step)
        if n == 0:
            record.file.unlink()
            record.file.symlink_to("/dev/full")
    record.close()
    said = capsys.readouterr().out
    assert said.count("takes nothing (No space left on device): watching goes on") == 1


# Ending it


@needs_posix
@pytest.mark.parametrize("after", [0.3, "Watching", "ALARM"])
def test_ctrl_c_ends_it_at_any_moment_in_words(after, camera, tmp_path):
    def bear(self, connection, i):  # nothing to see; the alarm's moment is that of a film
        return 90

    film = write_film(tmp_path / "bear.mp4", walk("grizzly")) if after == "ALARM" else camera("run", grey=bear)
    args = [sys.executable, "-u", "-m", "bears.watch", film, "--to", str(tmp_path / "kept"), "--threshold", "0.3"]
    with subprocess.Popen(args, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if isinstance(after, str):
            for line in process.stdout:
                if after in line:
                    break
        else:
            time.sleep(after)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode != 0 and "Traceback" not in err
    if isinstance(after, str):
        assert re.fullmatch(r"bears\.watch: stopped\. Scores and events are in \S+\n", err), err
        assert " a second; the model was asked " in out
    if after == "ALARM":
        [folder] = (tmp_path / "kept" / "events").iterdir()
        assert {"event.json", "frame.jpg", "clip.mp4"} <= {file.name for file in folder.iterdir()}
