"""Count errors and rejected photos after six kinds of corruption, as in ImageNet-C.

    python benchmarks/corruptions.py                  # the bears; prints the tables of docs/evaluation.md
    python benchmarks/corruptions.py --plain          # train without degraded copies, classify only the middle square
    python benchmarks/corruptions.py --data photos    # your own photos

Every fourth photo is tested, with a head, a gallery and thresholds that were made without the photos of its fold. The
severities are those of Hendrycks and Dietterich (2019, https://arxiv.org/abs/1903.12261). The shorter side of a photo
has 256 pixels. The options of train.py also work here, such as --data. `python3 -m bears train --help` lists them.
"""

import argparse
import io
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

sys.path.insert(0, str(Path(__file__).parent.parent))

from bears.cli import ends_in_words
from bears.learning.degrade import as_image
from bears.learning.features import Features, compute_features
from bears.learning.head import fit_head
from bears.learning.learner import LINEAR_HEAD, no_progress_bar_in_logs, vision_learner
from bears.model.backbone import input_size
from bears.model.photo import open_photo
from bears.model.squares import MiddleSquare, create_squares
from bears.train.evaluation import split_into_folds
from bears.train.ood_eval import as_in_app, fit_ood
from fastai.vision.all import IndexSplitter, Resize, chunked, set_seed

import train

SIDE = 256  # pixels of the shorter side; ImageNet-C has 224


def noise(photo, deviation, rng):
    pixels = np.asarray(photo) / 255
    return as_image(pixels + rng.normal(0, deviation, pixels.shape))


def blur(photo, deviation, rng):
    return as_image(gaussian_filter(np.asarray(photo) / 255, (deviation, deviation, 0), mode="nearest"))


def darkness(photo, less, rng):
    """Make a photo darker. ImageNet-C's corruption “brightness” makes photos brighter instead."""
    pixels = np.asarray(photo) / 255
    brightness = pixels.max(axis=2, keepdims=True).clip(1e-6)
    return as_image(pixels * (brightness - less).clip(0) / brightness)


def contrast(photo, share, rng):
    pixels = np.asarray(photo) / 255
    mean = pixels.mean(axis=(0, 1))
    return as_image((pixels - mean) * share + mean)


def jpeg(photo, quality, rng):
    photo.save(file := io.BytesIO(), "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def pixelate(photo, share, rng):
    few = photo.resize([int(side * share) for side in photo.size], Image.Resampling.BOX)
    return few.resize(photo.size, Image.Resampling.BOX)


STRENGTHS = {  # by kind, for severities 1 to 5
    noise: (0.08, 0.12, 0.18, 0.26, 0.38),
    blur: (1, 2, 3, 4, 6),
    darkness: (0.1, 0.2, 0.3, 0.4, 0.5),
    contrast: (0.4, 0.3, 0.2, 0.1, 0.05),
    jpeg: (25, 18, 15, 10, 7),
    pixelate: (0.6, 0.5, 0.4, 0.3, 0.25),
}


def parse_args(argv=None):
    """Return this script's options, and the other options as train.py parses them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=4, metavar="N", help="test every Nth photo (default: 4)")
    plain = "train without degraded copies, and classify only the middle square of each photo"
    parser.add_argument("--plain", action="store_true", help=plain)
    args, others = parser.parse_known_args(argv)
    if args.every < 1:
        parser.error("--every is 1 or more")
    return argparse.Namespace(**vars(train.parse_args(others)), every=args.every, plain=args.plain)


def apps(files, groups, args):
    """Yield a triple for each fold: the positions of its photos, and two objects to classify them with.

    These are a Learner trained on the other folds, and its `LearnerSquares` or `MiddleSquare`.
    """
    folds = split_into_folds(files, groups, args)
    dls = train.get_dls(files, IndexSplitter(folds[0][1]), item_tfms=Resize(input_size(args.arch)), bs=16)
    learn = vision_learner(dls, args.arch, pretrained=not args.no_pretrained, **LINEAR_HEAD)
    features = compute_features(learn, files)
    for known, valid in folds:
        some = Features(features.photos[known], features.targets[known])
        if not args.plain:
            some.squares = [features.squares[i] for i in known] if features.squares else ()
            some.copies = [copy[known] for copy in features.copies]
        fit_ood(learn, some, groups[known], args)
        learn.model[1][-1] = fit_head(some, (range(len(known)), []), args.seed, quiet=True).model
        app = as_in_app(learn)
        yield valid, app, (MiddleSquare if args.plain else create_squares)(app)


def judge(files, groups, args):
    """Return Counters of errors and of rejected photos by kind and severity, and the number of tested photos."""
    errors, turned_away, judged = Counter(), Counter(), 0
    for valid, app, squares in apps(files, groups, args):
        chosen = [files[i] for i in valid if i % args.every == 0]
        judged += len(chosen)
        photos = [small(open_photo(file)) for file in chosen]
        labels = np.array([file.parent.name for file in chosen])
        vocab, threshold = np.array(app.dls.vocab), app.ood["threshold"]
        for kind, severity, bad in corrupted(photos):
            answers = [answer for few in chunked(bad, 16) for answer in squares.ask(few)]
            errors[kind, severity] += int((vocab[[a.probs.argmax() for a in answers]] != labels).sum())
            turned_away[kind, severity] += sum(a.score < threshold for a in answers)
        print(f"· tested {judged} photos", flush=True)
    return errors, turned_away, judged


def small(photo):
    """Resize a photo, so that its shorter side has `SIDE` pixels."""
    return photo.resize([round(side * SIDE / min(photo.size)) for side in photo.size], Image.Resampling.BILINEAR)


def corrupted(photos):
    """Yield the unchanged photos, then each kind at each severity, as triples (name, severity, photos)."""
    yield "none", 0, photos
    for kind, strengths in STRENGTHS.items():
        for severity, strength in enumerate(strengths, 1):
            bad = [kind(photo, strength, np.random.default_rng(i)) for i, photo in enumerate(photos)]
            yield kind.__name__, severity, bad


def print_table(result, counts, photos):
    """Print shares of the photos as a Markdown table, with a line for each kind of corruption."""
    print(f"\nThis is the share of the {photos} tested photos that {result}:\n")
    print(f"| corruption | {' | '.join(f'severity {i}' for i in range(1, 6))} |\n" + "| --- " * 6 + "|")
    for kind in STRENGTHS:
        shares = [f"{counts[kind.__name__, severity] / photos:.1%}" for severity in range(1, 6)]
        print(f"| {kind.__name__} | {' | '.join(shares)} |")


def main(argv=None):
    no_progress_bar_in_logs()
    args = parse_args(argv)
    with ends_in_words("corruptions.py"):
        set_seed(args.seed, reproducible=True)
        files, groups, _ = train.get_photos(args)
        errors, turned_away, photos = judge(files, groups, args)
    print_table("got the wrong class", errors, photos)
    print_table("were rejected", turned_away, photos)
    print(
        f"\nWithout corruption, the app mistakes {errors['none', 0]} of the {photos} photos for another class,", end=" "
    )
    print(f"and rejects {turned_away['none', 0]}.")


if __name__ == "__main__":
    main()
