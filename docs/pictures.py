"""Take the screenshots for README and the guides from the running app. This needs Chromium.

python docs/pictures.py
python docs/pictures.py --report my_model/reports/index.html    # pictures of a training report
"""

import argparse
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT / "tests"))
from helpers import CAMERA, Server, chromium, clip
from PIL import Image
from sklearn.datasets import load_digits

DESKTOP = {"viewport": {"width": 1120, "height": 720}, "color_scheme": "light"}
WIDE = {"viewport": {"width": 1000, "height": 720}, "color_scheme": "light"}
PHONE = {"viewport": {"width": 390, "height": 730}, "color_scheme": "dark", "is_mobile": True}
PHONE_OFFLINE = {"viewport": {"width": 390, "height": 860}, "color_scheme": "light", "is_mobile": True}


def take(page, example, file):
    """Classify an example, and save a screenshot of the answer."""
    page.get_by_label(f"Example: {example}").click()
    page.locator('[data-state="answered"]:not([data-first])').wait_for()
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur(), scrollTo(0, 0)")
    page.wait_for_timeout(500)  # until colours have stopped fading
    page.screenshot(path=file, quality=85)


def film(page, file):
    """Save an animation: a photo, its heatmap, and a bear in front of the camera.

    Also save pictures of the alarm and of its event.
    """
    frames = []

    def show(seconds):
        frames.append((Image.open(io.BytesIO(page.screenshot())).convert("RGB"), 1000 * seconds))

    page.get_by_label("Example: Grizzly bear").wait_for()
    show(1)
    page.get_by_label("Example: Grizzly bear").click()
    page.get_by_text("Looking…").wait_for()
    show(0.5)
    page.locator('[data-state="answered"]:not([data-first])').wait_for()
    show(1.5)
    page.get_by_role("button", name="Why?").click()
    page.locator("#page .glow").evaluate("image => image.decode()")
    page.wait_for_timeout(500)  # until colours have stopped fading
    show(2)
    page.get_by_role("tab", name="Camera").click()
    page.locator("#camera .start").wait_for()
    show(1)
    page.click("#camera .start")
    page.locator("#camera .now").get_by_text("Grizzly bear").wait_for()
    show(1)
    page.wait_for_selector("#camera .alarm", state="visible")
    page.screenshot(path=PICTURES / "alarm.jpg", quality=85)
    show(1.5)
    page.click("#camera .seen")
    page.click("#camera summary")
    page.screenshot(path=PICTURES / "event.jpg", quality=85)
    show(1.5)
    (first, _), *rest = frames
    durations = [int(duration) for _, duration in frames]
    first.save(file, save_all=True, append_images=[frame for frame, _ in rest], duration=durations, loop=0, quality=80)


