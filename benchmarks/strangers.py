"""Count a model's answers about photos from other people and cameras, and how often a sure answer is wrong.

    python benchmarks/strangers.py                           # the bears' model; prints the table of docs/evaluation.md
    python benchmarks/strangers.py --model my_model/export.pkl --data DIR

The columns "real bear", "teddy" and "no bear" count the likeliest class of each answer, even if the model wasn't sure.
They add up to the number of photos. The last three columns count some of the same photos again. "Sure and wrong" counts
only photos of black bears, grizzlies and teddies. Photos that the bears' model was trained on are counted separately.

DIR contains two tables, `life/life.csv` and `camp/camp.csv`. Each lists the photos in its folder. Both have the columns
`file`, `label` (black, grizzly, teddy; bear for another or unknown species; other) and `repo`, the source. `life.csv`
also has the column `what`, which says what a photo shows. `camp.csv` has the column `species` for bears. Photos from
trail cameras have `trail` in the column `camera` of `life.csv`, or `yes` in the column `camera_trap` of `camp.csv`.
"""

import argparse
import csv
import hashlib
import sys
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))

from bears.cli import factor
from bears.errors import BearsError
from bears.model.classifier import Classifier
from bears.model.photo import open_photo
from bears.model.wording import find_probable
from bears.train.shipped_model import GROUPS, PHOTOS

CLASSES = ("black", "grizzly", "teddy")
KINDS = ("wild boar", "moose", "deer", "polar bear", "panda", "plush")  # in the tables' descriptions of other things
REST = "all the rest"  # of the other things
TRAINED = "photos that the shipped model was trained on"
COLUMNS = ("real bear", "teddy", "no bear", "sure", "black or grizzly", "sure and wrong")


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=ROOT / "export.pkl", help="export to test (default: the bears' export.pkl)"
    )
    data = "folder with life/life.csv and camp/camp.csv (default: the folder `shared` next to the repository)"
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared", metavar="DIR", help=data)
    strictness = (
        "how often the answer is “none of the classes” (default: 1). Above 1: more often. Below 1: less often. 0: never"
    )
    parser.add_argument("--strictness", type=factor, default=1.0, metavar="TIMES", help=strictness)
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
            yield file, label, TRAINED if learnt else group_of(row, label, name)


def group_of(row, label, name):
    """Return the name of the group in which a photo is counted."""
    if label == "other":
        what = row.get("what", row.get("species", "")).lower()
        kind = next((kind for kind in KINDS if kind in what), REST)
        return f"other things: {'plush animals that are no bears' if kind == 'plush' else kind}"
    where = " on trail cameras" if row.get("camera_trap") == "yes" or row.get("camera") == "trail" else ""
    kind = {"teddy": "teddies", "bear": "bears of another or unknown species"}.get(label, "black bears and grizzlies")
    return f"{kind}{where} ({name})"


def order(group):
    """Return a sort key: by name, but `REST` after the other groups of things, and `TRAINED` at the very end."""
    return group == TRAINED, group.replace(REST, "~")  # "~" comes after all letters


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
        if label in GROUPS["bear"]:
            said["bears"] += 1
            said["sure bears"] += certainty == "sure"
            said["sure bears and wrong"] += certainty == "sure" and top != label
            probable = certainty == "group" and find_probable(GROUPS["bear"], probs) is not None
            said["probable"] += probable
            said["probable and wrong"] += probable and top != label
    return {group: groups[group] for group in sorted(groups, key=order)}


def print_table(groups):
    print(f"| what the photos show (collection) | photos | {' | '.join(COLUMNS)} |")
    print("| --- " * (len(COLUMNS) + 2) + "|")
    for name, said in groups.items():
        print(f"| {name} | {said['photos']} | {' | '.join(str(said[column]) for column in COLUMNS)} |")


def print_wrong(groups):
    """Print how many answers about black bears and grizzlies are wrong, among the sure ones and the probable ones."""
    said = sum(groups.values(), Counter())
    trained = groups.get(TRAINED, Counter())
    sure, wrong = (said[name] - trained[name] for name in ("sure bears", "sure bears and wrong"))
    print("\nAbout black bears and grizzlies that were not used for training,", end=" ")
    print(f"the model gave {sure} sure answers, {wrong} of them wrong.")
    print(f"About photos of these two bears, including the {trained['bears']} training photos,", end=" ")
    print(f'{said["probable"]} answers end with "probably black" or "probably grizzly",', end=" ")
    print(f"{said['probable and wrong']} of them wrong.")


def main(argv=None):
    args = parse_args(argv)
    try:
        groups = ask_all(Classifier(args.model, strictness=args.strictness), read_tables(args.data))
    except (BearsError, OSError) as e:
        sys.exit(f"strangers.py: {e}")
    print_table(groups)
    print_wrong(groups)


if __name__ == "__main__":
    main()
