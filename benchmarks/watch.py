"""Count how many bears `watch` misses, and its false alarms per hour, on synthetic and on real clips.

    python benchmarks/watch.py                    # the tables, curve and picture of docs/evaluation.md; takes an hour
    python benchmarks/watch.py --model export.pkl # the shipped model, which was trained on many of these animals
    python benchmarks/watch.py --costs            # only frames per second, share of a processor, and memory
    python benchmarks/watch.py --hours 0 --visits 0   # the tables again, from the recorded answers
    python benchmarks/watch.py --photos           # only single photos, as from a trail camera that writes to a folder

The clips are from `footage.py`, which says what is real in them. `bears/watch` classifies them in simulated time, at
5 frames a second, and the model's answers are recorded. Then the rule of the alarm is applied to the recorded answers
with different thresholds. (The answers depend a little on the usual threshold, since a track gets more passes if its
score is at least half of this threshold.) If you stop a run, the next run continues it. Without `--model`, a model is
trained first with the shipped recipe, on photos that are not in the clips.

DIR (`--data`) contains the photos that `benchmarks/footage.csv` lists, and the photos and clips of `camp/camp.csv`.
With `--photos`, DIR contains `camp/camp.csv` and `life/life.csv` with their photos, as for `strangers.py`.
"""

import argparse
import csv
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict, deque
from dataclasses import replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

import cv2
import numpy as np
from scipy.stats import binomtest, chi2

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import footage
import torch
from bears.errors import BearsError
from bears.learning.data import find_photos
from bears.learning.near_duplicates import group_near_duplicates
from bears.model.answers import find_group
from bears.model.classifier import Classifier
from bears.model.photo import open_photo
from bears.watch.alarm import Alarm, Rule, score
from bears.watch.engine import Frame, Watcher
from bears.watch.frames import SIDE, open_source
from footage import BEARS, CATEGORIES, CLIP, FPS, HEIGHTS, KNOWN
from helpers import free_port

ALARM = "black", "grizzly"
SHARES = dict(zip(CATEGORIES, (0.6, 0.1, 0.1, 0.1, 0.1)))  # of the hours without a bear
HALVES = (
    "These photos were used to choose the alarm's threshold",
    "These photos were used to check the threshold",
)
LATE = 2  # seconds after a bear has gone in which an alarm still counts for it
LARGE = 0.15  # share of the picture's height; the project's aim is about bears of at least this height
THRESHOLDS = [round(0.02 * i, 2) for i in range(1, 50)]
STRICTEST = replace(Rule(), threshold=THRESHOLDS[-1])
FFMPEG = ["ffmpeg", "-loglevel", "quiet", "-re", "-f", "lavfi", "-i"]
STREAMS = {  # FFmpeg's options for each kind of stream
    "an MJPEG camera": "-q:v 4 -f mpjpeg",
    "an H.264 camera with 4 Mbit/s": "-c:v libx264 -preset veryfast -b:v 4M -bf 0 -f mpegts",
}
ANIMALS = {"lion": "mountain lion", "cow": "cattle", "human": "person"}  # what the names of real clips mean
CURVE, PICTURE = ROOT / "docs" / "watch_curve.json", ROOT / "docs" / "pictures" / "watch_curve.svg"


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = (
        "export of the bears' model to test (default: a model that is trained without the photos in the clips;"
        " with --photos, the bears' export.pkl)"
    )
    parser.add_argument("--model", type=Path, help=model)
    data = "folder with the photos and clips described above (default: the folder `shared` next to the repository)"
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared", metavar="DIR", help=data)
    parser.add_argument("--hours", type=float, default=10, help="hours of clips without a bear (default: 10)")
    visits = "number of visits of bears by day, and as many at night (default: 100)"
    parser.add_argument("--visits", type=int, default=100, help=visits)
    out = "folder for the recorded answers and the trained model (default: reports/watch)"
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "watch", help=out)
    costs = "measure only frames a second, the share of a core and the memory of watching"
    parser.add_argument("--costs", action="store_true", help=costs)
    parser.add_argument("--photos", action="store_true", help="count only the single photos that raise an alarm")
    return parser.parse_args(argv)


