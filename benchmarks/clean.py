"""What cleaning finds, and what it is worth, on photos of which somebody has listed the wrong ones by eye.

python benchmarks/clean.py --data photos --leave-out bears/left_out.csv --others photos_of_other_things
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from bears import ood
from bears.data import find_others, find_photos, group_twins, grouped_folds, read_leave_out
from bears.learner import ARCH, body_features, count_errors, fit_head, imagenet_classifier, out_of_fold
from bears.suspects import rank, read_photos

SEED = 42


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder that holds one folder of photos per class")
    parser.add_argument("--leave-out", required=True, metavar="CSV", help="the wrong photos: columns file and reason")
    parser.add_argument("--others", required=True, metavar="DIR", help="photos of other things")
    return parser.parse_args()


def print_places(suspects, listed, first=20):
    """Where the ranking has the listed photos in their class, and how many of them are among the `first`."""
    places = {s.name: (place, s) for ranked in suspects.values() for place, s in enumerate(ranked, 1)}
    for name, reason in listed.items():
        place, suspect = places[name]
        print(f"{place:>3}. {name}  {suspect.opinion}  ({reason})")
    found = sum(places[name][0] <= first for name in listed)
    print(f"{found} of {len(listed)} are among the first {first} of their class")


def judge(files, features, targets, others):
    """Out-of-fold logits of the photos (photos, classes), and how many photos of other things pass for a class."""
    groups = group_twins(files)
    fit = partial(fit_head, features, targets, n_out=int(targets.max()) + 1, seed=SEED)
    none, _ = ood.fit(features, targets.numpy(), groups, imagenet_classifier(ARCH), SEED)
    passed = int((ood.score(none, others) >= none["threshold"]).sum())
    return out_of_fold(fit, grouped_folds(files, groups, seed=SEED)), passed


def main():
    args = parse_args()
    files, _ = find_photos(args.data)
    listed = read_leave_out(args.leave_out)
    kept = np.array([i for i, f in enumerate(files) if f.relative_to(args.data).as_posix() not in listed])
    learn, features, targets = read_photos(files)
    others = body_features(learn, find_others(args.others))
    print_places(rank(args.data, files, features, targets, learn.dls.vocab, SEED), listed)

    before, passed_before = judge(files, features, targets, others)
    after, passed_after = judge([files[i] for i in kept], features[kept], targets[kept], others)
    print("errors by five-fold cross-validation:")
    print("  before, of all photos: {} of {}".format(*count_errors(before, targets)))
    print("  before, of the photos that stay: {} of {}".format(*count_errors(before[kept], targets[kept])))
    print("  after, of the photos that stay: {} of {}".format(*count_errors(after, targets[kept])))
    print(f"other things that pass for a class: before {passed_before}, after {passed_after} of {len(others)}")


if __name__ == "__main__":
    main()
