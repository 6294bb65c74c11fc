"""Compare the speed and memory of app.py with those of two other apps.

    python benchmarks/serve.py            # about five minutes; prints the tables of docs/evaluation.md
    python benchmarks/serve.py --quick    # one round instead of five, for a short try

The usual app is the lesson's `gr.Interface` with `gr.Image()` and `learn.predict`. The constant app is a Gradio app
without a model, which always gives the same answer. Each app runs as a separate process and gets the same photos over
plain HTTP on this machine, in turn. Needs Linux.
"""

import argparse
import io
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
from PIL import Image

ROOT = Path(__file__).parent.parent
USUAL = """
import gradio as gr
from fastai.vision.all import load_learner
learn = load_learner("export.pkl")
def predict(img):
    label, i, probs = learn.predict(img)
    return dict(zip(learn.dls.vocab, map(float, probs)))
gr.Interface(predict, gr.Image(), gr.Label(), api_name="predict").launch()
"""
CONSTANT = """
import gradio as gr
with gr.Blocks() as demo:
    photo, label = gr.Image(type="filepath"), gr.Label()
    photo.change(lambda photo: {"teddy": 1.0}, photo, label, api_name="predict", preprocess=False, concurrency_limit=16)
demo.launch()
"""
APPS = {"usual": ["-c", USUAL], "ours": ["app.py"], "constant": ["-c", CONSTANT]}
# in each round: the photo, the clients at the same time, and all their requests
LOADS = [("1 MP", 1, 20), ("1 MP", 8, 64), ("12 MP", 1, 8), ("12 MP", 8, 32), ("1 MP without a bear", 8, 32)]
PROCESSES = {"app.py": "serving the page", "decode_worker": "opening the photo", "batching": "the model"}