# Clips through the engine


def train_without(photos, data, out):
    """Train and export with the shipped recipe, without the photos in the clips and their near-duplicates."""
    if (out / "export.pkl").exists():
        return out / "export.pkl"
    files, _ = find_photos(data / "photos" / "bears", ROOT / "bears" / "train" / "excluded.csv")
    groups, shown = group_near_duplicates(files), {photo.file for some in photos.values() for photo in some}
    known = {group for file, group in zip(files, groups) if file in shown}
    with tempfile.TemporaryDirectory() as folder:
        for file, group in zip(files, groups):
            if group not in known:
                to = Path(folder) / file.parent.name / file.name
                to.parent.mkdir(exist_ok=True)
                shutil.copy(file, to)
        subprocess.run([sys.executable, ROOT / "train.py", "--data", folder, "--out", out], check=True)
    return out / "export.pkl"


def all_clips(photos, hours, visits):
    """Yield the name of each clip and a function that creates it. Kinds alternate, so that each hour has all kinds."""
    counts = {kind: math.ceil(share * hours * 3600 / CLIP) for kind, share in SHARES.items()}
    counts |= dict.fromkeys(BEARS, visits)
    for _, kind, number in sorted((i / count, kind, i) for kind, count in counts.items() for i in range(count)):
        yield f"{kind} {number}", partial(footage.Clip, photos, kind, number)


def record(model, clips, file):
    """Append the model's answers about each clip to `file`, except clips that it already has."""
    rows = read_records(file)
    there = {row["clip"] for row in rows}
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))  # without a line that was cut short
    for name, make in clips:
        if name not in there:
            start, clip = time.monotonic(), make()
            row = {"clip": name, "kind": clip.kind, "seconds": clip.seconds, "visits": [vars(v) for v in clip.visits]}
            row["looks"] = looks(model, (Frame(*pair) for pair in clip.frames()), until_alarm=clip.kind in BEARS)
            with file.open("a") as f:
                f.write(json.dumps(row) + "\n")
            print(f"· {name}: {clip.seconds:.0f} s in {time.monotonic() - start:.0f} s", flush=True)


def open_watcher(model):
    return Watcher(model, ALARM, Rule(), whole_only=False, groups=model.limits.groups)


def looks(model, frames, until_alarm=False):
    """Return a pair for each frame in which the model classified anything: the time, and a list of passes.

    A pass is a tuple (track, score, probabilities, certainty). With `until_alarm`, stop as soon as the rule has raised
    an alarm at every threshold, to save time.
    """
    watcher, strictest, rows = open_watcher(model), Alarm(STRICTEST), []
    for frame in frames:
        found = watcher.step(frame).looks
        if found:
            rows.append((frame.seconds, [(k.track, round(k.score, 4), tidy(k.probs), k.certainty) for k in found]))
        if strictest.step(frame.seconds, [(k.track, k.score) for k in found]) and until_alarm:
            break
    return rows


def tidy(probs):
    return {label: round(p, 4) for label, p in probs.items()}


def read_records(file):
    if not file.exists():
        return []
    with file.open() as f:
        return [json.loads(line) for line in f if line.endswith("\n")]


# The rule over the records


def alarms(row, rule, kind=Alarm):
    """Return the times, in seconds, at which the rule raises an alarm."""
    alarm, times = kind(rule), []
    for seconds, found in row["looks"]:
        events = alarm.step(seconds, [(track, scores_of(kind, *look)) for track, *look in found])
        times += [event["seconds"] for event in events if event["event"] == "alarm"]
    return times


def scores_of(kind, score, probs, certainty):
    """Return what a kind of rule needs of a pass: its score, or log-likelihood ratios of a bear to other things."""
    if kind is Alarm:
        return score
    ratios = ratio(score, 1 - score), ratio(sum(probs[label] for label in ALARM), probs["teddy"])
    return ratios if kind is SCusum else ratios[:1]


