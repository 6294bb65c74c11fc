"""Count a model's answers about photos from other people and cameras, and how often a sure answer is wrong.

    python benchmarks/strangers.py                           # the bears' model; prints the table of docs/evaluation.md
    python benchmarks/strangers.py --model my_model/export.pkl --data DIR

DIR contains two tables, `life/life.csv` and `camp/camp.csv`. Each lists the photos in its folder. Both have the columns
`file`, `label` (black, grizzly, teddy; bear for another or unknown species; other) and `repo`, the source. `life.csv`
also has the column `what`, which says what a photo shows. `camp.csv` has the column `species` for bears. Photos from
trail cameras have `trail` in the column `camera` of `life.csv`, or `yes` in the column `camera_trap` of `camp.csv`.
Photos that the bears' model was trained on are counted separately.
"""

import argparse
import csv
import hashlib
import sys
from collections import Counter, defaultdict
from pathlib import Path

from scipy.stats import binomtest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))

from bears.cli import factor
from bears.errors import BearsError
from bears.model.classifier import Classifier
from bears.model.photo import open_photo
from bears.model.wording import find_probable
from bears.train.options import PHOTOS

CLASSES = ("black", "grizzly", "teddy")
GROUP = ("black", "grizzly")
KINDS = ("wild boar", "moose", "deer", "polar bear", "panda", "plush")
COLUMNS = ("real bear", "teddy", "no bear", "sure", "black or grizzly", "sure and wrong")


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "export.pkl", help="the bears', or another")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared", metavar="DIR", help="see above")
    parser.add_argument("--strictness", type=factor, default=1.0, metavar="TIMES", help="as for predict")
    return parser.parse_args(argv)


def trained_on():
    """Return the SHA-256 hashes of the photos that the bears' model was trained on."""
    with PHOTOS.open(newline="", encoding="utf-8") as rows:
        return {row["sha256"] for row in csv.DictReader(rows)}


def read_tables(folder):
    """Yield (file, label, group) for each photo of the tables in `folder`."""
    known = trained_on()
    for name in ("life", "camp"):
        with open(folder / name / f"{name}.csv", newline="", encoding="utf-8") as f:
            rows = [row for row in csv.DictReader(f) if not row["file"].endswith(".mp4")]
        for row in rows:
            file = folder / name / row["file"]
            label = row.get("species") if row.get("species") in CLASSES and row["label"] == "bear" else row["label"]
            learnt = hashlib.sha256(file.read_bytes()).hexdigest() in known
            yield file, label, "photos that it was trained on" if learnt else group_of(row, label, name)


def group_of(row, label, name):
    """Return the name of the group in which a photo is counted."""
    if label == "other":
        what = row.get("what", row.get("species", "")).lower()
        return f"other: {next((kind for kind in KINDS if kind in what), 'anything else')}"
    where = " on trail cameras" if row.get("camera_trap") == "yes" or row.get("camera") == "trail" else ""
    kind = {"teddy": "teddies", "bear": "bears of another or unknown species"}.get(label, "black bears and grizzlies")
    return f"{kind}{where} ({name})"


def ask_all(model, photos):
    """Return a dict from the name of each group of photos to a Counter of `COLUMNS`."""
    groups = defaultdict(Counter)
    for file, label, group in photos:
        [(probs, certainty, *_)] = model.ask([open_photo(file)])
        top, said = max(probs, key=probs.get), groups[group]
        bear = certainty == "group" or top != "teddy"
        said["photos"] += 1
        said["no bear" if certainty == "none" else "real bear" if bear else "teddy"] += 1
        said["sure"] += certainty == "sure"
        said["black or grizzly"] += certainty == "group"
        said["sure and wrong"] += certainty == "sure" and label in CLASSES and top != label
        if certainty == "group" and label in CLASSES and find_probable(GROUP, probs):
            said["probable"] += 1
            said["probable and wrong"] += top != label
    return dict(sorted(groups.items()))


def print_table(groups):
    print(f"| photos | number | {' | '.join(COLUMNS)} | wrong of the sure ones (95% interval) |")
    print("| --- " * (len(COLUMNS) + 3) + "|")
    for name, said in groups.items():
        share = "" if name.startswith("other") or not said["sure"] else as_share(said["sure and wrong"], said["sure"])
        print(f"| {name} | {said['photos']} | {' | '.join(str(said[column]) for column in COLUMNS)} | {share} |")


def print_probable(groups):
    said = sum(groups.values(), Counter())
    print(f"\nAnswers such as “probably black”: {said['probable']}; wrong: {said['probable and wrong']}")


def as_share(wrong, total):
    low, high = binomtest(wrong, total).proportion_ci(method="wilson")
    return f"{wrong / total:.0%} ({low:.0%} to {high:.0%})"


def main(argv=None):
    args = parse_args(argv)
    try:
        groups = ask_all(Classifier(args.model, strictness=args.strictness), read_tables(args.data))
    except (BearsError, OSError) as e:
        sys.exit(f"strangers.py: {e}")
    print_table(groups)
    print_probable(groups)


if __name__ == "__main__":
    main()
