"""Measure how the memory and time of train.py grow with 1, 4 and 16 times the photos.

    python benchmarks/memory.py --data photos --picture docs/pictures/memory.png    # the tables of docs/evaluation.md
    python benchmarks/memory.py --data photos --photos 100 --arch resnet18           # other options are for train.py

No photo is used twice. Each is a random piece of one of your photos, half as wide and high, turned and enlarged. The
search for near-duplicates is also measured alone, on up to 64 times as many random hashes. Needs Linux or macOS.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import matplotlib
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
matplotlib.use("Agg")
from bears.learning.data import in_threads
from bears.learning.near_duplicates import MAX_HASH_DISTANCE, connect
from bears.model.photo import open_photo
from matplotlib import pyplot as plt

ROOT = Path(__file__).parent.parent


def write_pieces(files, folder, times):
    """Fill `folder` with `times` different pieces of each of the `files`, with one subfolder per class."""

    def write_some(file):
        dice, photo = random.Random(str(file.name)), open_photo(file)
        width, height = photo.width // 2, photo.height // 2
        for i in range(times):
            x, y = dice.randint(0, width), dice.randint(0, height)
            piece = photo.resize(photo.size, box=(x, y, x + width, y + height)).rotate(
                dice.choice((0, 90, 180, 270)), expand=True
            )
            piece.save(folder / file.parent.name / f"{file.stem}_{i}.jpg")

    for label in {file.parent.name for file in files}:
        (folder / label).mkdir(parents=True)
    list(in_threads(write_some, files))


def train(folder, options):
    """Run train.py. Return the peak memory of the largest process (in the system's unit) and the processor seconds."""
    command = [sys.executable, ROOT / "train.py", "--data", folder / "photos", "--out", folder / "out", *options]
    with open(folder / "log", "w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"train.py failed:\n{(folder / 'log').read_text()}")
    return usage.ru_maxrss, usage.ru_utime + usage.ru_stime


def measure(files, all_times, options):
    """Return two lists: peak memory and processor seconds for each of `all_times`, relative to the first one."""
    figures = []
    for times in all_times:
        with tempfile.TemporaryDirectory() as folder:
            write_pieces(files, Path(folder) / "photos", times)
            figures.append(train(Path(folder), options))
    return [[value / values[0] for value in values] for values in zip(*figures)]


def search(count):
    """Search for near-duplicates among random hashes. Return peak memory in megabytes, and processor seconds."""
    hashes = np.random.default_rng(0).integers(0, 2**16, (2, count, 4), np.uint16)
    start = time.process_time()
    connect(*hashes, MAX_HASH_DISTANCE)
    seconds = time.process_time() - start
    tracemalloc.start()
    connect(*hashes, MAX_HASH_DISTANCE)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return peak, seconds


def draw(counts, memory, file):
    _, ax = plt.subplots(figsize=(7, 3.5))
    ax.plot(counts, memory, marker="o")
    for x, y in zip(counts, memory):
        ax.annotate(f"{y:.2f}", (x, y), xytext=(0, 8), textcoords="offset points", ha="center")
    ax.set_xscale("log", base=2)
    ax.set_xticks(counts, [f"{n:,}" for n in counts])
    ax.set(xlabel="Photos in the folder", ylabel="Peak memory of train.py (ratio)", ylim=(0, 2))
    plt.savefig(file, bbox_inches="tight", dpi=100)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument("--photos", type=int, help="use so many of them, drawn at random (default: all)")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 16], help="train on so many times the photos")
    parser.add_argument("--picture", type=Path, help="draw the curve into this PNG file")
    args, options = parser.parse_known_args()
    files = sorted(args.data.glob("*/*"))
    files = random.Random(0).sample(files, min(args.photos or len(files), len(files)))
    counts = [len(files) * times for times in args.times]
    memory, seconds = measure(files, args.times, options)
    print("| photos | peak memory (ratio) | processor time (ratio) |\n| --- | --- | --- |")
    for row in zip(counts, memory, seconds):
        print("| {:,} | {:.2f} | {:.2f} |".format(*row))
    if args.picture:
        draw(counts, memory, args.picture)
    print("\n| photos | memory, MB | processor time (ratio) |\n| --- | --- | --- |")
    counts.append(64 * len(files))
    peaks, seconds = zip(*map(search, counts))
    for count, peak, second in zip(counts, peaks, seconds):
        print(f"| {count:,} | {peak:.1f} | {second / seconds[0]:.2f} |")


if __name__ == "__main__":
    main()