class Cusum(Alarm):
    """For comparison, use Page's sum of log-likelihood ratios of the latest scores instead of their median."""

    def median_of(self, track, score):
        history = self.tracks.setdefault(track, deque(maxlen=self.rule.latest))
        history.append((self.now, score))
        return min(max(accumulate(ratios)) for ratios in zip(*(score for _, score in reversed(history))))


class SCusum(Cusum):
    """For comparison, use S-CuSum (arXiv 2405.00842): a bear must be likelier than no bear, and than a teddy."""


def ratio(a, b, most=3):
    """Return the logarithm of a / b, clipped to -most and `most`, since very sure scores are often wrong."""
    return float(np.clip(np.log((a + 1e-6) / (b + 1e-6)), -most, most))


def delay(row, rule, kind=Alarm):
    """Return the seconds from the first frame with a part of the bear to the alarm, or None if it comes too late."""
    [visit] = row["visits"]
    times = [t for t in alarms(row, rule, kind) if visit["seen"] <= t <= visit["gone"] + LATE]
    return times[0] - visit["seen"] if times else None


def of_visits(rows, rule, kind=Alarm):
    """Return the sorted delays of the visits that raised an alarm, and the number of all visits."""
    delays = [delay(row, rule, kind) for row in rows]
    return sorted(d for d in delays if d is not None), len(delays)


def of_hours(rows, rule, kind=Alarm):
    """Return the number of alarms, and the number of hours."""
    return sum(len(alarms(row, rule, kind)) for row in rows), sum(row["seconds"] for row in rows) / 3600


def share(k, n):
    """Return the share k / n with its 95% interval (Wilson), as text."""
    if n == 0:
        return "none"
    interval = binomtest(k, n).proportion_ci(method="wilson")
    return f"{k / n:.0%} ({k} of {n}; {interval.low:.0%} to {interval.high:.0%})"


def rate(k, hours):
    """Return a rate per hour with its 95% interval (Poisson, or the rule of three for 0), as text."""
    if not hours:
        return "none"
    if k == 0:
        return f"0 (less than {3 / hours:.2f})"
    low, high = chi2.ppf(0.025, 2 * k) / 2 / hours, chi2.ppf(0.975, 2 * k + 2) / 2 / hours
    return f"{k / hours:.2f} ({low:.2f} to {high:.2f})"


def groups_of_visits(rows):
    """Yield the name and the records of each group of visits.

    For day and for night, the groups are: all large bears, bears of each size, and large bears by the kind of photo
    that they were cut out of.
    """
    for kind in BEARS:
        light = kind.removeprefix("bears ")
        some = [row for row in rows if row["kind"] == kind]
        height = {id(row): row["visits"][0]["height"] for row in some}
        large = [row for row in some if height[id(row)] >= LARGE]
        yield f"{light}: large bears, at least {LARGE:.0%} of the picture's height", large
        for low, high in pairwise(HEIGHTS):
            smaller = high <= LARGE
            name = f"{'smaller' if smaller else 'large'} bears, {low:.0%} to {high:.0%}"
            name += " (not in the row above)" if smaller else ""
            yield f"{light}: {name}", [row for row in some if low <= height[id(row)] < high]
        for name, known in (("cut out of camera photos", False), ("cut out of the training photos", True)):
            yield f"{light}: large bears, {name}", [r for r in large if (r["visits"][0]["kind"] == KNOWN) == known]


