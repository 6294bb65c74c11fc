"""The files of the front end, by name."""

from pathlib import Path

WEB = Path(__file__).parent
ICON = WEB / "icon.svg"
# The modules of both pages. Those that app.py alone sends are in bears/app/front_end.py, and those of the offline
# version in bears/offline/site.py.
MODULES = (
    "alarm.js",
    "answer.js",
    "camera.js",
    "card.js",
    "crop.js",
    "events.js",
    "flaws.js",
    "motion.js",
    "page.js",
    "pictures.js",
    "schedule.js",
    "siren.js",
    "state.js",
    "tab.js",
    "zip.js",
)


def text_of(*names: str) -> str:
    """Return the text of some files, one after another."""
    return "\n".join((WEB / name).read_text(encoding="utf-8") for name in names)


def style() -> str:
    """Return the style sheet of both pages, which takes its colours from the theme."""
    return text_of("page.css", "feedback.css", "camera.css")
