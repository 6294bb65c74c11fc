"""Take the pictures of README from the pages as they run here: `python docs/pictures.py`. Needs a chromium."""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from helpers import Server, chromium

# Twice the pixels, for screens that have them
SCREENS = {
    "page": ("Grizzly bear", {"viewport": {"width": 720, "height": 1000}, "color_scheme": "light"}),
    "phone": ("Teddy bear", {"viewport": {"width": 390, "height": 680}, "color_scheme": "dark", "is_mobile": True}),
}
POCKET = {"viewport": {"width": 390, "height": 860}, "color_scheme": "light", "is_mobile": True}


def take(page, example, file):
    """Answer for an example, open what it looked at where there is room, and save what a visitor then sees."""
    page.get_by_label(f"Example: {example}").click()
    page.locator('[data-state="answered"]').wait_for()
    if page.viewport_size["width"] > 600:
        page.get_by_text("Where it looked", exact=True).click()
        page.locator(".map img").evaluate("image => image.decode()")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(500)  # colours fade
    page.screenshot(path=file, quality=85)


def take_pocket(browser, folder):
    """The page in the pocket on a phone whose network is gone."""
    command = [sys.executable, "-u", "-m", "bears.pocket", "--to", f"{folder}/site", "--serve"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    [url] = [line.split()[-1] for line in iter(process.stdout.readline, "") if "The page is at" in line][:1]
    page = browser.new_page(device_scale_factor=2, **POCKET)
    page.goto(url)
    page.get_by_text("Works offline now.").wait_for()
    page.context.set_offline(True)
    process.terminate()
    page.reload()
    page.get_by_text("Works offline now.").wait_for()
    take(page, "Grizzly bear", ROOT / "docs" / "pictures" / "pocket.jpg")


def icons(browser):
    """The icons of the page in the pocket, as phones want them, from the app's own."""
    svg, folder = (ROOT / "bears" / "app" / "icon.svg").read_text(), ROOT / "bears" / "pocket"
    frame, ground, *drawn = svg.splitlines()
    # A phone may cut its own shape out of this one, as far as a fifth of the radius from the edge.
    ground = ground.replace(' rx="14"', "")
    masked = "\n".join([frame, ground, '<g transform="translate(4.8 4.8) scale(.85)">', *drawn[:-1], "</g></svg>"])
    for name, size, picture in (("192", 192, svg), ("512", 512, svg), ("maskable", 512, masked)):
        page = browser.new_page(viewport={"width": size, "height": size})
        page.set_content(f'<body style="margin: 0">{picture}')
        page.screenshot(path=folder / f"icon-{name}.png", omit_background=True)
        page.close()


def main():
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        icons(browser)
        take_pocket(browser, folder)
        server = Server(Path(folder) / "log")
        try:
            server.wait_for("The model is ready", 60)
            for name, (example, screen) in SCREENS.items():
                page = browser.new_page(device_scale_factor=2, **screen)
                page.goto(server.url)
                take(page, example, ROOT / "docs" / "pictures" / f"{name}.jpg")
        finally:
            server.close()


if __name__ == "__main__":
    main()