def print_tables(rows, rule):
    print("\n| visits of bears | visits with an alarm (95% interval) | median delay | 90% of delays are at most |")
    print("| --- | --- | --- | --- |")
    for name, some in groups_of_visits(rows):
        delays, n = of_visits(some, rule)
        median, most = np.quantile(delays, [0.5, 0.9]) if delays else (np.nan, np.nan)
        print(f"| {name} | {share(len(delays), n)} | {median:.1f} s | {most:.1f} s |")
    print("\n| clips without a bear | hours | visits | false alarms | false alarms an hour (95% interval) |")
    print("| --- | --- | --- | --- | --- |")
    calm = [row for row in rows if row["kind"] in CATEGORIES]
    groups = {kind: [row for row in calm if row["kind"] == kind] for kind in CATEGORIES}
    _, empty = of_hours(groups[CATEGORIES[0]], rule)
    whole = f"all, without the scene with wild boars that raised an alarm; {empty:.1f} of the hours are empty scenes"
    for name, some in {**groups, whole: calm}.items():
        k, hours = of_hours(some, rule)
        print(f"| {name} | {hours:.1f} | {sum(len(row['visits']) for row in some)} | {k} | {rate(k, hours)} |")


def print_rules(rows):
    """Compare the rule with two others, each at its lowest threshold with no more false alarms than the rule has."""
    calm = [row for row in rows if row["kind"] in CATEGORIES]
    most, _ = of_hours(calm, Rule())
    print(
        "\n| rule | threshold | false alarms | bears missed by day | bears missed at night | median delay by day |"
        + "\n"
        + "| --- " * 6
        + "|"
    )
    for name, kind, thresholds in (
        ("median", Alarm, [Rule().threshold]),
        ("CUSUM", Cusum, np.arange(1, 15, 0.5)),
        ("S-CuSum", SCusum, np.arange(1, 15, 0.5)),
    ):
        rules = [replace(Rule(), threshold=float(threshold)) for threshold in thresholds]
        rule = next((rule for rule in rules if of_hours(calm, rule, kind)[0] <= most), rules[-1])
        by_day, by_night = (of_visits([r for r in rows if r["kind"] == bears], rule, kind) for bears in BEARS)
        missed = [f"{n - len(delays)} of {n}" for delays, n in (by_day, by_night)]
        k, _ = of_hours(calm, rule, kind)
        print(f"| {name} | {rule.threshold} | {k} | {' | '.join(missed)} | {np.median(by_day[0]):.1f} s |")


def curve(rows):
    """Return a list of dicts, one for each threshold, with the missed visits and false alarms per hour."""
    calm, points = [row for row in rows if row["kind"] in CATEGORIES], []
    groups = {
        f"{kind}, {name}": [r for r in rows if r["kind"] == kind and (r["visits"][0]["height"] >= LARGE) >= least]
        for kind in BEARS
        for name, least in (("all", False), (f"{LARGE:.0%} and more", True))
    }
    for threshold in THRESHOLDS:
        rule = replace(Rule(), threshold=threshold)
        bears = {name: describe(*of_visits(some, rule)) for name, some in groups.items()}
        k, hours = of_hours(calm, rule)
        by_kind = {kind: of_hours([r for r in calm if r["kind"] == kind], rule)[0] for kind in CATEGORIES}
        point = {
            "threshold": threshold,
            "false_alarms": k,
            "hours": round(hours, 2),
            "by_kind": by_kind,
            "bears": bears,
        }
        points.append(point)
    return points


def describe(delays, visits):
    median = round(float(np.median(delays)), 2) if delays else None
    return {"visits": visits, "missed": visits - len(delays), "median_delay": median}


