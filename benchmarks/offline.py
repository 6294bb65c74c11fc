"""Measure the speed and memory of the offline version in a browser, and compare it with the same network in Python.

    python benchmarks/offline.py               # about three minutes; needs Chromium
    python benchmarks/offline.py --watch 60    # watch a camera for 60 minutes, and measure the memory

The time of a frame includes all steps: pixels, shrinking, the network and the verdict. The offline version, ONNX
Runtime and torch each use one thread.

The time to the first verdict begins when the page is opened. A photo is chosen as soon as the page allows it. The
server simulates a slow line. Only memory that the page's processes don't share with other processes is counted. Camera
frames are counted separately, since Chromium without a graphics card keeps them until it needs the memory. With
`--watch`, a bear comes every 90 seconds and stays for ten seconds, so that all parts of the Camera tab are busy.
"""

import argparse
import re
import statistics
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import torch
from bears.model.classifier import Classifier
from bears.model.export import open_export
from bears.model.photo import open_photo
from bears.offline.folder import write
from bears.offline.graph import find_shape
from bears.offline.parity import GraphSquares
from bears.offline.serve import Quiet
from bears.offline.site import build, unpack
from helpers import CAMERA, DESKTOP, chromium, clip

TEDDY = ROOT / "examples" / "teddy.jpg"
LINES = {"slow 4G": (0.15, 1.6e6 / 8), "no limit": (0, 1e12)}  # seconds to wait, bytes per second: Chrome's "Slow 4G"
ROUNDS, FRAMES = 5, 12
ASK = """async count => {
    const {ask} = await import(new URL("offline/model.js", document.baseURI))
    const photo = await (await fetch("examples/teddy.jpg")).blob()
    const times = []
    for (let i = 0; i < count; i++) {
        const bitmap = await createImageBitmap(photo), start = performance.now()
        await ask([bitmap])
        times.push(performance.now() - start)
    }
    return times
}"""


COUNT = """() => {
    window.asked = 0
    const send = Worker.prototype.postMessage
    Worker.prototype.postMessage = function (...all) {
        window.asked += !!all[0].id
        return send.apply(this, all)
    }
}"""


class Line(Quiet):
    """Serve files over one slow line that all clients share."""

    wait, rate, free = *LINES["no limit"], 0
    taking_turns = threading.Lock()

    def copyfile(self, source, target):
        time.sleep(self.wait)
        while piece := source.read(2**14):
            with self.taking_turns:
                time.sleep(len(piece) / self.rate)
            target.write(piece)


def in_browser(page):
    return page.evaluate(ASK, FRAMES)


def outside(ask, photo):
    times = []
    for _ in range(FRAMES):
        start = time.monotonic()
        ask([photo])
        times.append(1000 * (time.monotonic() - start))
    return times


def frames(page, files):
    """Return the milliseconds per frame of each program, the median of all rounds. The programs take turns."""
    learn, photo = open_export(ROOT / "export.pkl"), open_photo(TEDDY)
    graph, names = unpack(files)
    squares = GraphSquares(graph, names, find_shape(learn), learn.ood)
    model = Classifier(ROOT / "export.pkl", detect=False)
    torch.set_num_threads(1)

    def torch_alone(photos):
        return model.ask(photos)

    asked = {
        "Chromium": lambda: in_browser(page),
        "ONNX Runtime": lambda: outside(squares.ask, photo),
        "torch": lambda: outside(torch_alone, photo),
    }
    times = {name: [] for name in asked}
    for _ in range(ROUNDS):
        for name, ask in asked.items():
            times[name] += ask()[2:]
    return {name: statistics.median(each) for name, each in times.items()}


def seconds_to_answer(context, url):
    page = context.new_page()
    start = time.monotonic()
    page.goto(url, wait_until="commit")
    page.locator("#page .examples button").first.wait_for()  # now a photo can be chosen
    page.set_input_files("#page input[type=file]", TEDDY)
    page.locator('[data-state="answered"]').wait_for(timeout=300_000)
    took = time.monotonic() - start
    page.get_by_text("Works offline now.").wait_for(timeout=300_000)
    page.close()
    return took


