"""Test `python3 -m bears watch`: sources, movement, alarms, recordings and notifications."""

import io
import itertools
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from bears.clean.events import FALSE_ALARM, Alarms, rank_events
from bears.clean.page import Review, Step
from bears.errors import WatchError
from bears.model.classifier import Classifier
from bears.watch import __main__ as command
from bears.watch import frames, notify
from bears.watch.alarm import PHOTO, Alarm, Rule, score
from bears.watch.engine import Frame, watch
from bears.watch.learnt import open_picture
from bears.watch.record import GB, Record, append
from bears.watch.replay import replay
from bears.watch.schedule import Schedule
from bears.watch.zones import in_pixels
from helpers import ROOT, children, memory, needs, own_memory
from hostile import huge_jpeg
from PIL import Image
from streams import Hls, Rtsp
from test_project import imports

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; only Linux limits memory")
WIDTH, HEIGHT, RATE = 640, 360, 5
REAL = ["black", "grizzly"]
ABOUT = {"source": "x", "rule": vars(Rule()), "classes": REAL, "alarm": REAL, "live": False, "whole_only": False}
VECTORS = json.loads((ROOT / "docs" / "alarm_vectors.json").read_text(encoding="utf-8"))


def pairs(values):
    """Return the (track, score) pairs of a step in the test vectors."""
    return [(0, *values)] if len(values) == 1 else list(zip(values[1::2], values[::2]))


@pytest.mark.parametrize("case", VECTORS["cases"] + VECTORS["slow"], ids=lambda case: case["name"])
def test_the_rule_does_what_its_vectors_say(case):
    alarm, took = Alarm(Rule(**case["rule"])), [case["took"]] if "took" in case else []
    events = [event for t, *values in case["steps"] for event in alarm.step(t, pairs(values), *took)]
    expected = [dict(zip(("event", "seconds", "track", "median"), event)) for event in case["events"]]
    assert events == [pytest.approx(event, abs=1e-9) for event in expected]


@pytest.mark.parametrize("case", VECTORS["schedules"], ids=lambda case: case["name"])
def test_the_schedule_does_what_its_vectors_say(case):
    schedule, fields = Schedule(), {"changed": False, "old": False}
    for call in case["calls"]:
        tracks = [SimpleNamespace(**{**fields, **track}) for track in call["tracks"]]
        for track in tracks:
            track.looked = float("-inf") if track.looked is None else track.looked
        chosen = schedule.next(tracks, call["t"], case["enough"], call["took"])
        assert [track.number for track in chosen] == call["next"]


@pytest.mark.parametrize("case", VECTORS["scores"])
def test_a_score_is_what_the_vectors_say(case):
    group = case.get("group", ())
    assert score(case["probs"], case["certainty"], case["alarm"], group) == pytest.approx(case["score"], abs=1e-9)


@pytest.mark.parametrize("case", VECTORS["zones"])
def test_the_ignored_pixels_are_those_of_the_vectors(case):
    assert list(in_pixels(tuple(case["zone"]), *case["size"])) == case["pixels"]


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
    return Classifier(ROOT / "export.pkl")


@pytest.fixture
def opened(open_model, monkeypatch):
    """Let the command use the model that is already open."""
    monkeypatch.setattr(command, "Classifier", lambda file, trust, detect: open_model)


