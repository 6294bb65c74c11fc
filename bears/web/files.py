"""List the files of the front end, and read them by name."""

from pathlib import Path

WEB = Path(__file__).parent
ICON = WEB / "icon.svg"
# The modules of both the app and the offline version. bears/app/front_end.py adds the app's own modules, and
# bears/offline/site.py those of the offline version.
MODULES = (
    "alarm.js",
    "answer.js",
    "camera.js",
    "card.js",
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
    """Return the joined text of files in this folder."""
    return "\n".join((WEB / name).read_text(encoding="utf-8") for name in names)


def style() -> str:
    """Return the style sheet of the app and the offline version, which uses the theme's colours."""
    return text_of("page.css", "feedback.css", "camera.css")
