"""Count how many verdicts change because the page shrinks photos before it sends them.

    python benchmarks/shrunk.py ../shared/photos/bears ../shared/camp --every 5

Each photo is first enlarged to 2,048 pixels on its longer side, like a phone's photo. Then the page shrinks it to 1,024
pixels in Chromium, as for visitors. Only the part of a verdict before its comma counts, without the percentage.
"""

import argparse
import io
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from bears.model.classifier import Classifier
from bears.model.metadata import read_facts
from bears.model.photo import open_photo
from bears.model.wording import headline
from bears.photos import list_photos
from helpers import Server, chromium

LONG_SIDE = 2048  # pixels


def enlarged(file):
    """Return a photo enlarged to a JPEG with a longer side of `LONG_SIDE`."""
    photo, data = open_photo(file), io.BytesIO()
    scale = LONG_SIDE / max(photo.size)
    photo.resize([round(side * scale) for side in photo.size], Image.Resampling.BICUBIC).save(data, "JPEG", quality=92)
    return data.getvalue()


def sent_by(page, photo):
    """Return the bytes that the page sends when a visitor chooses a photo."""
    with page.expect_request("**/upload") as request:
        page.set_input_files("#page input[type=file]", {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo})
    body = request.value.post_data_buffer.split(b"\r\n\r\n", 1)[1]
    return body[: body.rindex(b"\r\n--")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help="folder of photos, also in its subfolders")
    every = "test only every Nth photo (default: 1, all photos)"
    parser.add_argument("--every", type=int, default=1, metavar="N", help=every)
    args = parser.parse_args()
    files = sorted(file for folder in args.folders for file in list_photos(folder))[:: args.every]
    facts, model, differ, most = read_facts(ROOT / "export.pkl"), Classifier(ROOT / "export.pkl"), 0, 0
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        server = Server(Path(folder) / "log")
        try:
            page = browser.new_page()
            page.route("**/upload", lambda route: route.abort())
            page.goto(server.url)
            page.locator("#page .examples button").first.wait_for()
            for file in files:
                photo = enlarged(file)
                sent = sent_by(page, photo)
                assert max(Image.open(io.BytesIO(sent)).size) == 1024
                both = [open_photo(io.BytesIO(data)) for data in (photo, sent)]
                (whole, *_), (small, *_) = answers = model.ask(both)
                said = [headline(probs, certainty, facts, model.limits) for probs, certainty, *_ in answers]
                words = [re.sub(", .*", "", verdict) for verdict in said]
                differ += words[0] != words[1]
                most = max(most, *(abs(whole[label] - small[label]) for label in whole))
        finally:
            server.close()
    print(f"The verdicts on {differ} of {len(files)} photos changed. A probability changed by at most {most:.2f}.")


if __name__ == "__main__":
    main()
