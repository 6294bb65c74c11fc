"""Count the false alarms and the alarms for bears that `watch --learn` prevents.

    python benchmarks/learn.py                     # the bears' model; prints the table of docs/evaluation.md
    python benchmarks/learn.py --strictness 0.8    # with this strictness, more things raise a false alarm

Each photo alone can raise an alarm, as with `watch photos/`. Each source of photos with two or more false alarms counts
as a camera. `--learn` gets the first half of a camera's false alarms, sorted by file name. The table counts the alarms
for these photos:

- same things again: the photos that `--learn` got, but darker, and with a tenth cut off at the left and at the top;
- new things: the second half of the camera's false alarms;
- bears of this camera: all bears from the same source that raise an alarm without `--learn`;
- bears of all cameras: for each camera, the bears from all sources that raise an alarm without `--learn`. These counts
  are added up, so with 6 cameras, each bear counts 6 times.

Bears that the model was trained on are left out. "25 → 0" means 25 alarms without `--learn` and 0 alarms with it. With
the default strictness, the shipped model raises few false alarms on these photos, so the table also has a lower one.

DIR (`--data`) contains `life/life.csv` and `camp/camp.csv` with their photos, as for `benchmarks/strangers.py`.
"""

import argparse
import hashlib
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import ImageEnhance

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))

from bears.cli import factor
from bears.errors import BearsError
from bears.model import ood
from bears.model.answers import find_group
from bears.model.classifier import Classifier
from bears.model.photo import open_photo
from bears.watch.alarm import PHOTO, score
from bears.watch.frames import SIDE
from strangers import trained_on
from watch import ALARM, read_photos

COLUMNS = "same things again", "new things", "bears of this camera", "bears of all cameras"
MARGINS = 0.05, 0.1, ood.MARGIN, 0.2


@dataclass
class Photo:
    row: dict  # of `read_photos`
    trained: bool  # whether the model was trained on it
    alarms: bool
    features: torch.Tensor

    @property
    def is_bear(self):
        return self.row["group"].startswith("bear")


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=ROOT / "export.pkl", help="export to test (default: the bears' export.pkl)"
    )
    data = "folder with life/life.csv and camp/camp.csv (default: the folder `shared` next to the repository)"
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared", metavar="DIR", help=data)
    strictness = "how often the answer is “none of the classes”; the table has rows for each value (default: 1 0.5)"
    parser.add_argument("--strictness", type=factor, nargs="+", default=[1.0, 0.5], metavar="TIMES", help=strictness)
    return parser.parse_args(argv)


def ask(model, data):
    """Classify each photo of the tables, and yield a `Photo` with the answer."""
    trained = trained_on()
    for row in read_photos(data):
        known = hashlib.sha256(row["file"].read_bytes()).hexdigest() in trained
        yield look(model, open_photo(row["file"], SIDE), row, known)


def look(model, photo, row, known=False):
    [answer] = model.squares.ask([photo])
    certainty, probs = model.certainty(answer), dict(zip(model.learn.dls.vocab, answer.probs.tolist()))
    how_surely = score(probs, certainty, ALARM, find_group(probs, certainty, model.limits.groups))
    return Photo(row, known, how_surely >= PHOTO.threshold, model.features(answer))


def again(model, photo):
    """Classify a photo again, darker and without a tenth at the left and at the top."""
    picture = open_photo(photo.row["file"], SIDE)
    cropped = picture.crop((picture.width // 10, picture.height // 10, *picture.size))
    return look(model, ImageEnhance.Brightness(cropped).enhance(0.7), photo.row)


def halves(photos):
    """Return a dict from each source with two or more false alarms to those to learn from and those to test with."""
    by_source = defaultdict(list)
    for photo in sorted(photos, key=lambda photo: photo.row["file"].name):
        if photo.alarms and not photo.is_bear:
            by_source[photo.row["repo"]].append(photo)
    return {name: (some[: len(some) // 2], some[len(some) // 2 :]) for name, some in by_source.items() if some[1:]}


def ask_cameras(model, photos):
    """Yield, for each camera, the features that the model learns, and a dict from column to the alarms to test with."""
    bears = [photo for photo in photos if photo.is_bear and photo.alarms and not photo.trained]
    for source, (learnt, others) in halves(photos).items():
        same = [photo for photo in (again(model, photo) for photo in learnt) if photo.alarms]
        there = [photo for photo in bears if photo.row["repo"] == source]
        yield torch.cat([photo.features for photo in learnt]), dict(zip(COLUMNS, (same, others, there, bears)))


def count(fitted, cameras, margin):
    """Return, as text, the number of alarms in each column without and with `--learn`."""
    before, after = Counter(), Counter()
    for known, asked in cameras:
        for column, photos in asked.items():
            before[column] += len(photos)
            after[column] += sum(not ood.shows_known(fitted, photo.features, known, margin) for photo in photos)
    return [f"{before[column]} → {after[column]}" for column in COLUMNS]


def print_table(args):
    print(f"| strictness | cameras | margin | {' | '.join(COLUMNS)} |\n{'| --- ' * (3 + len(COLUMNS))}|")
    for strictness in args.strictness:
        model = Classifier(args.model, strictness=strictness)
        cameras = list(ask_cameras(model, list(ask(model, args.data))))
        for margin in MARGINS:
            row = [strictness, len(cameras), margin, *count(model.learn.ood, cameras, margin)]
            print(f"| {' | '.join(map(str, row))} |", flush=True)


def main(argv=None):
    args = parse_args(argv)
    try:
        print_table(args)
    except (BearsError, OSError) as e:
        sys.exit(f"learn.py: {e}")


if __name__ == "__main__":
    main()
