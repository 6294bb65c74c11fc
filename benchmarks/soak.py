"""Send good and malicious photos to the app for some minutes, while its processes are killed.

    python benchmarks/soak.py                           # ten minutes, eight clients
    python benchmarks/soak.py --minutes 1 --clients 2   # a short try
    python benchmarks/soak.py --watch                   # test `watch` instead, with a camera that sends bad frames
    python benchmarks/soak.py --proxy --clients 60      # prints the tables about the app in docs/security.md

Every answer is compared with the first answer about the same photo. The benchmark fails if an answer is wrong or lost,
if a process or a file is left over, or if more than 12 additional file descriptors stay open. Needs Linux.

With `--watch`, a bear walks past a simulated camera every 90 seconds, and `watch` and the process that reads the camera
are killed. Then the benchmark fails if an alarm is lost or false, or if an event is incomplete.
"""

import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests
from PIL import Image, ImageOps

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))

import hostile
from helpers import Nginx

KILL_EVERY = 20  # seconds
DESCRIPTORS = 12  # so many more are no leak: at the end, more of the 40 threads may have a connection to the model
OPEN = "open file descriptors of the page's process"
ANSWERS = {  # what a client got for a photo
    "right": "the same answer as before the kills (right)",
    "wrong": "another answer (wrong)",
    "lost": "no answer (lost)",
    "again": "request to send the photo again, because a process was killed",
    "wait": "request to wait, because the queue was full",
    "refused": "error message about a malicious photo",
    "answered": "answer about a malicious photo",
}
AGAIN = ("send the photo again", "send it again")  # in answers after a process was killed
WAIT = ("or for ten seconds", "try again in a minute")  # in answers when the queue is full


