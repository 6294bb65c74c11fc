"""List the files of the front end, and read them by name."""

from pathlib import Path

WEB = Path(__file__).parent
ICON = WEB / "icon.svg"
# The modules that the app and the offline version share. bears/app/front_end.py and bears/offline/site.py add the
# modules that only one of them has.
MODULES = (
    "alarm.js",
    "answer.js",
    "camera.js",
    "card.js",
    "compare.js",
    "crop.js",
    "events.js",
    "flaws.js",
    "hours.js",
    "icon.js",
    "motion.js",
    "page.js",
    "pictures.js",
    "schedule.js",
    "siren.js",
    "state.js",
    "tab.js",
    "zip.js",
    "zones.js",
)


def text_of(*names: str) -> str:
    """Return the text of one or more files in this folder, joined."""
    return "\n".join((WEB / name).read_text(encoding="utf-8") for name in names)


def style() -> str:
    """Return the style sheet of the app and the offline version. The styles use the variables of Gradio's theme."""
    return text_of("page.css", "feedback.css", "camera.css")