def draw(points, chosen, file):
    """Draw the curve of missed visits over false alarms per hour, with the chosen point."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "watch"  # so that the same numbers give the same file
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
    [at] = [i for i, point in enumerate(points) if point["threshold"] == chosen]
    x = [point["false_alarms"] / point["hours"] for point in points]
    for name in points[0]["bears"]:
        kind, size = name.split(", ")
        y = [100 * point["bears"][name]["missed"] / max(1, point["bears"][name]["visits"]) for point in points]
        style = {"color": "#c2571a" if kind == BEARS[0] else "#22344f", "ls": "-" if kind == BEARS[0] else "--"}
        words = "all sizes" if size == "all" else f"{size} of the picture's height"
        ax.plot(x, y, label=f"{kind}, {words}", alpha=0.45 if size == "all" else 1, marker=".", **style)
        ax.plot(x[at], y[at], "o", color=style["color"], ms=8, clip_on=False, zorder=3)
    ax.set_xlabel(f"false alarms an hour ({points[0]['hours']:.0f} hours without a bear)")
    ax.set_ylabel("visits missed (%)")
    ax.set(xlim=(0, None), ylim=(0, None))
    fig.legend(frameon=False, loc="outside upper center", ncols=2, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    fig.savefig(file, metadata={"Date": None})


# Single photos


def print_photos(model, data):
    """Print how many single photos raise an alarm with each threshold, for two halves of the sources.

    The threshold is chosen on one half, and checked on the other.
    """
    groups = defaultdict(list)
    for row in read_photos(data):
        [(probs, certainty, *_)] = model.ask([open_photo(row["file"], SIDE)])
        together = find_group(probs, certainty, model.limits.groups)
        groups[half(row["repo"]), row["group"]].append(score(probs, certainty, ALARM, together))
    names = sorted({name for _, name in groups})
    for title in HALVES:
        print(f"\n{title}:\n\n| threshold | {' | '.join(names)} |\n{'| --- ' * (1 + len(names))}|")
        for threshold in (0.3, 0.5, 0.7, 0.9, 0.98):
            scores = [groups[title, name] for name in names]
            counts = [f"{sum(s >= threshold for s in some)} of {len(some)}" for some in scores]
            print(f"| {threshold} | {' | '.join(counts)} |")


def read_photos(data):
    """Return the photos of `camp` and `life` as dicts with `file`, `repo` and `group` (content and camera)."""
    for table, what in (("camp", "label"), ("life", "kind")):
        with open(data / table / f"{table}.csv", newline="", encoding="utf-8") as f:
            for row in csv.DictReader(f):
                kind = row[what] if row[what] in ("bear", "teddy") else "other thing"
                camera = "trail" if row.get("camera_trap") == "yes" or row.get("camera") == "trail" else "other"
                if not row["file"].endswith(".mp4"):
                    yield {"file": data / table / row["file"], "repo": row["repo"], "group": f"{kind}, {camera} camera"}


def half(repo):
    """Return the half to which a source belongs. So all photos of a source are in the same half."""
    return HALVES[zlib.crc32(repo.encode()) % 2]


# The real clips, and the costs


def watch_real(model, data):
    """Print which of the real clips raise an alarm at the default threshold, and up to which of `THRESHOLDS`."""
    print(
        "\n| clip | what the clip shows | length in seconds | alarm, after the clip's start |"
        " highest threshold with an alarm |\n" + "| --- " * 5 + "|"
    )
    with open(data / "camp" / "camp.csv", newline="", encoding="utf-8") as f:
        rows = [row for row in csv.DictReader(f) if row["file"].endswith(".mp4")]
    for row in rows:
        frames = list(film(data / "camp" / row["file"]))
        found = {"looks": looks(model, frames)}
        at = alarms(found, Rule())
        after = f"{at[0]:.1f} s" if at else "no alarm"
        raised = [t for t in THRESHOLDS if alarms(found, replace(Rule(), threshold=t))]
        top = f"{raised[-1]:.2f}" if raised else f"no alarm even at {THRESHOLDS[0]}"
        print(f"| {Path(row['file']).stem} | {shown_in(row)} | {frames[-1].seconds:.0f} | {after} | {top} |")


def shown_in(row):
    """Return what a real clip shows: its label, or for `other` the animal in its name, as in `mlwic__elk_burst`."""
    animal = Path(row["file"]).stem.rpartition("__")[2].partition("_")[0]
    return ANIMALS.get(animal, animal) if row["label"] == "other" else row["label"]


def film(file):
    """Return the frames of a film."""
    film = cv2.VideoCapture(str(file))
    fps, i = film.get(cv2.CAP_PROP_FPS), 0
    while (read := film.read())[0]:
        yield Frame(i / fps, read[1])
        i += 1


def print_costs(model, photos):
    """Print frames per second and the share of a core, while a bear walks and while nothing moves.

    Then print the memory, and the share of a core for each of `STREAMS`.
    """
    torch.set_num_threads(2)
    kinds = {"a bear walks through the scene": BEARS[0], "nothing moves": CATEGORIES[0]}
    clips = {name: footage.Clip(photos, kind, 0) for name, kind in kinds.items()}
    before = memory()
    print(f"| clip | frames a second, at full speed | share of one core, at {FPS} frames a second |")
    print("| --- | --- | --- |")
    for name, clip in clips.items():
        watcher, wall, cpu, n = open_watcher(model), 0, 0, 0
        for seconds, picture in clip.frames():
            at, of = time.perf_counter(), time.process_time()
            watcher.step(Frame(seconds, picture))
            wall, cpu, n = wall + time.perf_counter() - at, cpu + time.process_time() - of, n + 1
        print(f"| {name} | {n / wall:.0f} | {cpu / n * FPS:.3f} |", flush=True)
    print(f"\nIn addition to the model, watching needs {(memory() - before) / 2**20:.0f} MB of memory.", end=" ")
    print("This includes the memory of the code that makes the clips.\n")
    for name, options in STREAMS.items():
        wall, cpu, frames = watch_stream(model, options)
        print(f"If nothing moves, watching {name} takes {cpu / wall:.3f} of a core, including receiving the video.")
        print(f"The camera sends 30 frames a second, and `watch` used {frames / wall:.1f} of them.", flush=True)


def watch_stream(model, options, seconds=30):
    """Watch a stream from ffmpeg, a grey scene with noise. Return seconds, processor seconds, and frames."""
    url = f"http://127.0.0.1:{free_port()}/"
    scene = "color=gray:size=1280x720:rate=30,noise=alls=10:allf=t,boxblur=1"
    with subprocess.Popen([*FFMPEG, scene, *options.split(), "-listen", "1", url]) as sender:
        time.sleep(1)
        source, watcher, frames, start = open_source(url, 1 / FPS), open_watcher(model), 0, None
        for frame in source.frames():
            watcher.step(frame)
            start = start or (frame.picture is not None and (time.monotonic(), processor_time(source)))
            frames += frame.picture is not None
            if start and time.monotonic() - start[0] > seconds:
                break
        took = time.monotonic() - start[0], processor_time(source) - start[1], frames
        source.close(), sender.kill()
    return took


def processor_time(source):
    """Return the processor seconds of this process and of the process that reads the source."""
    ticks = Path(f"/proc/{source.reader.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return time.process_time() + sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def memory():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024


def main(argv=None):
    args = parse_args(argv)
    try:
        if args.photos:
            return print_photos(Classifier(args.model or ROOT / "export.pkl"), args.data)
        photos = footage.read_table(args.data)
        file = args.model or train_without(photos, args.data, args.out)
        model = Classifier(file, detect=False)
        if args.costs:
            return print_costs(model, photos)
        cv2.setNumThreads(1)  # so that OMP_NUM_THREADS=1 also holds for OpenCV
        args.out.mkdir(parents=True, exist_ok=True)
        records = args.out / f"{'shipped' if args.model else 'held_out'}.jsonl"
        record(model, all_clips(photos, args.hours, args.visits), records)
        rows = read_records(records)
        print_tables(rows, Rule())
        print_rules(rows)
        if (args.data / "camp" / "camp.csv").exists():
            watch_real(model, args.data)
    except BearsError as e:
        sys.exit(f"watch.py: {e}")
    if not args.model:
        points = curve(rows)
        CURVE.write_text(json.dumps({"chosen": Rule().threshold, "points": points}, indent=1) + "\n")
        draw(points, Rule().threshold, PICTURE)


if __name__ == "__main__":
    main()