def memory(browser, kind=r"Private_\w+", process="renderer"):
    """Return the MB that the browser's processes of one type (`process`) share with no other process.

    `kind` can select other lines of /proc/PID/smaps_rollup.
    """
    protocol = browser.new_browser_cdp_session()
    processes = protocol.send("SystemInfo.getProcessInfo")["processInfo"]
    rollups = [Path(f"/proc/{p['id']}/smaps_rollup").read_text() for p in processes if p["type"] == process]
    return sum(int(kb) for text in rollups for kb in re.findall(rf"^{kind}:\s+(\d+)", text, re.M)) * 1024 / 1e6


def watch(url, folder, minutes):
    """Print the memory of a watching tab, at the start and after each quarter of the time."""
    film = f"--use-file-for-fake-video-capture={clip('grizzly', folder / 'bear.mjpeg', away=75)}"
    with chromium(*CAMERA, film) as browser:
        page = browser.new_context(**DESKTOP, permissions=["camera"]).new_page()
        page.add_init_script(f"({COUNT})()")
        page.goto(url)
        page.get_by_text("Works offline now.").wait_for(timeout=60_000)
        page.get_by_role("tab", name="Camera").click()
        page.locator("#camera .start").click()
        page.locator("#camera .alarm").wait_for(timeout=180_000)
        protocol = page.context.new_cdp_session(page)
        print(
            "\n| minutes | pictures classified | alarms | memory, MB | camera frames, MB | browser process, MB |"
            " JavaScript, MB |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for quarter in range(5):
            if quarter:
                page.wait_for_timeout(minutes * 60_000 / 4)
            protocol.send("HeapProfiler.collectGarbage")
            frames = memory(browser, "Pss_Shmem")
            used = memory(browser) - frames, frames, memory(browser, process="browser")
            heap = protocol.send("Runtime.getHeapUsage")["usedSize"] / 1e6
            [alarms] = re.findall(r"\d+", page.locator("#camera .log summary").inner_text())
            row = f"{minutes * quarter / 4:g} | {page.evaluate('asked')} | {alarms}"
            print(f"| {row} | {' | '.join(f'{mb:.0f}' for mb in used)} | {heap:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--watch", type=float, metavar="MINUTES", help="only watch a simulated camera for so many minutes"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = build(ROOT / "export.pkl", False, [], print)
        write(files, Path(folder))
        host = ThreadingHTTPServer(("127.0.0.1", 0), partial(Line, directory=folder))
        host.daemon_threads = True
        threading.Thread(target=host.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{host.server_port}/"
        if args.watch:
            return watch(url, Path(folder), args.watch)
        with chromium() as browser:
            page = browser.new_page(**DESKTOP)
            page.goto(url)
            times = frames(page, files)
            print(f"memory after {ROUNDS * FRAMES} frames: {memory(browser):.0f} MB (aim: at most 300 MB)")
            page.close()
            print("\n| program | milliseconds a frame | frames a second | times as fast as Chromium |")
            print("| --- | --- | --- | --- |")
            for name, ms in times.items():
                print(f"| {name} | {ms:.0f} | {1000 / ms:.1f} | {times['Chromium'] / ms:.1f} |")
            print("\nSeconds from opening the page to the first verdict:\n")
            print("| line | first visit | later visits (median of three) |\n| --- | --- | --- |")
            for name, (Line.wait, Line.rate) in LINES.items():
                context = browser.new_context(**DESKTOP)
                first, *later = (seconds_to_answer(context, url) for _ in range(4))
                print(f"| {name} | {first:.1f} | {statistics.median(later):.2f} |", flush=True)
                context.close()
        host.shutdown()


if __name__ == "__main__":
    main()