def good_photos():
    """Return the examples in several versions, a dict from name to the bytes of a PNG."""
    photos = {}
    for file in sorted((ROOT / "examples").glob("*.jpg")):
        with Image.open(file) as im:
            third = [n // 3 for n in im.size]
            for name, version in {
                "as it is": im,
                "mirrored": ImageOps.mirror(im),
                "turned": im.rotate(10),
                "small": im.resize(third),
            }.items():
                photos[f"{file.stem}, {name}"] = hostile.saved(version, "PNG")
    return photos


def malicious_files():
    """Return malicious files, a dict from name to bytes."""
    teddy = (ROOT / "examples" / "teddy.jpg").read_bytes()
    dice = random.Random(0)
    broken = bytearray(teddy)
    for _ in range(50):
        broken[dice.randrange(20, len(broken))] = dice.randrange(256)
    return {
        "nothing": b"",
        "a text": b"not a photo",
        "half a photo": teddy[: len(teddy) // 2],
        "a broken photo": bytes(broken),
        "noise that begins like a PNG": hostile.saved(Image.new("L", (1, 1)), "PNG")[:16] + dice.randbytes(100_000),
        "400 megapixels": hostile.saved(Image.new("1", (20_000, 20_000)), "PNG"),
        "long and thin": hostile.png_that_is_thin(),
        "300 scans": hostile.jpeg_of_many_scans(side=800),
        "a GIF of comments": hostile.gif_of_many_comments(),
        "a TIFF of strips": hostile.tiff_of_many_strips(),
    }


class App:
    """Run app.py as a process, with visitors' files in `folder`."""

    def __init__(self, folder, proxy):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.folder, log = Path(folder, "visitors"), Path(folder, "log")
        self.folder.mkdir()
        env = {**os.environ, "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(self.folder), "GRADIO_TEMP_DIR": ""}
        with log.open("w") as out:
            command = [sys.executable, "-u", "app.py"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
        while "The model is ready" not in log.read_text():
            if self.process.poll() is not None:
                sys.exit(log.read_text())
            time.sleep(0.1)
        self.proxy = Nginx(Path(folder), f"http://127.0.0.1:{port}") if proxy else None
        self.url = f"{self.proxy.url if proxy else f'http://127.0.0.1:{port}'}/gradio_api"

    def ask(self, photo):
        """Return a pair (verdict, probabilities) for a photo, the text of an error, or None if there is no answer."""
        try:
            sent = requests.post(f"{self.url}/upload", files={"files": ("photo.png", photo)}, timeout=60)
            if not sent.ok:
                return sent.text
            question = {"data": [{"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}]}
            asked = requests.post(f"{self.url}/call/predict", json=question, timeout=60)
            if not asked.ok:
                return asked.json()["detail"]
            said = requests.get(f"{self.url}/call/predict/{asked.json()['event_id']}", timeout=120).text
            event, data = re.search(r"event: (complete|error)\ndata: (.*)", said).groups()
            if event == "error":
                return json.loads(data)["error"]
            label, verdict, *_ = json.loads(data)
            return verdict, {c["label"]: round(c["confidence"], 3) for c in label["confidences"]}
        except (requests.RequestException, AttributeError):  # no answer, or an incomplete one
            return None

    def close(self):
        """Stop the app. Return how many processes and files are left."""
        others = descendants(self.process.pid)
        self.process.terminate()
        self.process.wait()
        if self.proxy:
            self.proxy.close()
        time.sleep(5)
        left = {"processes": sum(map(is_alive, others))}
        return left | {"temporary files and folders": len(list(self.folder.rglob("*")))}

    def figures(self):
        """Return the app's memory, processes, files and so on, a dict from name to number."""
        front, others = self.process.pid, descendants(self.process.pid)
        proc = Path(f"/proc/{front}")
        return {
            "memory of the page's process, MB": memory(front) / 1e6,
            "memory of the app's other processes together, MB": sum(map(memory, others)) / 1e6,
            OPEN: len(list((proc / "fd").iterdir())),
            "threads of the page's process": len(list((proc / "task").iterdir())),
            "processes of the app": 1 + len(others),
            "files in the app's temporary folder": sum(f.is_file() for f in self.folder.rglob("*")),
        }


def memory(pid):
    """Return the bytes that a process has in memory, or 0 if it has ended."""
    try:
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024
    except (OSError, TypeError):
        return 0


def descendants(pid):
    """Return the ids of all processes that a process has started, directly or indirectly."""
    try:
        children = " ".join(f.read_text() for f in Path(f"/proc/{pid}/task").glob("*/children")).split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *descendants(child))]


def kill_some(app, stop, killed):
    """Kill one of the app's child processes from time to time: the model's, or one that opens photos."""
    while not stop.wait(KILL_EVERY):
        if others := descendants(app.process.pid):
            victim = random.choice(others)
            try:
                killed.append(victim)
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass


def visit(app, photos, bad, expected, end):
    """Run one client until `end`. Return a Counter of `ANSWERS`."""
    told, dice = Counter(), random.Random()
    page = requests.get(f"{app.url}/heartbeat/{dice.random()}", stream=True, timeout=60)  # stays open
    while time.monotonic() < end:
        if dice.random() < 0.25:
            answer = app.ask(bad[dice.choice(list(bad))])
            told["lost" if answer is None else "refused" if isinstance(answer, str) else "answered"] += 1
            continue
        name = dice.choice(list(photos))
        answer = app.ask(photos[name])
        while isinstance(answer, str) and any(again in answer for again in AGAIN + WAIT):
            busy = any(wait in answer for wait in WAIT)
            told["wait" if busy else "again"] += 1
            time.sleep(busy)
            answer = app.ask(photos[name])
        told["lost" if answer is None else "right" if close(answer, expected[name]) else "wrong"] += 1
        if answer is not None and not close(answer, expected[name]):
            print(f"{name}: {answer} instead of {expected[name]}", flush=True)
    page.close()
    return told


def close(answer, expected):
    """Return whether two answers are the same. The last digits may differ, since they depend on the batch."""
    if isinstance(answer, str) or answer[0] != expected[0]:
        return False
    return all(abs(answer[1][label] - prob) < 0.005 for label, prob in expected[1].items())


# The camera watch


PERIOD, WALK = 90, 6  # seconds between two bears, so that each is a separate visit; seconds that each walks
CALM = 15  # seconds without a kill before every second bear
LATE = 10  # seconds without a kill after such a bear has gone, in which its alarm may still come
WATCH_KILL_EVERY = 30  # seconds
WIDTH, HEIGHT, RATE = 640, 360, 10
COUNTED = {  # in the result of `judge`; {calm} is the number of bears that came while nothing was killed
    "came": "bears that walked past the camera",
    "calm": "of these, bears that came while nothing was killed",
    "seen": "of these {calm} bears, those that raised an alarm",
    "lost": "of these {calm} bears, those that raised none (lost alarms)",
    "false": "alarms without a bear",
    "complete": "saved events that are complete",
    "incomplete": "saved events that are incomplete",
    "unsaved": "alarms that the webhook received, but that have no saved event",
    "replay": "failures of `watch --replay` with the recordings",
    "files": "temporary or incomplete files left over after `watch` was stopped",
    "processes": "processes left over after `watch` was stopped",
    "passwords": "recorded JSON files that contain the camera's password",
}
GOOD = "came", "calm", "seen", "complete"  # all others of `COUNTED` must be 0


class Scene:
    """Draw a meadow where a bear walks past every `PERIOD` seconds."""

    def __init__(self):
        self.start, dice = time.monotonic(), random.Random(0)
        small = Image.frombytes("RGB", (16, 9), bytes(dice.randrange(60, 140) for _ in range(3 * 16 * 9)))
        self.meadow = small.resize((WIDTH, HEIGHT))
        with Image.open(ROOT / "examples" / "grizzly.jpg") as bear:
            self.bear = bear.resize((200 * bear.width // bear.height, 200))

    def jpeg(self):
        """Return the current picture of the scene as a JPEG."""
        picture, walked = self.meadow.copy(), (time.monotonic() - self.start) % PERIOD - (PERIOD - WALK)
        if walked >= 0:
            picture.paste(self.bear, (round(walked / WALK * (WIDTH - self.bear.width)), 100))
        return hostile.saved(picture, "JPEG")

    def walks(self):
        """Return when the first thousand bears come and go."""
        return [(self.start + n * PERIOD - WALK, self.start + n * PERIOD) for n in range(1, 1000)]

    def is_calm(self):
        """Return whether nothing may be killed now. This is true around every second bear."""
        now = time.monotonic()
        return any(come - CALM < now < gone + LATE for come, gone in self.walks()[::2])


class Camera(BaseHTTPRequestHandler):
    """Stream the scene as MJPEG with some bad frames, and receive the webhook's events as POST requests."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        dice = random.Random()
        with suppress(OSError):  # the client has gone
            while True:
                jpeg = self.server.scene.jpeg()
                if dice.random() < 0.02:
                    jpeg = dice.choice(
                        [jpeg[: len(jpeg) // 2], dice.randbytes(5_000), hostile.huge_jpeg(20_000, 20_000)]
                    )
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                time.sleep(1 / RATE)

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.events.append((time.monotonic(), event))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


class Watch:
    """Run `bears watch` as a process, and start it again after it was killed."""

    def __init__(self, url, folder):
        self.kept, self.temporary, self.log = folder / "kept", folder / "temporary", folder / "log"
        self.temporary.mkdir()
        self.command = [sys.executable, "-u", "-m", "bears.watch", url, "--webhook", url, "--out", self.kept]
        self.start()

    def start(self):
        env = {**os.environ, "TMPDIR": str(self.temporary)}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(self.command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
        while "Watching " not in self.log.read_text():
            if self.process.poll() is not None:
                sys.exit(self.log.read_text())
            time.sleep(0.1)

    def figures(self):
        proc = Path(f"/proc/{self.process.pid}")
        return {
            "memory of `watch`, MB": memory(self.process.pid) / 1e6,
            "memory of the process that reads the camera, MB": sum(map(memory, descendants(self.process.pid))) / 1e6,
            "open file descriptors of `watch`": len(list((proc / "fd").iterdir())),
            "threads of `watch`": len(list((proc / "task").iterdir())),
        }


def kill_watch(watch, scene, until, whole):
    """Kill the process that reads the camera from time to time. With `whole`, also kill `watch` itself.

    Returns a triple for each kill: two times, between which the process was not running, and `watch` or `reader`.
    """
    killed, due = [], time.monotonic()
    while time.monotonic() < until:
        time.sleep(0.5)
        if time.monotonic() < due or scene.is_calm():
            continue
        due = time.monotonic() + random.uniform(0.5, 1.5) * WATCH_KILL_EVERY
        if whole and len(killed) % 3 == 1:
            begin = time.monotonic()
            watch.process.kill(), watch.process.wait()
            watch.start()
            killed.append((begin, time.monotonic(), "watch"))
        elif readers := descendants(watch.process.pid):
            killed.append((time.monotonic(), time.monotonic(), "reader"))
            with suppress(ProcessLookupError):
                os.kill(readers[0], signal.SIGKILL)
    return killed


def is_whole(folder):
    """Return whether an event has all files that its event.json names."""
    try:
        event = json.loads((folder / "event.json").read_text())
        for name in ["frame.jpg", *(entry["picture"] for entry in event["scores"] if "picture" in entry)]:
            with Image.open(folder / name) as picture:
                picture.load()
        return True
    except (OSError, ValueError, KeyError):
        return False


def judge(watch, scene, until, killed, events):
    """Count what was lost or wrong. Return a dict from keys of `COUNTED` to numbers."""
    alarms = [(at, event["folder"]) for at, event in events if event["event"] == "alarm"]
    folders, told = list(watch.kept.glob("events/*")), {Path(folder).name for _, folder in alarms}
    came = [(come, gone) for come, gone in scene.walks() if gone + LATE < until]
    calm = [walk for walk in came if not any(a < walk[1] + LATE and b > walk[0] - CALM for a, b, _ in killed)]
    seen = sum(any(come <= at <= gone + LATE for at, _ in alarms) for come, gone in calm)
    wrong = sum(not any(come <= at <= gone + LATE for come, gone in scene.walks()) for at, _ in alarms)
    replay = subprocess.run([*watch.command[:4], "--replay", watch.kept], cwd=ROOT, capture_output=True)
    return {
        "came": len(came),
        "calm": len(calm),
        "seen": seen,
        "lost": len(calm) - seen,
        "false": wrong,
        "complete": sum(map(is_whole, folders)),
        "incomplete": sum(not is_whole(folder) for folder in folders),
        "unsaved": len(told - {folder.name for folder in folders}),
        "replay": int(replay.returncode != 0),
    }


def soak_watch(minutes):
    """Watch a bad camera for `minutes` while processes are killed. Kill `watch` itself only in the first half.

    Temporary files count as left over, too, except the empty folder that torch always creates.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads, server.block_on_close, server.scene, server.events = True, False, Scene(), []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(f"http://user:secret@127.0.0.1:{server.server_port}/", Path(folder))
        try:
            server.scene.start = time.monotonic()
            half = time.monotonic() + 30 * minutes
            killed = kill_watch(watch, server.scene, half, whole=True)
            time.sleep(10)
            before = watch.figures()
            killed += kill_watch(watch, server.scene, half + 30 * minutes, whole=False)
            until = time.monotonic()
            time.sleep(10)  # until the process that was killed last is back
            after, others = watch.figures(), descendants(watch.process.pid)
        finally:
            watch.process.terminate()
            watch.process.wait()
        result = judge(watch, server.scene, until, killed, server.events)
        temporary = [path for path in watch.temporary.iterdir() if not path.name.startswith("torchinductor_")]
        left = [*temporary, *watch.kept.glob("events/*.part"), *watch.kept.glob("events/*/part*")]
        result |= {"files": len(left), "processes": sum(map(is_alive, others))}
        result["passwords"] = sum(b"secret" in f.read_bytes() for f in watch.kept.rglob("*.json*"))
    counts = Counter(which for _, _, which in killed)
    print(f"The benchmark killed `watch` {times(counts['watch'])}, all in the first {minutes / 2:g} minutes,", end=" ")
    print(f"and the process that reads the camera {times(counts['reader'])}:\n")
    words = {key: name.format(**result) for key, name in COUNTED.items()}
    print_table(f"counted in the {minutes:g} minutes", {words[key]: count for key, count in result.items()})
    print_growth("`watch`", f"after {minutes / 2:g} minutes", f"after {minutes:g} minutes", before, after)
    sys.exit(any(count for key, count in result.items() if key not in GOOD))


def is_alive(pid):
    return Path(f"/proc/{pid}").exists()


def times(count):
    return f"{count} time" + "s" * (count != 1)


def print_table(title, counts):
    print(f"| {title} | number |\n| --- | --- |")
    for name, count in counts.items():
        print(f"| {name} | {count:,} |")


def print_growth(title, first, second, before, after):
    """Print a table of figures at two times. `first` and `second` name the times."""
    print(f"\n| {title} | {first} | {second} |\n| --- | --- | --- |")
    for name in before:
        print(f"| {name} | {before[name]:,.0f} | {after[name]:,.0f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="length of the test in minutes (default: 10)")
    parser.add_argument("--clients", type=int, default=8, help="clients that send photos at the same time (default: 8)")
    parser.add_argument("--watch", action="store_true", help="test `watch` with a simulated camera, not the app")
    nginx = "run the app behind an nginx that doesn't send the clients' addresses (Debian's package nginx)"
    parser.add_argument("--proxy", action="store_true", help=nginx)
    args = parser.parse_args()
    if args.watch:
        return soak_watch(args.minutes)
    photos, bad, stop, killed = good_photos(), malicious_files(), threading.Event(), []
    with tempfile.TemporaryDirectory() as folder:
        app = App(folder, args.proxy)
        try:
            expected = {name: app.ask(photo) for name, photo in photos.items()}
            if any(not isinstance(answer, tuple) for answer in expected.values()):
                sys.exit(f"The app does not answer even before anything is killed: {expected}")
            with ThreadPoolExecutor(args.clients + 1) as pool:
                list(pool.map(app.ask, list(photos.values()) * 6))  # warm up
                before = app.figures()
                pool.submit(kill_some, app, stop, killed)
                end = time.monotonic() + 60 * args.minutes
                clients = [pool.submit(visit, app, photos, bad, expected, end) for _ in range(args.clients)]
                told = sum((client.result() for client in clients), Counter())
                stop.set()
            app.ask(photos["teddy, as it is"])  # until the process that was killed last is back
            for _ in range(12):  # until its last connections are closed, at most a minute
                time.sleep(5)
                after = app.figures()
                if after[OPEN] <= before[OPEN] + DESCRIPTORS:
                    break
        finally:
            left = app.close()
    print(f"The tables show a run of {args.minutes:g} minutes with {args.clients} clients and {len(killed)} kills:\n")
    print_table("what a client got for a photo", {words: told[key] for key, words in ANSWERS.items()})
    print_growth("the app", f"before the {args.minutes:g} minutes", "after them", before, after)
    print()
    print_table("left over after the app was stopped", left)
    grown = after[OPEN] > before[OPEN] + DESCRIPTORS
    sys.exit(bool(told["wrong"] or told["lost"] or grown or any(left.values())))


if __name__ == "__main__":
    main()