class App:
    """Run an app as a process, and measure the time from its start to its first page and first answer."""

    def __init__(self, name, photo):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        env = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
        start = time.monotonic()
        command = [sys.executable, *APPS[name]]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.wait_for_page()
        self.page = time.monotonic() - start
        self.ask(photo)
        self.answer = time.monotonic() - start

    def wait_for_page(self):
        for _ in range(1200):
            try:
                requests.get(self.url, timeout=5)
                return
            except requests.ConnectionError:
                time.sleep(0.05)
        raise RuntimeError("the app did not start within a minute")

    def ask(self, photo):
        """Upload a photo, request its verdict and read the stream to the end. Return the seconds that this took."""
        session = sessions.__dict__.setdefault("session", requests.Session())
        start = time.monotonic()
        [path] = session.post(f"{self.url}/gradio_api/upload", files={"files": ("photo.jpg", photo)}).json()
        data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
        event = session.post(f"{self.url}/gradio_api/call/predict", json=data).json()["event_id"]
        answer = session.get(f"{self.url}/gradio_api/call/predict/{event}").text
        if "event: complete" not in answer:
            raise RuntimeError(f"no answer but: {answer}")
        return time.monotonic() - start

    def load(self, photo, clients, count):
        """Return photos per second and the median seconds of an answer, with `clients` clients at the same time."""
        start = time.monotonic()
        with ThreadPoolExecutor(clients) as pool:
            seconds = list(pool.map(self.ask, [photo] * count))
        return count / (time.monotonic() - start), statistics.median(seconds)

    def processes(self):
        """Return the folders in /proc of the app and of all processes that it has started."""
        app = Path(f"/proc/{self.process.pid}")
        return [app, *(app.parent / pid for task in app.glob("task/*/children") for pid in task.read_text().split())]

    def peak_memory(self):
        """Return the peak resident memory of the app and all its processes, in bytes, since the last call."""
        return sum(map(peak_memory, self.processes()))

    def cpu_seconds(self):
        """Return the processor seconds so far for each of `PROCESSES`."""
        seconds = dict.fromkeys(PROCESSES, 0)
        for process in self.processes():
            command, ticks = (process / "cmdline").read_text(), (process / "stat").read_text().rsplit(")", 1)[1].split()
            name = next((name for name in PROCESSES if name in command), "app.py")
            seconds[name] += (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
        return seconds

    def close(self):
        self.process.terminate()
        self.process.wait()


def peak_memory(process):
    """Return the peak resident memory in bytes of one process since the last call. `process` is its folder in /proc."""
    peak = int(re.search(r"VmHWM:\s+(\d+)", (process / "status").read_text())[1]) * 1024
    (process / "clear_refs").write_text("5")
    return peak


sessions = threading.local()


def phone_photo(width, height, bear=True):
    """Return a JPEG with as much detail as a phone's photo: a bear or random shapes and textures, and sensor noise."""
    rng = np.random.default_rng(0)
    if bear:
        layers = [np.asarray(Image.open(ROOT / "examples" / "grizzly.jpg")).astype(np.float32) - 128]
    else:
        layers = [rng.normal(0, 60 / 2**i, (4 * 3**i, 4 * 3**i, 3)) for i in range(5)]
    scaled = [np.asarray(Image.fromarray(np.uint8(np.clip(x + 128, 0, 255))).resize((width, height))) for x in layers]
    pixels = np.sum([x.astype(np.float32) - 128 for x in scaled], axis=0) + rng.normal(128, 8, (height, width, 3))
    file = io.BytesIO()
    Image.fromarray(np.uint8(np.clip(pixels, 0, 255))).save(file, "JPEG", quality=90)
    return file.getvalue()


def measure(apps, photos, rounds):
    """Return the figures of every app, the median of `rounds`. In each round, the apps take turns with each load."""
    figures = {name: {PAGE: app.page, FIRST: app.answer} for name, app in apps}
    for _, app in apps:
        app.load(photos["12 MP"], 8, 16)  # warm up
    for size, clients, count in LOADS:
        results = {name: [] for name, _ in apps}
        for _ in range(rounds):
            for name, app in apps:
                app.peak_memory()
                before = app.cpu_seconds()
                results[name].append((*app.load(photos[size], clients, count), app.peak_memory()))
                for process, seconds in app.cpu_seconds().items():
                    spent = f"core seconds, {process}, {clients} clients, {size}"
                    figures[name][spent] = figures[name].get(spent, 0) + (seconds - before[process]) / count / rounds
        for name, found in results.items():
            per_second, seconds, peak = map(statistics.median, zip(*found))
            figures[name][f"photos per second, {clients} clients, {size}"] = per_second
            figures[name][f"seconds per answer, {clients} clients, {size}"] = seconds
            figures[name][f"peak memory, {clients} clients, {size}"] = peak
    return figures


PAGE = "seconds from the app's start until its page can be opened"
FIRST = "seconds from the app's start to the first answer"
ROWS = [
    ("photos per second, 8 clients, 12 MP", "at least 6"),
    ("photos per second, 8 clients, 1 MP", "at least 2.5"),
    ("photos per second, 8 clients, 1 MP without a bear", ""),
    ("seconds per answer, 1 clients, 12 MP", "at most 0.3"),
    ("seconds per answer, 1 clients, 1 MP", "at most 1"),
    ("peak memory, 8 clients, 12 MP", "at most 0.5"),
    (PAGE, ""),
    (FIRST, ""),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="measure one round instead of five")
    rounds = 1 if parser.parse_args().quick else 5
    photos = {"1 MP": phone_photo(1152, 864), "12 MP": phone_photo(4032, 3024)}
    photos["1 MP without a bear"] = phone_photo(1152, 864, bear=False)
    print("photos:", ", ".join(f"{size} {len(data) / 1e6:.1f} MB" for size, data in photos.items()), flush=True)
    apps = []
    try:
        for name in APPS:
            apps.append((name, App(name, photos["1 MP"])))
        figures = measure(apps, photos, rounds)
    finally:
        for _, app in apps:
            app.close()
    print("\n| measurement | this app ÷ usual app | our aim for this app ÷ usual app | this app ÷ constant app |")
    print("| --- | --- | --- | --- |")
    for row, wanted in ROWS:
        ours = figures["ours"][row]
        usual, constant = ours / figures["usual"][row], ours / figures["constant"][row]
        print(f"| {row.replace('1 clients', '1 client')} | {usual:.2f} | {wanted} | {constant:.2f} |")
    print("\nThe processor time of the usual app for the same photo counts as 100%. The last column is", end=" ")
    print("the processor time of the constant app, which has no model:\n")
    print(f"| photo | {' | '.join(PROCESSES.values())} | the constant app |\n| --- | --- | --- | --- | --- |")
    for size in photos:
        spent = {name: [figures[name][f"core seconds, {p}, 8 clients, {size}"] for p in PROCESSES] for name in APPS}
        whole = sum(spent["usual"])
        shares = [seconds / whole for seconds in (*spent["ours"], sum(spent["constant"]))]
        print(f"| {size} | {' | '.join(f'{share:.0%}' for share in shares)} |")


if __name__ == "__main__":
    main()
