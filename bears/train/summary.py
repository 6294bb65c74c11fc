"""Collect the facts about a training run for export.json, and print a summary."""

import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import numpy as np
from bears.errors import ExportError
from bears.files import HOME, write_whole
from bears.learning.data import count_labels, print_step
from bears.learning.near_duplicates import list_near_duplicates
from bears.model.metadata import error_sentence, estimate
from bears.text import as_typed, print_line
from bears.train.evaluation import Result

RECIPES = {None: "frozen body, linear head", "lecture": "lesson", "book": "lesson, as in the book"}
ELSEWHERE = "There may be more errors on photos from elsewhere. --sources measures them (docs/train_more.md)."
PACKAGES = ("torch", "torchvision", "fastai", "timm", "pillow")


def describe_photos(files: list[Path], dropped: dict[str, str], groups: np.ndarray, args: Namespace) -> dict:
    """Print and return the facts about the photos: their number, excluded photos and near-duplicates."""
    facts = {"counts": count_labels(files), "dropped": dropped, "near_duplicates": list_near_duplicates(files, groups)}
    print_step(f"{len(files)} photos: " + ", ".join(f"{n} {label}" for label, n in facts["counts"].items()))
    for name, reason in dropped.items():
        print_step(f"excluded {name}: {reason}")
    fate = "the lesson's random split may put them on both sides" if args.lesson else "each kept in one fold"
    print_step(f"{len(facts['near_duplicates'])} groups of near-duplicates, {fate}")
    return facts


def describe_run(result: Result, photo_facts: dict, args: Namespace, start: float) -> dict:
    """Return all facts about a training run for export.json and the report.

    `start` is the value of `time.monotonic()` when the run began.
    """
    return {
        "classes": list(result.learn.dls.vocab),
        "subject": args.subject,
        # The classes for which `watch` raises an alarm, the groups and their classes, and how to check an answer
        **{name: value for name in ("alarm", "groups", "hints", "marks") if (value := getattr(args, name))},
        "recipe": RECIPES[args.lesson],
        "arch": result.learn.arch,
        "seed": args.seed,
        **photo_facts,
        **result.facts,
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}},
        "seconds": round(time.monotonic() - start),
    }


def check_error(facts: dict, max_error: float | None) -> None:
    """Raise `ExportError` if the error rate is above `max_error`."""
    error_rate = estimate(facts)["error_rate"]
    if max_error is not None and error_rate > max_error:
        raise ExportError(f"The error {error_rate:.1%} is above --max-error {max_error:.1%}, so nothing was exported.")


def write(file: Path, facts: dict) -> None:
    """Write export.json. Raises `ExportError`."""
    write_whole(file, json.dumps(facts, indent=2).encode() + b"\n")


@contextmanager
def words_to_stderr(args: Namespace) -> Iterator[Callable]:
    """Yield a function that prints facts as JSON to stdout, while all other messages go to stderr.

    Without `--json`, the yielded function does nothing, and messages go to stdout.
    """
    if not args.json:
        yield lambda facts: None
        return
    stdout = sys.stdout
    with redirect_stdout(sys.stderr):
        yield lambda facts: print(json.dumps(facts, indent=2), file=stdout)


def print_summary(facts: dict, args: Namespace) -> None:
    """Print the model's error rate, and where the report is."""
    print(f"\n{error_sentence(facts)}")
    if "by_source" in facts:
        print(f"In tests on photos like yours: {share_of_errors(facts['cross_validation'])}.")
    elif "photos" in (verdicts := facts.get("verdicts", {})):
        print(f"The model was sure about {verdicts['photos']} photos, and got {verdicts['errors']} of them wrong.")
        print(f"For {verdicts['not_sure']} photos the answer was “not sure” or “none of the classes”.")
        print(f"These numbers hold for photos like yours. {ELSEWHERE}")
        if group := verdicts.get("group"):
            print(
                f"For {group['photos']} photos the model could only name the group."
                f" {group['errors']} of these answers were wrong."
            )
    if others := facts.get("none_of_them", {}).get("others"):
        print(
            f"Among {others['photos']} photos of other things, {others['errors']} were mistaken for one of the classes."
        )
    print_line(f"The report, with the photos that the model got wrong: {args.out / 'reports' / 'index.html'}")


def share_of_errors(estimate: dict) -> str:
    return f"{estimate['errors']} of {estimate['photos']} wrong ({estimate['error_rate']:.1%})"


def print_next_command(args: Namespace) -> None:
    print_line(f"The model: {args.out / 'export.pkl'}. Try it: {app_command(args)}")


def app_command(args: Namespace) -> str:
    """Return the command that serves the new model."""
    model = "" if args.out.resolve() == HOME else f" --model {as_typed(args.out / 'export.pkl')}"
    return f"python3 -m bears app{model}"


def clean_commands(args: Namespace) -> list[str]:
    """Return the commands that open the review page, one for each folder of photos."""
    exclude = f" --exclude {as_typed(args.exclude)}" if args.exclude else ""
    return [f"python3 -m bears clean {as_typed(folder)}{exclude}" for folder in args.data]
