"""Train a classifier on a folder of photos, as fast.ai's Lesson 2 does, and export it for app.py.

    python train.py                           # the shipped model again: fetches its photos; writes export.pkl, reports/
    python train.py --data photos             # your own: one folder of photos per class
    python train.py --data photos --lesson    # the lesson to the letter, as in the lecture: ResNet-18, fine_tune(4)
    accelerate launch train.py --data photos  # the same on several GPUs at once

The lesson: https://course.fast.ai/Lessons/lesson2.html
"""

import argparse
import json
import shlex
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bears import ARCH
from bears.lifecycle import begin, end_in_order

HERE = Path(__file__).parent
LESSON = "the lesson's own recipe with ResNet-18: of the lecture (128 pixels; the default) or the book (224, augmented)"
RECIPES = {None: "frozen body, linear head", "lecture": "lesson", "book": "lesson, as in the book"}
PACKAGES = ("torch", "torchvision", "fastai", "timm", "pillow")


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of one folder of photos per class (default: the bears, from the web)")
    parser.add_argument("--leave-out", metavar="CSV", help="photos not to use: a file with columns file and reason")
    parser.add_argument("--others", metavar="DIR", help="photos of other things, to count how many pass for a class")
    parser.add_argument("--subject", help="what all classes are, for the page to say that there is none: bear")
    parser.add_argument("--out", default=HERE, type=Path, help="folder for export.pkl, export.json and reports/")
    parser.add_argument("--lesson", nargs="?", const="lecture", choices=["lecture", "book"], help=LESSON)
    parser.add_argument("--arch", help=f"any torchvision or timm backbone (default: {ARCH}, or resnet18 for --lesson)")
    parser.add_argument("--no-pretrained", action="store_true", help="start from random weights, not from ImageNet")
    parser.add_argument("--cross-validate", metavar="K", type=int, help="folds of the error estimate (lesson: none)")
    parser.add_argument("--max-error", type=float, help="keep the old export and fail if the error is above this")
    parser.add_argument("--seed", type=int, default=42, help="two runs with one seed agree (default: 42)")
    return check_options(parser, parser.parse_args(argv))


def check_options(parser, args):
    """Refuse options that contradict each other, and fill in those that follow from others; returns `args`."""
    args.arch = args.arch or ("resnet18" if args.lesson else ARCH)
    if args.cross_validate is None:
        args.cross_validate = 0 if args.lesson else 5
    if args.lesson and (args.others or args.subject):
        parser.error("--others and --subject belong to the default recipe, which learns to say that there is none")
    if args.data == "":
        parser.error("--data is empty: name a folder of photos, or leave it out for the bears")
    if args.max_error is not None and not args.max_error <= 1:  # which is true of nan, too
        parser.error("--max-error is a share of the photos: 0.02 for 2%")
    if not 0 <= args.seed < 2**32:
        parser.error("--seed is a number from 0 to 4294967295")
    if not args.data:
        args.leave_out = args.leave_out or HERE / "bears" / "left_out.csv"
        args.subject = args.subject or (None if args.lesson else "bear")
    if args.cross_validate < 2 and not (args.lesson and args.cross_validate == 0):
        parser.error("--cross-validate needs at least 2 folds")
    return args


if __name__ == "__main__":
    begin(parse_args)

import numpy as np
import torch
from bears import ood
from bears.errors import BearsError, ExportError
from bears.export import export, export_examples
from bears.facts import errors
from bears.files import check_writable, write_whole
from bears.train import distributed, report
from bears.train.calibration import calibration_error, cross_calibrated, fit_temperature
from bears.train.data import (
    check_split,
    count_labels,
    find_others,
    find_photos,
    group_twins,
    grouped_folds,
    in_place,
    list_twins,
)
from bears.train.learner import (
    LINEAR_HEAD,
    VIEWS,
    apply_temperature,
    augments,
    body_features,
    count_errors,
    create_learner,
    default_dls,
    error_summary,
    find_arch,
    has_learnt,
    head_learner,
    imagenet_classifier,
    input_size,
    no_progress_bar_in_logs,
    out_of_fold,
    validation_logits,
)
from bears.train.shipped_photos import shipped_photos
from fastai.vision.all import (
    CategoryBlock,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    Learner,
    RandomResizedCrop,
    RandomSplitter,
    Recorder,
    Resize,
    aug_transforms,
    parent_label,
    set_seed,
)


@dataclass
class Trained:
    """What a recipe returns: a Learner to export, and what was found out about it."""

    learn: Learner
    judged: list  # photos, each judged by a network that never saw it,
    logits: torch.Tensor  # what that said of them, (photos, classes),
    targets: torch.Tensor  # and the truth, (photos,)
    recorder: Recorder  # the losses of the training
    facts: dict
    plots: dict = field(default_factory=dict)  # the keywords of `report.plot_trust`


