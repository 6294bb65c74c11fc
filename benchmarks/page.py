"""Measure the seconds from choosing a photo of 12 megapixels to the verdict in a browser.

    python benchmarks/page.py    # about two minutes; needs Chromium

app.py is compared with the usual app: the lesson's `gr.Interface` with `gr.Image()` and `learn.predict`. Both run on
this machine. Chromium simulates a slow line. Prints both times in seconds, and their ratio.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from serve import ROOT, App, phone_photo

sys.path.insert(0, str(ROOT / "tests"))
from helpers import chromium

MBIT = 10**6 / 8  # bytes per second
# Chrome's "Slow 4G", https://github.com/GoogleChrome/lighthouse/blob/main/docs/throttling.md
LINES = {
    "slow 4G": {"latency": 150, "downloadThroughput": 1.6 * MBIT, "uploadThroughput": 0.75 * MBIT},
    "no limit": {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1},
}
ROUNDS = 3


def ask_ours(page, file):
    page.set_input_files("#page input[type=file]", file)
    page.locator('[data-state="answered"]').wait_for(timeout=120_000)


def ask_usual(page, file):
    page.set_input_files("input[type=file]", file)
    page.locator("[data-testid=image] img, .image-frame img").first.wait_for(timeout=120_000)  # the upload is complete
    page.get_by_role("button", name="Submit").click()
    page.locator("[data-testid=label-output-value]").wait_for(timeout=120_000)


def seconds(browser, app, ask, file, line):
    """Return the seconds that a visitor waits for an answer after the page has loaded. `line` is the line's speed."""
    page = browser.new_page()
    page.goto(app.url)
    page.locator("input[type=file]").first.wait_for(state="attached")
    page.wait_for_timeout(2000)
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", {"offline": False, **line})
    start = time.monotonic()
    ask(page, file)
    took = time.monotonic() - start
    page.close()
    return took


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    photo, asks = phone_photo(4032, 3024), {"usual": ask_usual, "ours": ask_ours}
    apps = {name: App(name, photo) for name in asks}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = Path(folder) / "photo.jpg"
        file.write_bytes(photo)
        try:
            print("| line | usual app, seconds | this app, seconds | this app: times as fast as the usual app |")
            print("| --- | --- | --- | --- |")
            for name, line in LINES.items():
                runs = [[seconds(browser, apps[a], asks[a], file, line) for a in asks] for _ in range(ROUNDS)]
                usual, ours = map(statistics.median, zip(*runs))
                print(f"| {name} | {usual:.1f} | {ours:.1f} | {usual / ours:.1f} |", flush=True)
        finally:
            for app in apps.values():
                app.close()


if __name__ == "__main__":
    main()
