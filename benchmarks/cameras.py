"""Count how many bears a model recognises in photos from cameras, and how often it mistakes other things for a bear.

    python benchmarks/cameras.py                           # the bears' model; prints the numbers of docs/evaluation.md
    python benchmarks/cameras.py --model my_model/export.pkl --data DIR
    python benchmarks/cameras.py --levels                       # how many bears further passes and the detector find
    python benchmarks/cameras.py --heatmaps                     # how often the heatmap's brightest cell is on the bear
    git worktree add ../old COMMIT                              # to test an older model with its own code
    PYTHONPATH=../old python benchmarks/cameras.py --model ../old/export.pkl

The first table counts the photos that the model calls a real bear, even if it isn't sure. The second table has the
processor time for a photo. DIR contains:

- `camp/camp.csv`, a table of the photos next to it. Its columns are `file`, `label` (bear, teddy, other),
  `conditions` (day, dusk, night...), `camera_trap` (yes, no), `repo` (the source), and `note`. The note may have a box
  around the animal.
- `photos/not_bears`, photos of other things.
- `photos/bears`, a folder per class. Every eighth photo is shrunk to a width of 400 pixels, and tested at the left of a
  grey picture of 1280 × 720 pixels. The bears' model was trained on the same photos, but not in this form.
"""

import argparse
import csv
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import binomtest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT))  # after PYTHONPATH

from bears.errors import BearsError, DataError
from bears.learning.data import find_others, find_photos
from bears.model.classifier import Classifier
from bears.model.photo import open_photo

SCREEN, WIDTH, GREY = (1280, 720), 400, (120, 130, 110)
BOX = re.compile(r"box x,y,w,h=(\d+),(\d+),(\d+),(\d+)")  # in the table's notes, in pixels
SURE, UNSURE, TEDDY, NONE = "bear", "not sure: bear", "teddy, sure or not", "no bear"  # kinds of answers
HEADER = (
    "| what the photos show | photos | called a bear | of these, not sure | called a teddy | called no bear |"
    f" share called a bear (95% interval) |\n{'| --- ' * 7}|"
)
NAMES = {  # of the groups of photos, by label and by whether the camera is a trail camera
    ("bear", True): "bears on trail cameras",
    ("bear", False): "bears in yards, on roads, among people",
    ("teddy", True): "teddies on trail cameras",
    ("teddy", False): "teddies among people",
    ("other", True): "trail cameras without a bear: other animals, people, empty woods",
    ("other", False): "other cameras without a bear: other animals, people, empty woods",
}
ALL = f"all {NAMES['bear', True]}"
DETECTED = "in boxes from the detector"
OTHERS = "other things, from abacus to zebra"  # photos/not_bears
LIGHT = {"day": "by day", "dusk": "at dusk", "night": "at night"}  # for `conditions` in camp.csv
SHRUNK = (
    f"training photos of {{}}, shrunk to a width of {WIDTH} pixels and put at the left of a grey picture of"
    f" {SCREEN[0]} × {SCREEN[1]} pixels"
)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", type=Path, default=ROOT / "export.pkl", help="export to test (default: the bears' export.pkl)"
    )
    data = "folder with the photos described above (default: the folder `shared` next to the repository)"
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared", metavar="DIR", help=data)
    levels = "only compare one, two and three passes over a photo, and one pass with the detector"
    parser.add_argument("--levels", action="store_true", help=levels)
    heatmaps = "only count the photos in which the heatmap's brightest cell is in a box around a bear"
    parser.add_argument("--heatmaps", action="store_true", help=heatmaps)
    return parser.parse_args(argv)


def read_table(file):
    """Return the rows of camp.csv, except those about clips. Raises `DataError`."""
    try:
        with open(file, newline="", encoding="utf-8") as f:
            rows = [row | {"file": file.parent / row["file"]} for row in csv.DictReader(f)]
            return [row for row in rows if row["file"].suffix != ".mp4"]
    except (OSError, KeyError) as e:
        raise DataError(f"{file} can't be read ({type(e).__name__}). Choose another folder with --data.") from None


def answer(model, photo):
    """Classify a photo. Return the kind of answer: `SURE`, `UNSURE`, `TEDDY` or `NONE`."""
    [(probs, certainty, *_)] = model.ask([photo])
    if certainty in ("none", False):  # older models answer yes or no
        return NONE
    if max(probs, key=probs.get) == "teddy":
        return TEDDY
    return UNSURE if certainty == "unsure" else SURE