# The lesson, to the letter


def lesson_dls(files, splitter, lesson="lecture"):
    """The lesson's DataBlock. Its `get_items` has run already: `files` are the photos that could be opened.

    The lecture leaves augmentation to the next week; the book's chapter augments (`lesson="book"`).
    """
    item_tfms, batch_tfms = Resize(128), None
    if lesson == "book":
        item_tfms, batch_tfms = RandomResizedCrop(224, min_scale=0.5), aug_transforms()
    bears = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        splitter=splitter,
        get_y=parent_label,
        item_tfms=item_tfms,
        batch_tfms=batch_tfms,
    )
    train_idx = splitter(files)[0]
    check_split(files, train_idx)
    return bears.dataloaders(files, bs=distributed.batch_size(min(64, len(train_idx))))


def lesson_learner(files, splitter, args):
    """The lesson's `vision_learner(dls, resnet18, metrics=error_rate)` and `fine_tune(4)`."""
    dls = lesson_dls(files, splitter, args.lesson)
    learn = distributed.rank0_first(create_learner, dls, args.arch, pretrained=not args.no_pretrained)
    with distributed.training(learn):
        learn.fine_tune(4)
    return learn


def train_lesson(files, groups, args):
    """The lesson's Learner, judged by the photos that its random split holds out."""
    valid_pct = 0.2 if args.lesson == "book" else 0.3
    learn = lesson_learner(files, RandomSplitter(valid_pct, seed=42), args)
    logits, targets = validation_logits(learn)
    facts = {"validation": error_summary(*count_errors(logits, targets))}
    if args.cross_validate:
        folds = estimate_folds(files, groups, args)
        fit = partial(lesson_learner, files, args=args)
        counts = [count_errors(*validation_logits(fit(IndexSplitter(valid)))) for _, valid in folds]
        facts["cross_validation"] = {"folds": len(folds), **error_summary(*map(sum, zip(*counts)))}
    return Trained(learn, learn.dls.valid.items, logits, targets, learn.recorder, facts)


# The default recipe: a frozen body, a linear head


def train_default(files, groups, args):
    """A head that has learnt from all photos, judged by heads that were trained alike, each on all folds but one."""
    pretrained = not args.no_pretrained
    folds = estimate_folds(files, groups, args)
    size = input_size(args.arch)
    dls = default_dls(files, folds[0], item_tfms=Resize(size))
    learn = distributed.rank0_first(create_learner, dls, args.arch, pretrained, **LINEAR_HEAD)
    if body_learnt := has_learnt(learn):
        say("the body has learnt from the photos of the other folds, so the first fold alone judges")
        folds = folds[:1]

    features = distributed.split_between_processes(partial(body_features, learn), files)
    targets = torch.tensor([dls.vocab.o2i[parent_label(f)] for f in files])
    views = [features]
    if augments(dls):
        say(f"{VIEWS} random versions of each photo, as the DataBlock asks for")
        augmented = partial(body_features, learn, augment=True)
        views += [distributed.split_between_processes(augmented, files) for _ in range(VIEWS)]

    def fit(split, quiet=True):
        head = head_learner(views, targets, split, len(dls.vocab), args.seed, quiet)
        head.fit_one_cycle(20, 1e-2)
        return head

    heads = [fit(split, quiet=i > 0) for i, split in enumerate(folds)]
    logits = out_of_fold(heads, folds)
    judged = np.sort(np.concatenate([valid for _, valid in folds]))
    truth = targets[judged]
    head = fit((range(len(files)), []))
    learn.model[1][-1] = apply_temperature(head.model, fit_temperature(logits, truth))
    imagenet = None if body_learnt else imagenet_classifier(args.arch, pretrained)
    learn.ood, scores = ood.fit(features, targets.numpy(), groups, imagenet, args.seed)

    probs = cross_calibrated(logits, truth, folds)
    plots = {"probs": probs, "targets": truth, "scores": scores, "threshold": learn.ood["threshold"]}
    facts = {
        "cross_validation": {
            "folds": len(folds),
            **error_summary(*count_errors(logits, truth)),
            "calibration_error": round(calibration_error(probs, truth), 4),
        },
        "none_of_them": {"threshold": round(learn.ood["threshold"], 4), "photos_that_pass": ood.ACCEPTED_SHARE},
    }
    if args.others:
        facts["none_of_them"]["others"], plots["others"] = judge_others(learn, args.others)
    return Trained(learn, [files[i] for i in judged], logits, truth, heads[0].recorder, facts, plots)


