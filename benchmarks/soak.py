"""Does the page hold? Clients ask for minutes, with good photos and traps, while its processes are killed one by one.

    python benchmarks/soak.py                           # ten minutes, eight clients
    python benchmarks/soak.py --minutes 1 --clients 2   # to see that it works

Every answer is compared with what the same photo got before. Fails when one is wrong or lost. Needs Linux.
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
from pathlib import Path

import requests
from PIL import Image, ImageOps

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))

import hostile

KILL_EVERY = 20  # seconds
AGAIN = ("send the photo again", "send it again")  # what callers read whose process has been killed


def good_photos():
    """The examples in some versions, as a dict from a name to bytes of PNG."""
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


def traps():
    """What strangers send, as a dict from a name to bytes."""
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
    """app.py as a process of its own; its visitors' files lie in `folder`."""

    def __init__(self, folder):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url, self.folder = f"http://127.0.0.1:{port}/gradio_api", Path(folder)
        env = {**os.environ, "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(folder), "GRADIO_TEMP_DIR": ""}
        with (self.folder / "log").open("w") as log:
            command = [sys.executable, "-u", "app.py"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT)
        while "The model is ready" not in (self.folder / "log").read_text():
            if self.process.poll() is not None:
                sys.exit((self.folder / "log").read_text())
            time.sleep(0.1)

    def ask(self, photo):
        """The verdict and the probabilities for a photo, or the sentence that refuses it; nothing if it is lost."""
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
            label, verdict, _ = json.loads(data)
            return verdict, {c["label"]: round(c["confidence"], 3) for c in label["confidences"]}
        except (requests.RequestException, AttributeError):  # no answer, or none with an end
            return None

    def figures(self):
        """What the app holds, as a dict from a name to a number."""
        front, others = self.process.pid, descendants(self.process.pid)
        proc = Path(f"/proc/{front}")
        return {
            "memory of the page's process, MB": memory(front) / 1e6,
            "memory of all others, MB": sum(map(memory, others)) / 1e6,
            "descriptors": len(list((proc / "fd").iterdir())),
            "threads": len(list((proc / "task").iterdir())),
            "processes": 1 + len(others),
            "files": sum(f.is_file() for f in self.folder.rglob("*")),
        }


def memory(pid):
    """Bytes that a process has in memory; none if it is gone."""
    try:
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) * 1024
    except (OSError, TypeError):
        return 0


def descendants(pid):
    """The numbers of all processes that a process has started, and that these have started."""
    try:
        children = " ".join(f.read_text() for f in Path(f"/proc/{pid}/task").glob("*/children")).split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *descendants(child))]


def kill_some(app, stop, killed):
    """Kill one of the app's other processes from time to time: the model's, or one that opens photos."""
    while not stop.wait(KILL_EVERY):
        if others := descendants(app.process.pid):
            victim = random.choice(others)
            try:
                killed.append(victim)
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass


def visit(app, photos, bad, expected, end):
    """One client, until `end`; returns how often it was told what, a Counter."""
    told, dice = Counter(), random.Random()
    while time.monotonic() < end:
        if dice.random() < 0.25:
            answer = app.ask(bad[dice.choice(list(bad))])
            told["lost" if answer is None else "traps refused" if isinstance(answer, str) else "traps answered"] += 1
            continue
        name = dice.choice(list(photos))
        answer = app.ask(photos[name])
        while isinstance(answer, str) and any(again in answer for again in AGAIN):
            told["asked to send the photo again"] += 1
            answer = app.ask(photos[name])
        told["lost" if answer is None else "right" if close(answer, expected[name]) else "wrong"] += 1
        if answer is not None and not close(answer, expected[name]):
            print(f"{name}: {answer} instead of {expected[name]}", flush=True)
    return told


def close(answer, expected):
    """Whether two answers are the same, but for the last digits: others in the batch change them."""
    if isinstance(answer, str) or answer[0] != expected[0]:
        return False
    return all(abs(answer[1][label] - prob) < 0.005 for label, prob in expected[1].items())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    args = parser.parse_args()
    photos, bad, stop, killed = good_photos(), traps(), threading.Event(), []
    with tempfile.TemporaryDirectory() as folder:
        app = App(folder)
        try:
            expected = {name: app.ask(photo) for name, photo in photos.items()}
            with ThreadPoolExecutor(args.clients + 1) as pool:
                list(pool.map(app.ask, list(photos.values()) * 6))  # warm up
                before = app.figures()
                pool.submit(kill_some, app, stop, killed)
                end = time.monotonic() + 60 * args.minutes
                clients = [pool.submit(visit, app, photos, bad, expected, end) for _ in range(args.clients)]
                told = sum((client.result() for client in clients), Counter())
                stop.set()
            app.ask(photos["teddy, as it is"])  # whatever was killed last is back
            time.sleep(10)
            after = app.figures()
        finally:
            app.process.terminate()
            app.process.wait()
    print(f"{args.clients} clients, {args.minutes:g} minutes, {len(killed)} processes killed\n")
    print("| answers | number |\n| --- | --- |")
    for name in ("right", "wrong", "lost", "asked to send the photo again", "traps refused", "traps answered"):
        print(f"| {name} | {told[name]:,} |")
    print("\n| the app | before | after |\n| --- | --- | --- |")
    for name in before:
        print(f"| {name} | {before[name]:,.0f} | {after[name]:,.0f} |")
    sys.exit(bool(told["wrong"] or told["lost"]))


if __name__ == "__main__":
    main()