def start(*command):
    """Start a command that serves a page. Return its process and the page's URL."""
    process = subprocess.Popen([sys.executable, "-u", "-m", *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return process, next(line.split()[-1] for line in process.stdout if re.search("is at http", line))


def draw_digits(folder):
    """Write photos of handwritten digits into a new folder in `folder`, and return the new folder.

    One 8 is in the folder of the 3s, so that the review page finds a mistake. The licence of these digits allows
    pictures of them.
    """
    digits, data = load_digits(), Path(folder) / "digits"
    for label, name in ((3, "three"), (5, "five"), (8, "eight")):
        (data / name).mkdir(parents=True)
        for i, pixels in enumerate(digits.images[digits.target == label][:40]):
            image = Image.fromarray((255 - pixels * 15).astype("uint8")).resize((256, 256), Image.Resampling.LANCZOS)
            image.save(data / ("three" if label == 8 and i == 0 else name) / f"{name}-{i:02}.png")
    return data


def take_training(browser, folder):
    """Take screenshots of the review page for digits, and of the report about training on them."""
    data = draw_digits(folder)
    process, url = start("bears.clean", str(data))
    page = browser.new_page(**WIDE)
    page.goto(url)
    page.locator("#review").wait_for(timeout=180_000)
    page.get_by_role("button", name=re.compile("^three")).click()
    page.wait_for_timeout(1000)  # until its photos have loaded
    page.screenshot(path=PICTURES / "review.jpg", quality=85)
    process.terminate()
    command = [sys.executable, ROOT / "train.py", "--data", data.name, "--out", "my_model"]
    subprocess.run(command, cwd=folder, check=True)
    page.goto(Path(folder, "my_model", "reports", "index.html").as_uri())
    page.screenshot(path=PICTURES / "report.jpg", quality=85)
    page.close()


def take_offline(browser, folder):
    """Take a screenshot of the offline version on a phone without a network."""
    process, url = start("bears.offline", "--out", f"{folder}/site", "--serve")
    page = browser.new_page(device_scale_factor=2, **PHONE_OFFLINE)
    page.goto(url)
    page.get_by_text("Works offline now.").wait_for()
    page.context.set_offline(True)
    process.terminate()
    page.reload()
    page.get_by_text("Works offline now.").wait_for()
    take(page, "Grizzly bear", PICTURES / "offline.jpg")


def take_feedback(browser, folder):
    """Take a screenshot of the form for feedback below an answer, for docs/loop.md."""
    server = Server(Path(folder) / "log", "--feedback", f"{folder}/feedback")
    try:
        page = browser.new_page(device_scale_factor=2, **PHONE_OFFLINE)
        page.goto(server.url)
        page.set_input_files("#page [type=file]", ROOT / "examples" / "teddy.jpg")
        page.get_by_role("button", name="No", exact=True).click()
        page.locator(".feedback").evaluate("form => form.scrollIntoView({block: 'end'})")
        page.wait_for_timeout(500)  # until colours have stopped fading
        page.screenshot(path=PICTURES / "feedback.jpg", quality=85)
    finally:
        server.close()


def icons(browser):
    """Draw the icons of the offline version for phones, from the app's icon."""
    svg, folder = (ROOT / "bears" / "web" / "icon.svg").read_text(), ROOT / "bears" / "web" / "offline"
    frame, ground, *drawn = svg.splitlines()
    # A phone may cut its own shape out of the maskable icon. It may remove up to a fifth of the radius at the edge.
    ground = ground.replace(' rx="14"', "")
    masked = "\n".join([frame, ground, '<g transform="translate(4.8 4.8) scale(.85)">', *drawn[:-1], "</g></svg>"])
    for name, size, picture in (("192", 192, svg), ("512", 512, svg), ("maskable", 512, masked)):
        page = browser.new_page(viewport={"width": size, "height": size})
        page.set_content(f'<body style="margin: 0">{picture}')
        page.screenshot(path=folder / f"icon-{name}.png", omit_background=True)
        page.close()


def camera(folder):
    """Return the option that makes Chromium's camera show a bear."""
    return f"--use-file-for-fake-video-capture={clip('grizzly', Path(folder) / 'bear.mjpeg')}"


def take_report(browser, report):
    """Take pictures of two plots in a training report. The plots show no photos."""
    page = browser.new_page(device_scale_factor=2)
    page.goto(report.absolute().as_uri())
    for figure in ("confusion_matrix", "learning_curve"):
        page.locator(f".{figure} svg").screenshot(path=PICTURES / f"{figure}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, help="take the pictures of this report, and no others")
    if report := parser.parse_args().report:
        with chromium() as browser:
            return take_report(browser, report)
    with tempfile.TemporaryDirectory() as folder, chromium(*CAMERA, camera(folder)) as browser:
        icons(browser)
        take_training(browser, folder)
        take_offline(browser, folder)
        take_feedback(browser, folder)
        server = Server(Path(folder) / "log")
        try:
            server.wait_for("The model is ready", 60)
            page = browser.new_page(device_scale_factor=2, **PHONE)
            page.goto(server.url)
            take(page, "Teddy bear", PICTURES / "phone.jpg")
            page = browser.new_page(**DESKTOP)
            page.goto(server.url)
            film(page, PICTURES / "tour.webp")
        finally:
            server.close()


if __name__ == "__main__":
    main()
