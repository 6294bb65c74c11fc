"""Apply the alarm's rule to recorded scores, with the same or other settings, and print the decisions."""

import json
import math
from collections import Counter
from dataclasses import asdict, replace

from bears.errors import WatchError
from bears.text import print_line
from bears.watch.alarm import Alarm, Rule, score

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MAX_LINE = 10**6  # characters of a line that are read at once; the line of a pass has about a thousand
NEAREST = 5  # how many tracks with the highest medians are printed


def replay(folder, labels=None, threshold=None):
    """Print the rule's decisions for each watch in a folder.

    `labels` are the classes that raise an alarm. The default settings are those of the recorded watch.
    """
    told = None
    for entry in read(folder):
        if "source" not in entry:
            told.add(entry)
        elif not (told and entry["continues"]):
            if told:
                told.end()
            told = Replay(entry, labels or entry["alarm"], threshold or entry["rule"]["threshold"])
    if not told:
        raise WatchError(f"There are no scores in {folder}. Give the folder of a recorded watch.")
    told.end()


def read(folder):
    """Yield the entries in all files of scores. Skip incomplete lines, and lines before the first watch's description.

    Raises `WatchError` for a line that isn't from `watch`.
    """
    begun = False
    for file, number, line in lines_of(folder):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        try:
            is_head = "source" in entry
            entry = as_head(entry) if is_head else as_look(entry)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            raise WatchError(f"Line {number} of {file} is not from a watch. Delete it, then replay again.") from None
        begun = begun or is_head
        if begun:
            yield entry


def lines_of(folder):
    """Yield each line in all files of scores as (file, line number, line)."""
    for file in sorted(folder.glob("scores/*.jsonl")):
        if not file.is_file():
            raise WatchError(f"{file} is not a file. Delete it, then replay again.")
        try:
            with file.open(encoding="utf-8", errors="replace") as lines:
                for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE), ""), 1):
                    yield file, number, line
        except OSError as e:
            raise WatchError(f"{file} can't be read ({e.strerror}). Fix that, then replay again.") from None


def as_head(entry):
    """Return an entry that describes a watch, with checked types. Raises one of the errors that `read` catches."""
    rule = {name: finite(entry["rule"].get(name, default)) for name, default in asdict(Rule()).items()}
    rule |= {name: int(rule[name]) for name in ("least", "latest")}
    if not 1 <= rule["latest"] <= 1000:
        raise ValueError
    words = {name: str(entry[name]) for name in ("source", "time")}
    classes, alarm = ([str(label) for label in as_list(entry[name])] for name in ("classes", "alarm"))
    return {**words, "rule": rule, "classes": classes, "alarm": alarm, "continues": bool(entry.get("continues"))}


def as_look(entry):
    """Return an entry about a pass, with checked types. Raises one of the errors that `read` catches."""
    probs = {str(label): finite(prob) for label, prob in entry["probs"].items()}
    numbers = {"seconds": finite(entry["seconds"]), "took": finite(entry.get("took", 0)), "track": int(entry["track"])}
    words = {"time": str(entry["time"]), "certainty": entry["certainty"]}
    score(probs, entry["certainty"], ())  # raises KeyError for an unknown certainty
    return {**numbers, **words, "probs": probs, "group": [str(label) for label in as_list(entry.get("group", []))]}


def finite(value):
    if not math.isfinite(value):
        raise ValueError
    return value


def as_list(value):
    if not isinstance(value, list):
        raise TypeError
    return value


class Replay:
    """Apply the rule to the recorded passes of one watch."""

    def __init__(self, about, labels, threshold):
        self.classes = set(about["classes"])
        if unknown := set(labels) - self.classes:
            raise WatchError(
                f"--alarm: the recording of {about['source']} has no class {min(unknown)}."
                f" Choose from {', '.join(about['classes'])}."
            )
        rule = Rule(**about["rule"])
        self.labels, self.alarm = labels, Alarm(replace(rule, threshold=threshold))
        self.others = {t: Alarm(replace(rule, threshold=t)) for t in THRESHOLDS}
        self.alarms, self.nearest, self.step = Counter(), {}, []
        print_line(f"{about['source']}, since {about['time']}: alarm for {' or '.join(labels)}, threshold {threshold}")

    def add(self, look):
        """Add a pass. When a new frame begins, apply the rule to the passes over the previous frame."""
        if self.classes - set(look["probs"]):
            raise WatchError(f"The record of {look['time']} has other classes than its watch, so it can't be replayed.")
        if self.step and look["seconds"] != self.step[0]["seconds"]:
            self.decide()
        self.step.append(look)

    def decide(self):
        seconds, when = self.step[0]["seconds"], self.step[0]["time"]
        took = self.step[0]["took"]
        pairs = [(look["track"], self.score(look)) for look in self.step]
        self.step = []
        for event in self.alarm.step(seconds, pairs, took):
            print_line(f"  {seconds:.1f} s, {when}: {self.words(event)}")
        for t, alarm in self.others.items():
            self.alarms[t] += sum(event["event"] == "alarm" for event in alarm.step(seconds, pairs, took))
        for track, value in self.alarm.medians.items():
            if value >= self.nearest.get(track, (0,))[0]:
                self.nearest[track] = value, seconds, self.scores(track)
        if len(self.nearest) > 100 * NEAREST:
            self.nearest = dict(self.top())

    def score(self, look):
        return score(look["probs"], look["certainty"], self.labels, look["group"])

    def scores(self, track):
        return ", ".join(f"{value:.2f}" for _, value in self.alarm.tracks[track])

    def words(self, event):
        if event["event"] == "end":
            return "visit ended"
        history = self.alarm.tracks[event["track"]]
        which = "median" if len(history) >= self.alarm.rule.least else "lower one"
        return f"ALARM, track {event['track']}: {event['median']:.2f} is the {which} of {self.scores(event['track'])}"

    def top(self):
        return sorted(self.nearest.items(), key=lambda item: -item[1][0])[:NEAREST]

    def end(self):
        if self.step:
            self.decide()
        print("  the highest medians:" if self.nearest else "  nothing was classified often enough for a median")
        for track, (value, seconds, scores) in self.top():
            print(f"  {seconds:.1f} s: track {track}: {value:.2f}, of {scores}")
        print("  alarms by threshold: " + ", ".join(f"{t}: {self.alarms[t]}" for t in THRESHOLDS), end="\n\n")
