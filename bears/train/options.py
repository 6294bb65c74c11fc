"""Parse train.py's options. This module doesn't import torch, so `--help` and errors appear at once."""

import argparse
from pathlib import Path

from bears import ARCH
from bears.cli import command_parser, labels
from bears.files import HOME, IS_COPY
from bears.model.answers import either
from bears.train import shipped_model

OUT = Path() if IS_COPY else HOME  # a copy that pip has installed is never written to
DATA = "folder with one subfolder of photos per class; may be repeated (default: download the bear photos)"
SOURCES = "table of each photo's source: columns “file” and “source” (default: attribution.csv in --data, if it exists)"
SUBJECT = (
    "noun for all your classes, such as bear. If a photo shows none of them, the Photo tab then says “I don't see a"
    " bear”. The Camera tab, predictions.csv and the API say “No bear here”"
)
GROUP = (
    "classes that are hard to tell apart, such as bear=black,grizzly. The app may then say “A bear: black or grizzly,"
    " can't tell which”. May be repeated"
)
ANIMALS = "the classes are animals: if the answer about the whole photo isn't sure, find the animal and classify it"
WAKES = "classes for which the camera raises an alarm, such as fox,wolf (default: all; for the bears black,grizzly)"
CHECK = "how people can check an answer themselves: a sentence that the app shows below the answer (may be repeated)"
LESSON = "use the lesson's recipe with ResNet-18: lecture (128 pixels, the default) or book (224 pixels, augmented)"


def parse_args(description: str, argv: list[str] | None = None) -> argparse.Namespace:
    """Parse and check train.py's options. `description` is the text above the options in `--help`."""
    parser = command_parser("train", description)
    parser.add_argument("--data", action="append", metavar="DIR", help=DATA)
    parser.add_argument(
        "--exclude", metavar="CSV", help="table of photos to leave out, with the columns “file” and “reason”"
    )
    parser.add_argument(
        "--negatives",
        metavar="DIR",
        help="folder of photos that show none of the classes, to count how many the model mistakes for a class",
    )
    parser.add_argument("--sources", metavar="CSV", help=SOURCES)
    parser.add_argument("--subject", help=SUBJECT)
    parser.add_argument("--group", action="append", type=group, metavar="[NAME=]CLASSES", help=GROUP)
    parser.add_argument("--alarm", type=labels, metavar="CLASSES", help=WAKES)
    parser.add_argument("--hint", action="append", type=hint, metavar="CLASS=SENTENCE", help=CHECK)
    parser.add_argument("--animals", action="store_true", help=ANIMALS)
    parser.add_argument(
        "--out",
        default=OUT,
        type=Path,
        help="folder for export.pkl, export.json and reports/"
        " (default: the folder of train.py, or the current folder if you installed with pip)",
    )
    parser.add_argument("--lesson", nargs="?", const="lecture", choices=["lecture", "book"], help=LESSON)
    parser.add_argument("--arch", help=f"any torchvision or timm backbone (default: {ARCH}, or resnet18 for --lesson)")
    parser.add_argument("--no-pretrained", action="store_true", help="start from random weights instead of ImageNet's")
    parser.add_argument(
        "--folds", metavar="K", type=int, help="number of folds of the cross-validation (default: 5; 0 with --lesson)"
    )
    parser.add_argument(
        "--max-error",
        type=float,
        help="highest error rate to accept, such as 0.02 for 2%%. Above it, training fails and keeps the old export",
    )
    parser.add_argument("--json", action="store_true", help="print export.json to stdout and all messages to stderr")
    parser.add_argument(
        "--seed", type=int, default=42, help="random seed; the same seed gives the same model (default: 42)"
    )
    args = parser.parse_args(argv)
    check_options(parser, args)
    return args


def check_options(parser, args):
    """Reject options that contradict each other, and set defaults that depend on other options."""
    args.arch = args.arch or ("resnet18" if args.lesson else ARCH)
    if args.folds is None:
        args.folds = 0 if args.lesson else 5
    if args.lesson and (args.negatives or args.subject or args.group or args.sources or args.animals):
        parser.error("--negatives, --subject, --group, --sources and --animals don't work with --lesson")
    if "" in (args.data or ()):
        parser.error("--data is empty: give a folder of photos, or leave the option out to train the bears")
    if args.max_error is not None and not args.max_error <= 1:  # also rejects nan
        parser.error("--max-error must be between 0 and 1, for example 0.02 for 2%")
    if not 0 <= args.seed < 2**32:
        parser.error("--seed must be between 0 and 4294967295")
    args.alarm = args.alarm or (None if args.data else shipped_model.ALARM)
    args.hints = dict(args.hint or []) if args.hint or args.data else shipped_model.HINTS
    is_home = args.out.resolve() == HOME.resolve()  # the folder whose examples MARKS is about
    args.marks = shipped_model.MARKS if is_home and not args.data else {}
    args.groups = join_groups(parser, args.group or [])
    if not args.data:
        args.exclude = args.exclude or shipped_model.EXCLUDED
        args.subject = args.subject or (None if args.lesson else shipped_model.SUBJECT)
        args.groups = args.groups or ({} if args.lesson else shipped_model.GROUPS)
        args.sources, args.animals = args.sources or shipped_model.PHOTOS, not args.lesson
    if args.folds < 2 and not (args.lesson and args.folds == 0):
        parser.error("--folds needs at least 2 folds")


def group(text):
    """Parse a group such as `bear=black,grizzly` into its name (by default `black or grizzly`) and classes."""
    name, _, classes = text.rpartition("=")
    members = labels(classes)
    if len(set(members) - {""}) < max(2, len(members)) or ("=" in text and not name.strip()):
        raise argparse.ArgumentTypeError(
            f"{text} is not a group of two or more classes; give one like bear=black,grizzly"
        )
    return name.strip() or either(members), members


def hint(text):
    """Parse a hint such as `fox=A fox has a bushy tail.` into its class and its sentence."""
    label, _, sentence = (part.strip() for part in text.partition("="))
    if not (label and sentence):
        raise argparse.ArgumentTypeError(f"{text} is not a hint; give one like 'fox=A fox has a bushy tail.'")
    return label, sentence


def join_groups(parser, groups):
    """Return a dict from each group's name to its classes. Reject a name or class that occurs twice."""
    members = [label for _, some in groups for label in some]
    if len(set(members)) < len(members) or len(dict(groups)) < len(groups):
        parser.error("--group is given twice with the same name or class: each class can be in only one group")
    return dict(groups)
