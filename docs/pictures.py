"""Take the pictures of README from the page as it runs here: `python docs/pictures.py`. Needs a chromium."""

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


def take(page, example, file):
    """Answer for an example, open what it looked at where there is room, and save what a visitor then sees."""
    page.get_by_label(f"Example: {example}").click()
    page.locator('[data-state="answered"]').wait_for()
    if page.viewport_size["height"] > 800:
        page.get_by_text("Where it looked", exact=True).click()
        page.locator(".map img").evaluate("image => image.decode()")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(500)  # colours fade
    page.screenshot(path=file, quality=85)


def main():
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
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