def meadow(seed=0):
    """Return a still scene with some texture, uint8 (h, w, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 140, (9, 16, 3), np.uint8)
    scene = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return cv2.add(scene, rng.integers(0, 30, scene.shape, np.uint8))


def walk(photo, seconds=8, height=200):
    """Yield frames of a still scene. After two seconds, a photo begins to move through the scene."""
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
    """Run the command on a film of a bear, and return its folder."""
    folder = tmp_path_factory.mktemp("watch")
    film = write_film(folder / "bear.mp4", walk("grizzly"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "Classifier", lambda file, trust, detect: open_model)
        command.main([film, "--out", str(folder / "kept")])
    return folder / "kept"


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_teddy_alarms_nobody_and_the_log_says_that_it_was_seen(opened, tmp_path, capsys):
    command.main([write_film(tmp_path / "teddy.mp4", walk("teddy")), "--out", str(tmp_path / "kept")])
    assert not events_of(tmp_path / "kept") and "; 0 alarms\n" in capsys.readouterr().out
    [log] = (tmp_path / "kept" / "scores").iterdir()
    about, *looks = map(json.loads, log.read_text().splitlines())
    assert about["alarm"] == REAL and about["rule"]["threshold"] == Rule().threshold
    assert any(look["certainty"] == "sure" and look["probs"]["teddy"] > 0.9 for look in looks)


@pytest.mark.slow
def test_a_replay_says_why_it_alarmed_and_what_other_settings_had_done(bear_watch, capsys):
    command.main(["--replay", str(bear_watch)])
    said = capsys.readouterr().out
    [event] = events_of(bear_watch)
    assert f"  {event['seconds']:.1f} s, " in said and f"ALARM, track {event['track']}: " in said
    assert "0.5: 1, " in said
    command.main(["--replay", str(bear_watch), "--alarm", "teddy", "--threshold", "0.2"])
    said = capsys.readouterr().out
    assert "ALARM" not in said and "the highest medians" in said and "alarm for teddy, threshold 0.2" in said


@pytest.mark.slow
def test_what_was_called_a_false_alarm_alarms_no_more_and_a_bear_still_does(
    bear_watch, opened, open_model, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(open_model, "false_alarms", None)  # so that other tests get it back as it was
    watched = Path(shutil.copytree(bear_watch, tmp_path / "watched"))

    def alarms(photo):
        film, out = write_film(tmp_path / f"{photo}.mp4", walk(photo, height=180)), tmp_path / photo
        command.main([film, "--out", str(out), "--learn", str(watched)])
        return len(events_of(out))

    assert alarms("grizzly") == 1 and "has no false alarms" in capsys.readouterr().out
    review = Review(Alarms(watched), rank_events(watched))
    review.take(Step(action="move", name=review.waiting("grizzly")[0].name, goal=FALSE_ALARM))
    shutil.rmtree(tmp_path / "grizzly")
    assert [alarms("grizzly"), alarms("black")] == [0, 1]
    assert "pictures of false alarms" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "args, said",
    [
        (["film.mp4", "--learn", "nowhere"], "There is no folder nowhere. Give --learn the folder of a watch."),
        (
            ["nowhere.mp4"],
            "There is no nowhere.mp4. Give a film, a folder, a camera (0) or a stream (rtsp://, http://).",
        ),
        (["notes.txt"], "Can't open notes.txt as a film. Convert it to MP4, or choose another."),
        (
            ["film.mp4", "--alarm", "black,panda"],
            "--alarm: there is no class panda. Choose from black, grizzly, teddy.",
        ),
        (
            ["film.mp4", "--out", "notes.txt"],
            "notes.txt can't be written to (File exists). Choose another folder",
        ),
        (
            ["film.mp4", "--ignore", "0,0,1,0.5", "--ignore", "0,0.5,1,0.5"],
            "--ignore: some of the picture must be left to watch. Give smaller parts.",
        ),
        (["film.mp4", "--model", "none.pkl"], "There is no model none.pkl."),
        (["--replay", "nowhere"], "There are no scores in nowhere. Give the folder of a recorded watch."),
    ],
)
def test_what_is_wrong_is_one_sentence(args, said, open_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        command, "Classifier", Classifier if "--model" in args else lambda file, trust, detect: open_model
    )
    (tmp_path / "notes.txt").write_text("no film")
    write_film("film.mp4", walk("teddy", seconds=1))
    with pytest.raises(SystemExit, match=r"^bears\.watch: ") as e:
        command.main(args)
    assert str(e.value).startswith(f"bears.watch: {said}") and "\n" not in str(e.value)


@pytest.mark.parametrize(
    "option",
    [
        ["--until", "25:00"],
        ["--threshold", "2"],
        ["--quiet-hours", "22"],
        ["--hours", "07:00-07:00"],
        ["--webhook", "x"],
        ["--interval", "0"],
    ]
    + [["--ignore", part] for part in ("0,0,1", "left", "0,0,0,1", "1,0,0.5,1", "-0.1,0,1,1", "nan,0,1,1")]
    + [["--webhook", url] for url in ("http://a..b/", "http://", "https://h:99999/", "http://[::1", "http://a b/")],
)
def test_options_that_make_no_sense_are_refused(option, capsys):
    with pytest.raises(SystemExit):
        command.parse_args(["0", *option])
    assert option[0] in capsys.readouterr().err.splitlines()[-1]


def test_a_replay_learns_nothing(capsys):
    with pytest.raises(SystemExit):
        command.parse_args(["--replay", "watched", "--learn", "watched"])
    assert "--learn is for a new watch" in capsys.readouterr().err


def test_a_picture_of_a_false_alarm_that_does_not_open_is_one_sentence(tmp_path):
    (tmp_path / "crop-1.jpg").write_text("no photo")
    with pytest.raises(WatchError, match=r"crop-1\.jpg can't be used: .*\. Move its folder away\."):
        open_picture(tmp_path / "crop-1.jpg")


# Passes and alarms


def noisy(picture, n):
    return cv2.add(picture, np.random.default_rng(n).integers(0, 6, picture.shape, np.uint8))


class Scorer:
    """Replace the model: sure of a bear if much of the picture is red."""

    def __init__(self, certainty="sure"):
        self.asked, self.certainty = 0, certainty

    def ask(self, pictures):
        self.asked += len(pictures)
        for picture in pictures:
            red, green, _ = np.asarray(picture, float).mean((0, 1))
            prob = 0.99 if red > green + 30 else 0.01
            yield {"black": prob, "grizzly": 0, "teddy": 1 - prob}, self.certainty, None, None


def red_visitor(seconds, begin, end, stop=None):
    """Yield frames with a red thing from `begin` to `end` seconds. It moves, but only for `stop` seconds if given."""
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


def test_photos_that_come_hours_apart_are_all_looked_at():
    scene = meadow()[::8, ::8]
    steps = list(watch((Frame(3600.0 * n, scene) for n in range(3)), Scorer(), REAL, whole_only=True))
    assert [len(step.looks) for step in steps] == [1, 1, 1]


def test_a_bear_that_comes_while_the_camera_was_away_alarms():
    scene = meadow()[::8, ::8] // 2 + np.uint8((0, 0, 100))
    times = [0, 1, *(2000 + 0.5 * n for n in range(20))]
    frames = (Frame(float(t), noisy(scene if t > 1 else meadow()[::8, ::8], n)) for n, t in enumerate(times))
    assert [e["event"] for step in watch(frames, Scorer(), REAL) for e in step.events] == ["alarm"]


def test_a_stump_that_looks_like_a_bear_alarms_once_and_not_for_ever():
    scene = meadow()[::8, ::8] // 2 + np.uint8((0, 0, 100))
    steps = list(watch((Frame(2.0 * n, noisy(scene, n)) for n in range(600)), Scorer(), REAL))
    assert [(e["event"], e["seconds"] < 700) for step in steps for e in step.events] == [("alarm", True), ("end", True)]


def test_a_stump_in_an_ignored_part_never_alarms():
    scene = meadow()[::8, ::8]
    scene[:, :40] = scene[:, :40] // 2 + np.uint8((0, 0, 100))
    stills = [Frame(2.0 * n, noisy(scene, n)) for n in range(30)]
    events = [
        [e["event"] for step in watch(stills, Scorer(), REAL, zones=zones) for e in step.events]
        for zones in ([], [(0, 0, 0.5, 1)])
    ]
    assert events == [["alarm"], []]


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
            used.append(own_memory(os.getpid()))  # without the browser of other tests
    record.close()
    assert alarms == 16
    assert used[-1] - used[0] < 30e6


# Sources of frames


@pytest.mark.slow
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
    assert said.endswith("  Skipping 1 photos that are already there; waiting for new ones")


def test_one_photo_alarms_if_the_model_is_sure():
    for red, certainty, alarms in ((200, "sure", 1), (200, "unsure", 0), (0, "sure", 0)):
        scorer, picture = Scorer(certainty), np.full((HEIGHT, WIDTH, 3), (0, 0, red), np.uint8)
        steps = list(watch([Frame(0.0, picture), Frame(1.0, None)], scorer, REAL, PHOTO, whole_only=True))
        assert sum(len(step.events) for step in steps) == alarms


@pytest.mark.slow
@needs_posix
def test_a_single_photo_in_a_folder_alarms_and_its_event_says_why(opened, tmp_path, monkeypatch, capsys):
    folder, end = tmp_path / "card", datetime.now() + timedelta(seconds=60)
    folder.mkdir()

    def come(minute):
        shutil.copy(ROOT / "examples" / "grizzly.jpg", folder)
        return lambda frame: datetime.now() < end and not events_of(tmp_path / "kept")

    monkeypatch.setattr(command, "not_yet", come)
    command.main([str(folder), "--out", str(tmp_path / "kept")])
    [event] = events_of(tmp_path / "kept")
    assert event["label"] == "grizzly" and re.match(r"The score of the photo, [\d.]+, is at least the", event["why"])
    assert event["rule"]["threshold"] == PHOTO.threshold and event["scores"][0]["picture"] == "crop-1.jpg"


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
    """Stream MJPEG, 50 grey frames a second, in another grey for each connection."""

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
                jpeg = self.frame(n, i)
                if i == 20 or (what == "break" and i > 40):
                    jpeg = jpeg[:30]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(0.02)
        except OSError:  # the client has gone
            return None

    def frame(self, n, i):
        return cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), self.grey(n, i), np.uint8))[1].tobytes()

    def grey(self, connection, i):
        return 50 * connection + 20

    def log_message(self, *args):
        pass


@pytest.fixture
def camera(monkeypatch):
    """Return a function that starts a `Camera` and returns its address."""
    started = []

    def start(*script, base=Camera, **more):
        handler = type("Scripted", (base,), {"script": script, **more})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://user:secret@127.0.0.1:{server.server_port}/video?token=secret"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
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
    assert "No picture from" in said and "is back" in said and "secret" not in said


@pytest.mark.slow
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
    assert min(np.diff(greys) % 250) > 10  # about 25 frames are sent in half a second


@pytest.mark.slow
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
    assert "No picture from" in said and "is back" in said and "secret" not in said


@pytest.mark.slow
@needs("ffmpeg")
def test_a_stream_that_comes_in_pieces_is_seen_evenly(tmp_path):
    camera = Hls(tmp_path)
    source, end = frames.open_source(f"{camera.url}live.m3u8", 0.2), time.monotonic() + 60
    came = (frame.picture is not None for frame in source.frames() if time.monotonic() < end)
    list(itertools.takewhile(bool, came))  # what was there already
    assert sum(itertools.islice(came, 25)) > 20
    source.close(), camera.close()


@pytest.mark.parametrize(
    "source, name",
    [
        ("http://admin:P@SECRET@192.168.1.20:8080/video", "http://192.168.1.20:8080"),
        ("http://admin:SECRET/SECRET@192.168.1.20/video", "http://192.168.1.20"),
        ("http://admin:SEC?SECRET@cam.local/video", "http://cam.local"),
        ("http://admin:SEC#SECRET@cam.local:81/video", "http://cam.local:81"),
        ("http://admin:SEC:RET@cam.local/video?x=SECRET", "http://cam.local"),
        ("http://admin:12/SECRET@cam.local/video", "http://…"),
        ("http://admin:P@SECRET/SECRET@cam.local/video", "http://…"),
        ("http://admin:SECRET", "http://…"),
        ("RTSP://admin:SECRET@[fe80::1]:554/", "RTSP://[fe80::1]:554"),
        ("rtsp://192.168.1.20/user=admin&password=SECRET&channel=1", "rtsp://192.168.1.20"),
        ("rtsp://192.168.1.20:554/user=admin&password=S@SECRET&channel=1", "rtsp://192.168.1.20:554"),
        ("rtsp://cam.local/user=admin&password=S@SECRET", "rtsp://…"),
        ("https://cam.local/live;token=SECRET?password=SECRET#SECRET", "https://cam.local"),
    ],
)
def test_the_name_of_a_camera_holds_no_password(source, name):
    assert frames.open_source(source, 1).name == name


@pytest.mark.parametrize("source", ["rtmp://admin:SECRET@192.168.1.20/live", "rtsp:/admin:SECRET@192.168.1.20/live"])
def test_an_address_that_is_no_stream_is_refused_without_its_password(source):
    with pytest.raises(WatchError, match=r"There is no rt[ms]p://192\.168\.1\.20\. Give a film") as e:
        frames.open_source(source, 1)
    assert "SECRET" not in str(e.value)


@pytest.mark.slow  # a process reads each film
def test_a_film_whose_name_has_a_colon_is_watched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.move(write_film("film.mp4", walk("teddy", seconds=1)), "06:30 front: door.mp4")
    with closing(frames.open_source("06:30 front: door.mp4", 0.2)) as source:
        assert len(list(source.frames())) == RATE


def write_frames(file, width, height):
    writer = cv2.VideoWriter(str(file), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), RATE, (width, height))
    for _ in range(RATE):
        writer.write(np.zeros((height, width, 3), np.uint8))
    writer.release()
    return str(file)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(4000, 16), (4000, 2), (16, 640), (12, 12)])
def test_a_film_too_thin_or_small_to_watch_is_one_sentence(size, tmp_path):
    file = write_frames(tmp_path / "thin.avi", *size)
    with pytest.raises(
        WatchError, match=r"thin\.avi has frames of {} × {} pixels\. Crop or scale it first".format(*size)
    ):
        frames.open_source(file, 0.2)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(320, 16), (16, 320), (16, 16), (642, 34)])
def test_the_smallest_frames_that_are_accepted_can_be_watched(size, tmp_path):
    with closing(frames.open_source(write_frames(tmp_path / "small.avi", *size), 0.2)) as source:
        record = Record(tmp_path, 1, ABOUT)
        for step in watch(source.frames(), Scorer(), REAL):
            record.add(step)
    assert step.frame.seconds > 0


class Odd(Camera):
    """Stream like a hostile camera: every second frame is unusable, or a part of the stream never ends."""

    def frame(self, n, i):
        if i % 2:
            return cv2.imencode(".jpg", np.full((HEIGHT, WIDTH, 3), 90, np.uint8))[1].tobytes()
        dice = random.Random(i)
        sizes = [(20_000, 20_000), (65_500, 2), (1, 1), (60_000, 60_000), (4_000, 16)]
        jpeg = huge_jpeg(*dice.choice(sizes))
        return dice.choice([jpeg, dice.randbytes(3_000), b"", jpeg[: dice.randrange(len(jpeg))], b"\xff\xd8" * 500])


def readers():
    """Return the processes that read sources."""
    return [child for child in children(os.getpid()) if "read_frames" in Path(f"/proc/{child}/cmdline").read_text()]


@contextmanager
def measured_memory():
    """Yield a list, and append to it twenty times a second how many bytes all `readers` have in memory."""
    sizes, done = [0], threading.Event()

    def measure():
        while not done.wait(0.05):
            with suppress(OSError, TypeError):  # a process has just ended
                sizes.append(sum(memory(child) for child in readers()))

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        yield sizes
    finally:
        done.set()
        thread.join()


@needs_linux
@pytest.mark.slow
def test_the_watch_survives_every_frame_of_a_hostile_camera(camera):
    source, seen, end = frames.open_source(camera("run", base=Odd), 0.02), 0, time.monotonic() + 60
    with measured_memory() as sizes, closing(source):
        for step in watch(source.frames(), Scorer(), REAL):
            seen += step.frame.picture is not None
            assert step.frame.picture is None or step.frame.picture.shape == (HEIGHT, WIDTH, 3)
            assert time.monotonic() < end
            if seen == 40:
                break
    assert 30e6 < max(sizes) < 700e6 and not readers()


class Endless(Camera):
    """Stream a first frame that never ends, on the first connection only."""

    def do_GET(self):
        cls = type(self)
        cls.connections += 1
        if cls.connections > 1:
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8")
            while True:
                self.wfile.write(bytes(2**20))


@needs_linux
@pytest.mark.slow
def test_a_frame_that_never_ends_takes_no_more_memory_than_is_allowed(camera, monkeypatch, capsys):
    little = f'ulimit -v 900000; exec "{sys.executable}" -m bears.watch.read_frames'
    monkeypatch.setattr(frames, "COMMAND", ["sh", "-c", little])
    source, end = frames.open_source(camera("run", base=Endless), 0.05), time.monotonic() + 60
    with measured_memory() as sizes, closing(source):
        for frame in source.frames():
            assert time.monotonic() < end
            if frame.picture is not None:
                break
    said = capsys.readouterr().out
    assert 100e6 < max(sizes) < 900e6 and "No picture from" in said and "; reconnecting…" in said


@needs_linux
@pytest.mark.slow
def test_the_process_that_reads_ends_with_the_watch_and_a_hung_one_is_replaced(camera):
    source = frames.open_source(camera("run"), 0.1)
    pictures = (frame.picture for frame in source.frames() if frame.picture is not None)
    with closing(source):
        next(pictures)
        [first] = readers()
        os.kill(int(first), signal.SIGKILL)
        next(pictures), next(pictures)  # the first may have come before
        [second] = readers()
    assert first != second and not readers()


@needs_posix
def test_what_is_neither_film_nor_folder_is_one_sentence(tmp_path):
    os.mkfifo(tmp_path / "film.mp4")
    with pytest.raises(WatchError, match=r"film\.mp4 is neither a file nor a folder\. Give a film"):
        frames.open_source(str(tmp_path / "film.mp4"), 1)


@needs_posix
def test_pipes_and_broken_links_among_photos_hold_nothing_up(tmp_path):
    came = frames.open_source(str(tmp_path), 0.1).frames()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nothing.jpg")
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    shutil.copy(ROOT / "examples" / "teddy.jpg", tmp_path / "z.jpg")
    (tmp_path / "linked.jpg").symlink_to(tmp_path / "z.jpg")
    pictures = (frame.picture for frame in came if frame.picture is not None)
    assert len(list(itertools.islice(pictures, 2))) == 2


@pytest.mark.slow
def test_a_photo_among_many_thousands_is_looked_at_within_seconds(tmp_path):
    for n in range(50_000):
        os.close(os.open(tmp_path / f"{n:06}.jpg", os.O_CREAT))
    source = frames.open_source(str(tmp_path), 0.1)
    looked_for = source.frames()
    next(looked_for)
    shutil.copy(ROOT / "examples" / "teddy.jpg", tmp_path / "new.jpg")
    start = time.monotonic()
    assert next(frame for frame in looked_for if frame.picture is not None)
    assert time.monotonic() - start < 15


def test_a_disk_that_is_away_for_a_while_brings_no_photo_again(tmp_path):
    shutil.copy(ROOT / "examples" / "teddy.jpg", tmp_path / "old.jpg")
    came = frames.open_source(str(tmp_path), 0.1).frames()
    for move in (("old.jpg", "hidden"), ("hidden", "old.jpg")):
        (tmp_path / move[0]).rename(tmp_path / move[1])
        assert not any(frame.picture is not None for frame in itertools.islice(came, 6))


# Notifications and recordings


class Hook(BaseHTTPRequestHandler):
    """Take events as a webhook that misbehaves in one of several ways."""

    got, way = [], "ok"

    def do_POST(self):
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if self.way == "never":
            time.sleep(60)
        if self.way == "slow":
            time.sleep(0.5)
        if self.way == "drip":
            with suppress(OSError):
                for _ in range(200):
                    self.wfile.write(b"H")
                    time.sleep(0.1)
            return
        status = {"error": 500, "once": 500 if len(self.got) == 1 else 200, "redirect": 302, "strange": 304}
        self.send_response(status.get(self.way, 200))
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.mark.parametrize(
    "way, got, said",
    [
        ("ok", 2, ""),
        ("slow", 2, ""),
        ("once", 3, ""),
        ("error", 6, "the webhook did not accept the event, 3 times (status 500)"),
        ("never", 3, "the webhook did not accept the event, 3 times (ReadTimeout)"),
        ("drip", 3, "the webhook did not accept the event, 3 times (ReadTimeout)"),
        ("redirect", 6, "the webhook did not accept the event, 3 times (status 302)"),
        ("strange", 6, "the webhook did not accept the event, 3 times (status 304)"),
    ],
)
def test_a_webhook_never_holds_up_the_watch(way, got, said, monkeypatch, capsys):
    monkeypatch.setattr(notify, "PAUSE", 0.01), monkeypatch.setattr(notify, "TIMEOUT", (1, 0.6))
    monkeypatch.setattr(notify, "PATIENCE", 2.2)
    handler = type("Bad", (Hook,), {"got": [], "way": way})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook, start = notify.Webhook(f"http://127.0.0.1:{server.server_port}"), time.monotonic()
    hook.send({"event": "alarm"}), hook.send({"event": "end"})
    assert time.monotonic() - start < 0.1
    hook.close()
    server.shutdown(), server.server_close()
    assert len(handler.got) >= got and handler.got[0] == {"event": "alarm"}
    assert said in capsys.readouterr().out


def test_events_that_a_webhook_does_not_take_do_not_gather(monkeypatch):
    monkeypatch.setattr(notify, "PATIENCE", 0)
    hook = notify.Webhook("http://127.0.0.1:9")
    for n in range(1000):
        hook.send({"n": n})
    hook.close()
    assert hook.events.qsize() <= notify.WAITING


def test_every_event_that_a_webhook_does_not_take_is_said(monkeypatch, capsys):
    monkeypatch.setattr(notify, "PATIENCE", 0), monkeypatch.setattr(notify, "PAUSE", 60)
    hook = notify.Webhook("http://a..b/")
    for n in range(30):
        hook.send({"event": "alarm", "time": n})
    hook.close()
    said = capsys.readouterr().out
    early = len(re.findall(r"did not accept the event \(20 later ones wait\): alarm, \d+\n", said))
    late = int(re.search(r"did not accept the last (\d+) events before the end\n", said)[1])
    assert early + late == 30 and late >= 20


def test_a_webhook_gets_what_has_happened(monkeypatch):
    sent = []
    monkeypatch.setattr(notify.Webhook, "send", lambda self, event: sent.append(json.loads(json.dumps(event))))
    notifier = notify.Notifier("http://127.0.0.1:9", False, None, ABOUT, "bear")
    alarm = {"event": "alarm", "seconds": 2.0, "track": 1, "median": 0.9, "label": "black"}
    notifier.notify(alarm, ROOT), notifier.notify({"event": "end", "seconds": 80.0}, None)
    assert sent[0].items() >= {**alarm, "source": "x", "folder": str(ROOT)}.items() and "time" in sent[0]
    assert sent[1]["event"] == "end"


def test_the_sound_is_a_second_or_two(tmp_path):
    notify.write_tones(tmp_path / "alarm.wav")
    with wave.open(str(tmp_path / "alarm.wav")) as sound:
        assert 1 < sound.getnframes() / sound.getframerate() < 3


def test_it_stops_the_next_time_that_it_is_so_late():
    evening = datetime(2026, 5, 31, 21, 30, 5)
    assert command.next_time(command.clock("07:00"), evening) == datetime(2026, 6, 1, 7)
    assert command.next_time(command.clock("21:31"), evening) == datetime(2026, 5, 31, 21, 31)


@pytest.mark.slow
def test_a_camera_is_watched_until_then(opened, camera, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "next_time", lambda minute, now: now + timedelta(seconds=2))
    command.main([camera("run"), "--until", "07:00", "--out", str(tmp_path / "kept")])
    assert re.search(r"\n\S+ \S+  \d+ frames, \S+ a second; \d+ classified; 0 alarms\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    "now, quiet",
    [("21:59", False), ("22:00", True), ("23:30", True), ("00:00", True), ("05:59", True), ("06:00", False)],
)
def test_quiet_hours_may_be_those_of_a_night(now, quiet):
    hours = command.hours("22:00-06:00")
    assert notify.is_within(datetime.strptime(now, "%H:%M"), *hours) == quiet
    assert not notify.is_within(datetime.strptime(now, "%H:%M"), *command.hours("12:00-13:00"))


@pytest.mark.parametrize("case", VECTORS["hours"])
def test_hours_are_those_of_the_vectors(case):
    hours = command.hours(f"{case['from']}-{case['to']}")
    for now in case["within"] + case["outside"]:
        assert notify.is_within(datetime.strptime(now, "%H:%M"), *hours) == (now in case["within"])


@pytest.mark.slow
def test_outside_its_hours_it_sees_nothing(opened, tmp_path, capsys, monkeypatch):
    film = write_film(tmp_path / "bear.mp4", walk("grizzly"))
    options = ["--out", str(tmp_path / "kept"), "--hours", "21:00-07:00"]
    monkeypatch.setattr(command, "is_within", lambda time, *hours: hours != (21 * 60, 7 * 60))
    command.main([film, *options])
    said = capsys.readouterr().out
    assert "black or grizzly, only from 21:00 to 07:00. " in said and "; 0 classified; 0 alarms" in said
    monkeypatch.setattr(command, "is_within", lambda time, *hours: hours == (21 * 60, 7 * 60))
    command.main([film, *options])
    assert len(events_of(tmp_path / "kept")) == 1


@pytest.mark.slow
def test_in_quiet_hours_alarms_are_said_and_kept_but_not_sent(opened, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(notify.Webhook, "send", lambda self, event: pytest.fail("was sent"))
    film = write_film(tmp_path / "bear.mp4", walk("grizzly"))
    options = ["--out", str(tmp_path / "kept"), "--webhook", "http://127.0.0.1:9", "--quiet-hours", "00:00-23:59"]
    command.main([film, *options])
    assert "(quiet hours)" in capsys.readouterr().out and len(events_of(tmp_path / "kept")) == 1


def test_the_oldest_goes_when_there_is_too_much_and_never_the_newest(tmp_path):
    for n in range(6):
        folder = tmp_path / "events" / f"2026-01-0{n}T12-00-00.000"
        folder.mkdir(parents=True)
        (folder / "frame.jpg").write_bytes(bytes(1000))
    (tmp_path / "events" / "mine").mkdir()
    Record(tmp_path, 3500 / GB, ABOUT)
    assert sorted(path.name[8:10] for path in tmp_path.glob("events/2026*/")) == ["03", "04", "05"]
    Record(tmp_path, 1 / GB, ABOUT)
    assert sorted(path.name[8:10] for path in tmp_path.glob("events/2026*/")) == ["05"]
    assert (tmp_path / "events" / "mine").exists()


def test_the_event_just_written_stays_where_the_clock_was_ahead(tmp_path, capsys):
    for n, name in enumerate(["2031-01-01T12-00-00.000", "2032-01-01T12-00-00.000"]):
        folder = tmp_path / "events" / name
        folder.mkdir(parents=True)
        (folder / "frame.jpg").write_bytes(bytes(1000))
        os.utime(folder, (n, n))
    record = Record(tmp_path, 2500 / GB, ABOUT)
    kept = [record.add(step) for step in watch(red_visitor(8, 1, 7), Scorer(), REAL)]
    [event] = filter(None, kept)
    record.close()
    assert event.exists() and not (tmp_path / "events" / "2031-01-01T12-00-00.000").exists()
    Record(tmp_path, 1 / GB, ABOUT)
    assert list(tmp_path.glob("events/*")) == [event] and "Can't write" not in capsys.readouterr().out


@pytest.mark.parametrize("after", [0, 2, 3, 4, 9])  # files of an event that the disk takes
def test_on_a_full_disk_an_event_is_whole_or_absent(after, tmp_path, monkeypatch, capsys):
    def write(self, data, write=Path.write_bytes):
        nonlocal after
        after -= self.parent.parent.name == "events"
        if after < 0:
            write(self, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    record = Record(tmp_path, 1, ABOUT)
    kept = [record.add(step) for step in watch(red_visitor(8, 1, 7), Scorer(), REAL)]
    record.close()
    folders = list(tmp_path.glob("events/*"))
    assert folders == [folder for folder in kept if folder]
    for folder in folders:
        event = json.loads((folder / "event.json").read_text())
        pictures = [entry["picture"] for entry in event["scores"] if "picture" in entry]
        assert all(size_of(folder / name) for name in [*pictures, "frame.jpg"]) and (folder / "clip.mp4").exists()
    assert bool(folders) != ("(No space left on device). Still watching" in capsys.readouterr().out)


def test_what_a_killed_watch_left_half_written_is_gone_at_the_next_start(tmp_path):
    half = tmp_path / "events" / "2026-01-01T12-00-00.000.part"
    half.mkdir(parents=True)
    (half / "crop-1.jpg").touch()
    whole = tmp_path / "events" / "2026-01-01T12-00-01.000"
    whole.mkdir()
    (whole / "part.mp4").touch(), (whole / "event.json").touch()
    Record(tmp_path, 1, ABOUT)
    assert half.exists()  # another watch may be writing it
    os.utime(half, (0, 0)), os.utime(whole / "part.mp4", (0, 0))
    Record(tmp_path, 1, ABOUT)
    assert not half.exists() and [file.name for file in whole.iterdir()] == ["event.json"]


def test_a_log_on_a_full_disk_ends_with_a_whole_line(tmp_path):
    class Full(io.FileIO):
        def write(self, data):
            return super().write(data[:5])

    file = tmp_path / "log"
    file.write_bytes(b"{}\n")
    with Full(file, "a") as log, pytest.raises(OSError, match="No space left"):
        append(log, b'{"seconds": 1}\n')
    assert file.read_bytes() == b"{}\n"


def test_clips_are_written_into_a_folder_whose_name_has_a_colon(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = Record(Path("camp: night"), 1, ABOUT)
    [event] = filter(None, [record.add(step) for step in watch(red_visitor(8, 1, 7), Scorer(), REAL)])
    record.close()
    assert (event / "clip.mp4").exists() and not (event / "part.mp4").exists()


HEAD = {**ABOUT, "time": "now", "continues": False}
LOOK = {"seconds": 1.0, "time": "now", "track": 1, "certainty": "sure", "probs": {"black": 0.5, "grizzly": 0.1}}


@pytest.mark.parametrize(
    "head, look",
    [
        (["source"], LOOK),
        ("source", LOOK),
        ({"source": 1}, LOOK),
        ({**HEAD, "rule": None}, LOOK),
        ({**HEAD, "rule": {**HEAD["rule"], "latest": -1}}, LOOK),
        ({**HEAD, "rule": {**HEAD["rule"], "memory": "long"}}, LOOK),
        ({**HEAD, "rule": {**HEAD["rule"], "stay": math.nan}}, LOOK),
        ({**HEAD, "classes": "black"}, LOOK),
        ({**HEAD, "alarm": [["black"]]}, LOOK),
        ({**HEAD, "classes": [*REAL, "teddy"]}, LOOK),
        (HEAD, 5),
        (HEAD, None),
        (HEAD, {**LOOK, "seconds": "1"}),
        (HEAD, {**LOOK, "seconds": 10**400}),
        (HEAD, {**LOOK, "seconds": math.inf}),
        (HEAD, {**LOOK, "probs": [0.5]}),
        (HEAD, {**LOOK, "probs": {}}),
        (HEAD, {**LOOK, "probs": {"black": None, "grizzly": 0}}),
        (HEAD, {**LOOK, "certainty": ["sure"]}),
        (HEAD, {**LOOK, "certainty": "perhaps"}),
        (HEAD, {**LOOK, "track": {}}),
    ],
)
def test_a_replayed_line_of_the_wrong_shape_is_one_sentence(head, look, tmp_path):
    (tmp_path / "scores").mkdir()
    (tmp_path / "scores" / "a.jsonl").write_text(f"{json.dumps(head)}\n{json.dumps(look)}\n")
    with pytest.raises(WatchError, match=r"is not from a watch|other classes|has no class"):
        replay(tmp_path)


@pytest.mark.parametrize("line", ["", "[" * 100_000, "1" * 10_000, "\0", '{"source"', "x" * 3_000_000])
def test_a_replayed_line_that_is_no_json_is_left_out(line, tmp_path, capsys):
    (tmp_path / "scores").mkdir()
    lines = [json.dumps(HEAD), line, *[json.dumps({**LOOK, "seconds": n}) for n in range(3)]]
    (tmp_path / "scores" / "a.jsonl").write_text("\n".join(lines))
    replay(tmp_path)
    assert "ALARM, track 1: 0.60 is the median" in capsys.readouterr().out


@needs_posix
def test_a_pipe_among_the_logs_is_one_sentence(tmp_path):
    (tmp_path / "scores").mkdir()
    os.mkfifo(tmp_path / "scores" / "a.jsonl")
    with pytest.raises(WatchError, match=r"a\.jsonl is not a file\. Delete it"):
        replay(tmp_path)


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
    assert said.count(f"Can't write to {tmp_path} (No space left on device). Still watching") == 1


# The end


@pytest.mark.slow
@needs_posix
@pytest.mark.parametrize("after", [0.3, "Watching", "ALARM"])
def test_ctrl_c_ends_it_at_any_moment_in_words(after, camera, tmp_path):
    def bear(self, connection, i):  # no bear; the alarm's time is that of a film
        return 90

    film = write_film(tmp_path / "bear.mp4", walk("grizzly")) if after == "ALARM" else camera("run", grey=bear)
    args = [sys.executable, "-u", "-m", "bears.watch", film, "--out", str(tmp_path / "kept"), "--threshold", "0.3"]
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
        assert re.search(r" a second; [\d,]+ classified; ", out)
    if after == "ALARM":
        [folder] = (tmp_path / "kept" / "events").iterdir()
        assert {"event.json", "frame.jpg", "clip.mp4"} <= {file.name for file in folder.iterdir()}
