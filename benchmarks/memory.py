"""How does training grow with the folder? train.py on 1, 4 and 16 times the photos, as ratios to once.

    python benchmarks/memory.py --data photos --picture bears/pictures/memory.png    # prints the table of the README
    python benchmarks/memory.py --data photos --photos 100                           # on so many of them, to be quick

The copies are links in a temporary folder, so they are twins of each other. Needs Linux or macOS.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROOT = Path(__file__).parent.parent
TIMES = (1, 4, 16)


def link_photos(files, folder, times):
    """Fill `folder` with so many links to each of the `files`, in folders named for their classes."""
    for file in files:
        (folder / file.parent.name).mkdir(parents=True, exist_ok=True)
        for i in range(times):
            (folder / file.parent.name / f"{file.stem}_{i}{file.suffix}").symlink_to(file.resolve())


def train(folder):
    """Peak memory of the largest process (in the system's own unit) and processor seconds of a run of train.py."""
    command = [sys.executable, ROOT / "train.py", "--data", folder / "photos", "--out", folder / "out"]
    with open(folder / "log", "w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"train.py failed:\n{(folder / 'log').read_text()}")
    return usage.ru_maxrss, usage.ru_utime + usage.ru_stime


def measure(files):
    """Peak memory and processor seconds at each of the `TIMES`, as ratios to the first: lists of as many floats."""
    figures = []
    for times in TIMES:
        with tempfile.TemporaryDirectory() as folder:
            link_photos(files, Path(folder) / "photos", times)
            figures.append(train(Path(folder)))
    return [[value / values[0] for value in values] for values in zip(*figures)]


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
    parser.add_argument("--data", required=True, type=Path, help="folder that holds one folder of photos per class")
    parser.add_argument("--photos", type=int, help="use so many of them, drawn at random (default: all)")
    parser.add_argument("--picture", type=Path, help="draw the curve into this PNG file")
    args = parser.parse_args()
    files = sorted(args.data.glob("*/*"))
    files = random.Random(0).sample(files, min(args.photos or len(files), len(files)))
    counts = [len(files) * times for times in TIMES]
    memory, seconds = measure(files)
    print("| photos | peak memory | processor seconds |\n| --- | --- | --- |")
    for row in zip(counts, memory, seconds):
        print("| {:,} | {:.2f} | {:.2f} |".format(*row))
    if args.picture:
        draw(counts, memory, args.picture)


if __name__ == "__main__":
    main()