def judge_others(learn, files):
    """How many photos of other things pass for one of the classes, and their scores; no part of the training."""
    scores = ood.score(learn.ood, distributed.split_between_processes(partial(body_features, learn), files)).numpy()
    passed = [f.name for f, score in zip(files, scores) if score >= learn.ood["threshold"]]
    return {**error_summary(len(passed), len(files)), "passed": passed}, scores


# From the folder to the export


def prepare(args):
    """Find and verify the photos, group the twins, and say so; returns files, groups and the facts about them."""
    files, dropped = find_photos(args.data or shipped_photos(), args.leave_out)
    groups = group_twins(files)
    facts = {"counts": count_labels(files), "dropped": dropped, "twins": list_twins(files, groups)}
    say(f"{len(files)} photos: " + ", ".join(f"{n} {label}" for label, n in facts["counts"].items()))
    for name, reason in dropped.items():
        say(f"left out {name}: {reason}")
    twins = f"{len(facts['twins'])} groups of near-duplicates"
    say(f"{twins}, which the lesson's random split may part" if args.lesson else f"{twins}, each kept in one fold")
    return files, groups, facts


def train(files, groups, args):
    """Train by the recipe that `args` ask for."""
    return (train_lesson if args.lesson else train_default)(files, groups, args)


def estimate_folds(files, groups, args):
    """The folds of the error estimate; says so when there are fewer than `args` ask for."""
    folds = grouped_folds(files, groups, args.cross_validate, args.seed)
    if len(folds) < args.cross_validate:
        say(f"only {len(folds)} folds, since a class has no more different photos; the more it gets, the better")
    return folds


def estimate(facts):
    """The estimate of the error to go by: that of the folds if there is one, since it is of more photos."""
    return facts.get("cross_validation") or facts["validation"]


def refusal(facts, max_error):
    """Why the model must not be exported, or nothing."""
    error_rate = estimate(facts)["error_rate"]
    if max_error is not None and error_rate > max_error:
        return f"The error {error_rate:.1%} is above --max-error {max_error:.1%}: nothing was exported."


def say(stage):
    print(f"· {stage}", flush=True)


def say_how_good(facts, args):
    """What a student wants to know at the end: how good it is, where to read more, what to type next."""
    print(f"\nOn photos that it had not learnt from, it {errors(estimate(facts))}")
    if others := facts.get("none_of_them", {}).get("others"):
        print(f"Of {others['photos']} photos of other things, {others['errors']} passed for one of the classes.")
    print(f"The report, with the photos that it got wrong: {args.out / 'reports' / 'index.html'}")


def say_what_next(args):
    model = "" if args.out.resolve() == HERE else f" --model {shlex.quote(str(args.out / 'export.pkl'))}"
    print(f"See it answer: python3 -m bears app{model}")


def run(args):
    start = time.monotonic()
    check_writable(args.out)
    find_arch(args.arch)  # an unknown one is refused before photos are read
    set_seed(args.seed, reproducible=True)
    files, groups, found = distributed.from_rank0(prepare, args)
    args.others = args.others and distributed.from_rank0(find_others, args.others)

    recipe = RECIPES[args.lesson]
    say(f"training {args.arch} ({recipe})")
    with in_place(files):
        trained = train(files, groups, args)
        if distributed.RANK:
            return
        learn, results = trained.learn, trained.facts
        interp = report.Interpretation(learn, trained.judged, trained.logits, trained.targets)
        facts = {
            "classes": list(learn.dls.vocab),
            "subject": args.subject,
            "recipe": recipe,
            "arch": args.arch,
            "seed": args.seed,
            **found,
            **results,
            "versions": {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}},
        }
        facts["seconds"] = round(time.monotonic() - start)
        say(f"writing {args.out / 'reports'}")
        report.write(args.out / "reports", learn, interp, trained.recorder, facts, trained.plots)
        refused = refusal(facts, args.max_error)
        if not refused:
            say(f"writing {args.out / 'export.pkl'} and an example of each class")
            export_examples(interp, args.out / "examples")
            export(learn, args.out / "export.pkl")
            write_whole(args.out / "export.json", json.dumps(facts, indent=2).encode() + b"\n")
    say_how_good(facts, args)
    if refused:
        raise ExportError(refused)
    say_what_next(args)


def main(argv=None):
    no_progress_bar_in_logs()
    with distributed.processes():
        try:
            end_in_order()
            args = parse_args(argv)
            run(args)
        except BearsError as e:
            sys.exit(f"train.py: {e}")
        except KeyboardInterrupt:
            sys.exit("train.py: stopped. Nothing was exported; photos that have been fetched are kept.")


if __name__ == "__main__":
    main()
