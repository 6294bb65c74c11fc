"""Measure the delay of an alarm if the model needs 0.2 to 4 seconds for a pass. Prints the table of docs/alarm.md.

    python benchmarks/slow_looks.py    # two minutes; needs Chromium

A red animal walks into a scene in which many small things twitch, and stays there. `bears/watch` and the app's scripts
are tested in simulated time. A function of how red a picture is replaces the model. A delay starts with the first frame
that shows a part of the animal.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bears.watch.alarm import Rule
from bears.watch.engine import Frame, Watcher
from bears.web.files import text_of
from helpers import chromium, open_front_end

LOOKS = 0.2, 0.7, 1, 2, 4  # seconds that a pass takes
SCENES = 10
EVERY = 0.2  # seconds from frame to frame
COMES = 12  # seconds until the animal comes
END = 150  # seconds
WIDTH, HEIGHT, SPECK, ANIMAL = 640, 360, 16, 110  # pixels
SPECKS = 14


class Scene:
    """Draw an animal, and specks at fixed places. Each speck twitches in about every second frame."""

    def __init__(self, number):
        self.rng = np.random.default_rng(number)
        self.grass = cv2.resize(self.rng.integers(80, 150, (18, 32, 3), np.uint8), (WIDTH, HEIGHT))
        self.places = self.rng.integers((20, 20), (WIDTH - 40, HEIGHT - 40), (SPECKS, 2)).tolist()

    def specks(self):
        """Return the positions (left, top) of the specks in the next frame."""
        seen = self.rng.random(SPECKS) < 0.5
        moved = self.rng.integers(-12, 13, (SPECKS, 2)).tolist()
        return [(x + u, y + v) for (x, y), (u, v), see in zip(self.places, moved, seen) if see]

    def animal(self, seconds):
        """Return the position of the animal, which walks in from the left and stops."""
        return min(240, round(60 * (seconds - COMES)) - ANIMAL), 140

    def frame(self, seconds):
        picture = cv2.add(self.grass, self.rng.integers(0, 6, self.grass.shape, np.uint8))
        for x, y in self.specks():
            picture[max(0, y) : y + SPECK, max(0, x) : x + SPECK] = 230
        x, y = self.animal(seconds)
        if x + ANIMAL > 0:
            picture[y : y + ANIMAL, max(0, x) : x + ANIMAL] = (30, 30, 220)
        return Frame(seconds, picture)


class SlowModel:
    """Replace the model: be sure of a bear if much of the picture is red. Each pass moves a simulated clock forward."""

    def __init__(self, look):
        self.look, self.now = look, 0

    def ask(self, pictures):
        for picture in pictures:
            red, green, _ = np.asarray(picture, float).mean((0, 1))
            self.now += self.look
            prob = 0.99 if red > green + 25 else 0.01
            yield {"bear": prob, "teddy": 1 - prob}, "sure" if prob > 0.5 else "none", None, None


def delay_of_watcher(number, look):
    """Return the seconds until `python3 -m bears watch` raises an alarm for the animal, or None without an alarm."""
    scene, model = Scene(number), SlowModel(look)
    watcher = Watcher(model, ["bear"], Rule(), whole_only=False, clock=lambda: model.now)
    while model.now < END:
        due = model.now + EVERY
        step = watcher.step(scene.frame(model.now))
        if step.events:
            return model.now - COMES
        model.now = max(due, model.now)
    return None


# Run the app's own scripts in the browser, with a simulated clock, camera and server.
STAGE = """async scene => {
    const timers = [], flushed = new MessageChannel(), brush = document.createElement("canvas").getContext("2d")
    const track = {readyState: "live", getSettings: () => ({}), stop: () => null}
    const camera = {getTracks: () => [track], getVideoTracks: () => [track]}
    const devices = {getUserMedia: async () => camera, enumerateDevices: async () => []}
    const draw = CanvasRenderingContext2D.prototype.drawImage
    const frame = () => Math.min(scene.frames.length - 1, Math.floor(now / scene.every))
    let now = 0
    window.setTimeout = (call, ms = 0) => timers.push({at: now + ms / 1000, call})
    performance.now = () => now * 1000
    AbortSignal.timeout = () => new AbortController().signal
    Object.defineProperty(navigator, "mediaDevices", {value: devices})
    const element = document.body.appendChild(document.createElement("div"))
    element.innerHTML = scene.html
    const props = {classes: ["bear"], alarm: ["bear"], promise: "", checking: "checking"}
    const video = element.querySelector("video")
    const size = {videoWidth: scene.width, videoHeight: scene.height}
    for (const [name, value] of Object.entries({...size, play: async () => null}))
        Object.defineProperty(video, name, {value})
    Object.defineProperty(video, "srcObject", {value: null, writable: true})
    Object.assign(brush.canvas, {width: scene.width, height: scene.height})
    const paint = ({specks, animal}) => {
        brush.fillStyle = "rgb(90 115 70)"
        brush.fillRect(0, 0, scene.width, scene.height)
        brush.fillStyle = "rgb(230 230 230)"
        for (const [x, y] of specks) brush.fillRect(x, y, scene.speck, scene.speck)
        brush.fillStyle = "rgb(220 30 30)"
        brush.fillRect(...animal, scene.side, scene.side)
    }
    CanvasRenderingContext2D.prototype.drawImage = function (picture, ...places) {
        if (picture == video) paint(scene.frames[frame()])
        if (picture == video && places.length == 8) this.canvas.red = isRed(places) // a part of it, for the model
        draw.call(this, picture == video ? brush.canvas : picture, ...places)
    }
    HTMLCanvasElement.prototype.toBlob = function (done) {
        done(Object.assign(new Blob(), {red: this.red}))
    }
    const isRed = box => {
        const {animal} = scene.frames[frame()], end = k => Math.min(box[k] + box[k + 2], animal[k] + scene.side)
        const [w, h] = [0, 1].map(k => end(k) - Math.max(box[k], animal[k]))
        return w > 0 && h > 0 && w * h > 0.12 * box[2] * box[3]
    }
    const classifyFrame = async ({red}) => {
        await new Promise(done => setTimeout(done, 1000 * scene.look))
        return {probs: {bear: red ? 0.99 : 0.01}, certainty: red ? "sure" : "none", verdict: red ? "Bear" : "No bear"}
    }
    const {CameraTab} = await import("/camera.js")
    new CameraTab(element, props, {classifyFrame, UNREACHABLE: "offline"})
    const settle = () => new Promise(done => {
        flushed.port1.onmessage = done
        flushed.port2.postMessage(null)
    })
    window.delay = async () => {
        element.querySelector(".start").click()
        for (await settle(); now < scene.end; await settle()) {
            if (!element.querySelector(".alarm").hidden) return now - scene.comes
            timers.sort((a, b) => a.at - b.at)
            const {at, call} = timers.shift()
            now = Math.max(now, at)
            call()
        }
        return null
    }
}"""


def delay_in_browser(browser, number, look):
    """Return the seconds until the Camera tab raises an alarm for the animal, or None without an alarm."""
    scene, page = Scene(number), browser.new_page()
    frames = [{"specks": scene.specks(), "animal": scene.animal(EVERY * n)} for n in range(round(END / EVERY))]
    about = {"look": look, "every": EVERY, "end": END, "comes": COMES, "width": WIDTH, "height": HEIGHT}
    about |= {
        "speck": SPECK,
        "side": ANIMAL,
        "html": text_of("camera.html"),
        "frames": frames,
    }
    open_front_end(page)
    page.evaluate(STAGE, about)
    took = page.evaluate("delay()")
    page.close()
    return took


def in_words(delays):
    """Return the median and the longest delay, in words."""
    some = [np.inf if delay is None else delay for delay in delays]
    return f"{np.median(some):.1f} s ({max(some):.1f} s)".replace("inf s", "none")


def row(browser, look):
    page = [delay_in_browser(browser, number, look) for number in range(SCENES)]
    command = [delay_of_watcher(number, look) for number in range(SCENES)]
    return f"| {look} s | {in_words(page)} | {in_words(command)} |"


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    delay = "delay {}: median (longest)".format
    print(f"| a pass takes | {delay('in the browser')} | {delay('of `bears watch`')} |\n| --- | --- | --- |")
    with chromium() as browser:
        for look in LOOKS:
            print(row(browser, look), flush=True)


if __name__ == "__main__":
    main()
