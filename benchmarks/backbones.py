"""Compare backbones: train each with train.py on the same folds, and measure its errors and costs.

    python benchmarks/backbones.py resnet18,tf_efficientnet_lite0 --data my_photos

Prints a Markdown table, and exports nothing. The options of train.py also work here, except --arch, --negatives,
--subject, --max-error and --out. `python3 -m bears train --help` lists them.
"""

import argparse
import statistics
import sys
import tempfile
import time
import timeit
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bears import distributed
from bears.cli import ends_in_words
from bears.errors import WeightsError
from bears.learning.data import explain_lost_photos
from bears.learning.learner import no_progress_bar_in_logs
from bears.model.backbone import find_arch
from bears.model.export import export, open_export
from fastai.vision.all import set_seed

import train

HEADER = "| backbone | error | 95% interval | export, MB | latency, ms | training time, s |\n" + "| --- " * 6 + "|"
IGNORED = ("--arch", "--negatives", "--subject", "--max-error", "--out")


def parse_args(argv=None):
    """Return the names of the backbones, and the other options as train.py parses them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = "names of torchvision or timm backbones, with commas between them. Give them before all options"
    parser.add_argument("names", type=lambda names: names.replace(" ", "").split(","), metavar="NAMES", help=names)
    args, others = parser.parse_known_args(argv)
    if not all(args.names):
        parser.error("names of backbones have commas between them, and none at the end")
    if ignored := [option for option in others if option.split("=")[0] in IGNORED]:
        parser.error(f"a comparison exports nothing: leave out {ignored[0]}")
    folds = [] if any(option.startswith("--folds") for option in others) else ["--folds", "5"]
    options = train.parse_args([*folds, *others])
    if options.folds < 2:
        parser.error("--folds needs at least 2 folds")
    return args.names, options


def compare(names, args):
    """Train every backbone on the same folds, and print a Markdown table.

    If a backbone can't be downloaded, print this and skip it. Raises `WeightsError` if no backbone is left.
    """
    for arch in names:
        find_arch(arch)  # fail on an unknown name before the first training
    files, groups, _ = distributed.from_rank0(train.get_photos, args)
    with explain_lost_photos(files):
        rows = [row for arch in names if (row := row_of(arch, files, groups, args))]
    if not rows:
        raise WeightsError("No backbone could be downloaded, so there is nothing to compare.")
    print("", HEADER, *rows, sep="\n")


def row_of(arch, files, groups, args):
    """Return a line of the table, or None if the weights can't be downloaded."""
    print(f"· training {arch}", flush=True)
    set_seed(args.seed, reproducible=True)
    start = time.monotonic()
    try:
        recipe = train.train_lesson if args.lesson else train.train_default
        result = recipe(files, groups, argparse.Namespace(**{**vars(args), "arch": arch}))
    except WeightsError as e:
        print(f"· {e}", flush=True)
        return None
    seconds = time.monotonic() - start
    return row(arch, result.facts["cross_validation"], *distributed.from_rank0(cost, result.learn, files[0]), seconds)


def cost(learn, photo):
    """Return the megabytes of the export of `learn`, and the median milliseconds of its `predict` on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "export.pkl"
        export(learn, file)
        size = file.stat().st_size
        learn = open_export(file)
    seconds = timeit.repeat(lambda: learn.predict(photo), number=1, repeat=11)
    return size / 1e6, 1000 * statistics.median(seconds)


def row(arch, errors, megabytes, milliseconds, seconds):
    """Return a line of the table. `errors` is an `error_summary`."""
    low, high = errors["interval_95"]
    error = f"{errors['error_rate']:.1%} of {errors['photos']} | {low:.1%} to {high:.1%}"
    return f"| {arch} | {error} | {megabytes:.1f} | {milliseconds:.0f} | {seconds:.0f} |"


def main(argv=None):
    no_progress_bar_in_logs()
    names, args = parse_args(argv)
    with distributed.processes(), ends_in_words("backbones.py"):
        compare(names, args)


if __name__ == "__main__":
    main()
