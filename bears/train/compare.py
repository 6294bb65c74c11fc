"""Backbones side by side: how often each errs, and what it costs."""

import argparse
import statistics
import tempfile
import time
import timeit
from pathlib import Path

from bears.errors import WeightsError
from bears.export import export, open_export
from bears.train import distributed
from bears.train.learner import find_arch
from fastai.vision.all import set_seed

HEADER = "| backbone | error | 95% interval | export, MB | latency, ms | seconds |\n" + "| --- " * 6 + "|"


def compare(train, files, groups, args):
    """Train every backbone of `args.compare` on the same folds, and print a Markdown table of them.

    `train` is a recipe of train.py. A backbone that cannot be downloaded is reported and passed over; raises
    `WeightsError` when that leaves none.
    """
    for arch in args.compare:
        find_arch(arch)  # an unknown name fails before the first training
    rows = []
    for arch in args.compare:
        print(f"· training {arch}", flush=True)
        set_seed(args.seed, reproducible=True)
        start = time.monotonic()
        try:
            trained = train(files, groups, argparse.Namespace(**{**vars(args), "arch": arch}))
        except WeightsError as e:
            print(f"· {e}", flush=True)
            continue
        seconds = time.monotonic() - start
        rows.append(
            row(arch, trained.facts["cross_validation"], *distributed.first(cost, trained.learn, files[0]), seconds)
        )
    if not rows:
        raise WeightsError("No backbone could be downloaded, so there is nothing to compare.")
    print("", HEADER, *rows, sep="\n")


def cost(learn, photo):
    """Megabytes of the export of `learn`, and the median milliseconds of its `predict` for `photo`, on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "export.pkl"
        export(learn, file)
        size = file.stat().st_size
        learn = open_export(file)
    seconds = timeit.repeat(lambda: learn.predict(photo), number=1, repeat=11)
    return size / 1e6, 1000 * statistics.median(seconds)


def row(arch, errors, megabytes, milliseconds, seconds):
    """A line of the table; `errors` is an `error_summary`."""
    low, high = errors["interval_95"]
    error = f"{errors['error_rate']:.1%} of {errors['photos']} | {low:.1%} to {high:.1%}"
    return f"| {arch} | {error} | {megabytes:.1f} | {milliseconds:.0f} | {seconds:.0f} |"
