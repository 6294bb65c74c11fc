"""Count how many known wrong photos `bears clean` finds, and how much the model improves without them.

    python benchmarks/clean.py --data photos --exclude bears/train/excluded.csv --negatives photos_of_other_things

Prints the table about cleaning in docs/evaluation.md.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bears.clean.ranking import measure, predict_out_of_fold, rank, read_photos
from bears.learning.data import find_others, find_photos, read_excluded
from bears.learning.features import body_features
from bears.learning.learner import no_progress_bar_in_logs
from bears.model import ood


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="folder with one subfolder of photos per class"
    )
    parser.add_argument(
        "--exclude", required=True, metavar="CSV", help="table of the wrong photos: columns file and reason"
    )
    negatives = "folder of photos that show none of the classes"
    parser.add_argument("--negatives", required=True, metavar="DIR", help=negatives)
    return parser.parse_args()


def print_places(ranking, listed, first=20):
    """Print the rank of each listed photo in its class, and how many listed photos are among the `first` ones."""
    places = {photo.name: (place, photo) for ranked in ranking.values() for place, photo in enumerate(ranked, 1)}
    for name, reason in listed.items():
        place, photo = places[name]
        print(f"{place:>3}. {name}  {photo.opinion}  ({reason})")
    found = sum(places[name][0] <= first for name in listed)
    print(f"{found} of the {len(listed)} excluded photos are among the first {first} of their class.\n")


def errors_and_passes(files, features, targets, others):
    """Return which photos are mistaken for another class, as a boolean array of the shape (photos,).

    Also return how many photos of other things are mistaken for a class. `others` has the features of these photos.
    """
    probs, _, detector = predict_out_of_fold(files, features, targets)
    return probs.argmax(axis=1) != targets.numpy(), int((ood.score(detector, others) >= detector["threshold"]).sum())


def main():
    no_progress_bar_in_logs()
    args = parse_args()
    files, _ = find_photos(args.data)
    listed = read_excluded(args.exclude)
    kept = np.array([i for i, f in enumerate(files) if f.relative_to(args.data).as_posix() not in listed])
    learn, features, targets = read_photos(files)
    others = body_features(learn, find_others(args.negatives))
    print_places(rank(measure(args.data, files, features, targets, learn.dls.vocab)), listed)

    before, passed_before = errors_and_passes(files, features, targets, others)
    after, passed_after = errors_and_passes([files[i] for i in kept], features[kept], targets[kept], others)
    print("| counted in five-fold cross-validation | before cleaning | after cleaning |\n| --- | --- | --- |")
    print(f"| errors among all {len(before)} photos | {before.sum()} | |")
    print(f"| errors among the {len(kept)} photos that were kept | {before[kept].sum()} | {after.sum()} |")
    print(f"| other things mistaken for one of the classes, of {len(others)} | {passed_before} | {passed_after} |")


if __name__ == "__main__":
    main()