def ask_about_cameras(model, rows):
    """Return a dict from each group of camera photos to a Counter of the model's answers."""
    groups = defaultdict(Counter)
    for row in rows:
        group, said = NAMES[row["label"], row["camera_trap"] == "yes"], answer(model, open_photo(row["file"]))
        light = row["conditions"].split("-")[0]
        parts = [f"{group}, {LIGHT.get(light, light)}", f"{group}, from `{row['repo']}`"]
        whole = ALL if group == NAMES["bear", True] else group
        for name in (whole, *parts) if row["label"] == "bear" else (whole,):
            groups[name][said] += 1
    return dict(sorted(groups.items()))


def ask_about_shrunk(model, files):
    """Return a dict as `ask_about_cameras` does, for photos of `photos/bears`, each at the left of a picture."""
    groups = defaultdict(Counter)
    for file in files:
        kind = "teddies" if file.parent.name == "teddy" else "bears"
        groups[SHRUNK.format(kind)][answer(model, at_left(open_photo(file)))] += 1
    return groups


def at_left(photo):
    """Return a photo at the left of an empty picture, as if it were walking past a camera."""
    scene = Image.new("RGB", SCREEN, GREY)
    small = photo.resize((WIDTH, round(WIDTH * photo.height / photo.width)))
    scene.paste(small, (0, (scene.height - small.height) // 2))
    return scene


def print_row(name, said):
    total, real = said.total(), said[SURE] + said[UNSURE]
    interval = binomtest(real, total).proportion_ci(method="wilson")
    share = f"{real / total:.0%} ({interval.low:.0%} to {interval.high:.0%})"
    print(f"| {name} | {total} | {real} | {said[UNSURE]} | {said[TEDDY]} | {said[NONE]} | {share} |", flush=True)


def print_costs(model):
    """Print the processor time for a square photo and for a wide one, each without and with a second pass.

    The times are relative to the square photo without a second pass.
    """
    photo = open_photo(ROOT / "examples" / "grizzly.jpg")
    square = photo.resize((512, 512))
    looks = {
        "a square photo, one pass": square,
        "a photo of 16:9, one pass": at_left(square),
        "a square photo, two passes": Image.new("RGB", square.size, GREY),
        "a photo of 16:9, two passes": Image.new("RGB", SCREEN, GREY),
    }
    costs = {name: statistics.median(seconds(model, photo) for _ in range(11)) for name, photo in looks.items()}
    print("\n| photo | processor time (ratio) |\n| --- | --- |")
    for name, cost in costs.items():
        print(f"| {name} | {cost / costs['a square photo, one pass']:.1f} |")


def print_levels(model, rows, others):
    """Print how many photos the model calls a real bear, and the processor time that this takes.

    Compare one, two and three passes over the photo, and one pass with the detector.
    """
    from bears.model.detector import Detector  # not above: the code of older models lacks it

    before_trail_cameras, table = [row for row in rows if row["camera_trap"] == "yes"], []
    [closer] = model.squares.closer  # as in the app
    levels = {
        "one": (None, ()),
        "two": (None, (closer,)),
        "three": (None, (closer, 2 * closer)),
        "one, with the detector": (Detector(), ()),
    }
    for model.squares.detector, model.squares.closer in levels.values():
        said = ask_about_cameras(model, before_trail_cameras)
        said[OTHERS] = Counter(answer(model, open_photo(file)) for file in others)
        table.append([share_of_bears(said[group]) for group in (ALL, NAMES["other", True], OTHERS)])
    model.squares.fitted = model.squares.fitted | {"sure": float("inf")}  # from now on, no pass is skipped
    model.squares.is_worth_another = lambda score: True
    photo, costs = at_left(open_photo(ROOT / "examples" / "grizzly.jpg")), []
    for model.squares.detector, model.squares.closer in levels.values():
        costs.append(statistics.median(seconds(model, photo) for _ in range(5)))
    print(
        "| passes | bears on trail cameras: called a bear | trail cameras without a bear: called a bear |"
        " other things: called a bear | processor time (ratio) |\n" + "| --- " * 5 + "|"
    )
    for passes, cells, cost in zip(levels, table, costs):
        print(f"| {passes} | {' | '.join(cells)} | {cost / costs[0]:.1f} |")


def print_boxes(model, rows):
    """Print how many bears are found in the whole photo, and how many in a crop around the bear's box in camp.csv.

    Skip photos without such a box.
    """
    from bears.predict.detections import around  # not above: the code of older models lacks it

    whole, cut = Counter(), Counter()
    for row in rows:
        if row["label"] == "bear" and (found := BOX.search(row["note"])):
            photo = open_photo(row["file"])
            box = [int(pixels) / side for pixels, side in zip(found.groups(), 2 * photo.size)]
            whole[answer(model, photo)] += 1
            cut[answer(model, photo.crop(around(box, photo.size)))] += 1
    print(f"{share_of_bears(whole)} bears with a box are found in the whole photo,", end=" ")
    print(f"and {share_of_bears(cut)} in a crop around the box.\n", flush=True)


def print_heatmaps(model, rows):
    """Print how often the heatmap's brightest cell is in a bear's box. Skip photos that the model rejects.

    The boxes are from the photo's source, or else all boxes that the detector finds. The column "by chance" has the
    mean share of the classified square that the boxes cover.
    """
    detector, found = model.squares.detector, defaultdict(list)
    for row in rows:
        if row["label"] == "bear":
            photo = open_photo(row["file"])
            drawn = BOX.search(row.get("note", ""))
            boxes = [corners(drawn)] if drawn else detector.find_animals(photo)[0].tolist()
            for how, model.squares.detector in (("a second pass", None), ("the detector", detector)):
                [(_, certainty, cam, square, *_)] = model.ask([photo])
                if certainty != "none" and boxes:
                    group = f"in boxes that come with the photos of `{row['repo']}`" if drawn else DETECTED
                    found[group, how].append((peak_is_inside(cam, square, boxes), filled(square, boxes)))
    print(
        "| bears | if the first pass isn't sure | photos in which a bear is found |"
        " brightest cell in a box (95% interval) | by chance: share of the square or crop that is in a box |"
    )
    print("| --- " * 5 + "|")
    for (group, how), some in sorted(found.items()):
        inside, chance = zip(*some)
        interval = binomtest(sum(inside), len(inside)).proportion_ci(method="wilson")
        share = f"{sum(inside)} of {len(inside)} ({interval.low:.0%} to {interval.high:.0%})"
        print(f"| {group} | {how} | {len(inside)} | {share} | {statistics.mean(chance):.0%} |")


def corners(drawn):
    left, top, width, height = map(int, drawn.groups())
    return left, top, left + width, top + height


def peak_is_inside(cam, square, boxes):
    from bears.model.heatmap import find_peak, is_inside  # not above: the code of older models lacks them

    return any(is_inside(find_peak(cam, square), box) for box in boxes)


def filled(square, boxes, side=100):
    """Return the share of a square that is in a box, estimated from `side` x `side` points."""
    left, top, right, bottom = square
    xs, ys = (np.linspace(start, end, side) for start, end in ((left, right), (top, bottom)))
    inside = [((xs >= b[0]) & (xs <= b[2])) * ((ys >= b[1]) & (ys <= b[3]))[:, None] for b in boxes]
    return np.any(inside, axis=0).mean()


def share_of_bears(said):
    return f"{said[SURE] + said[UNSURE]} of {said.total()}"


def seconds(model, photo):
    start = time.process_time()
    model.ask([photo])
    return time.process_time() - start


def main(argv=None):
    args = parse_args(argv)
    try:
        rows = read_table(args.data / "camp" / "camp.csv")
        others = find_others(args.data / "photos" / "not_bears")
        trained, _ = find_photos(args.data / "photos" / "bears", ROOT / "bears" / "train" / "excluded.csv")
        model = Classifier(args.model)
    except BearsError as e:
        sys.exit(f"cameras.py: {e}")
    if args.levels:
        print_boxes(model, rows)
        return print_levels(model, rows, others)
    if args.heatmaps:
        return print_heatmaps(model, rows)
    print(HEADER)
    for name, said in ask_about_cameras(model, rows).items():
        print_row(name, said)
    print_row(OTHERS, Counter(answer(model, open_photo(file)) for file in others))
    for name, said in ask_about_shrunk(model, trained[::8]).items():
        print_row(name, said)
    print_costs(model)


if __name__ == "__main__":
    main()
