"""Train a classifier on a folder of photos, as fast.ai's Lesson 2 does, and export it for app.py.

    python train.py                           # the shipped model again: fetches its photos; writes export.pkl, reports/
    python train.py --data photos             # your own: one folder of photos per class
    python train.py --data photos --lesson    # the lesson to the letter: ResNet-18, fine_tune(4)
    python train.py --data photos --compare resnet18,tf_efficientnet_lite0    # a table of backbones
    accelerate launch train.py --data photos  # the same on several GPUs at once

The lesson: https://course.fast.ai/Lessons/lesson2.html
"""

import argparse
import json
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

from bears import ARCH
from bears.tidy import begin, end_in_order

HERE = Path(__file__).parent
COMPARE = "only print a table of these backbones, trained on the same folds: resnet18,tf_efficientnet_lite0"
PACKAGES = ("torch", "torchvision", "fastai", "timm", "pillow")


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of one folder of photos per class (default: the bears, from the web)")
    parser.add_argument("--leave-out", metavar="CSV", help="photos not to use: a file with columns file and reason")
    parser.add_argument("--others", metavar="DIR", help="photos of other things, to count how many pass for a class")
    parser.add_argument("--subject", help="what all classes are, for the page to say that there is none: bear")
    parser.add_argument("--out", default=HERE, type=Path, help="folder for export.pkl, export.json and reports/")
    parser.add_argument("--lesson", action="store_true", help="the lesson's own recipe: ResNet-18, 128 pixels")
    parser.add_argument("--arch", help=f"any torchvision or timm backbone (default: {ARCH}, or resnet18 for --lesson)")
    parser.add_argument(
        "--compare", metavar="NAMES", type=lambda names: names.replace(" ", "").split(","), help=COMPARE
    )
    parser.add_argument("--no-pretrained", action="store_true", help="start from random weights, not from ImageNet")
    parser.add_argument("--cross-validate", metavar="K", type=int, help="folds of the error estimate (lesson: none)")
    parser.add_argument("--max-error", type=float, help="keep the old export and fail if the error is above this")
    parser.add_argument("--seed", type=int, default=42, help="two runs with one seed agree (default: 42)")
    return settle(parser, parser.parse_args(argv))


def settle(parser, args):
    """Refuse options that contradict each other, and fill in those that follow from others; returns `args`."""
    if args.compare and not all(args.compare):
        parser.error("--compare takes names of backbones, with commas between them")
    if args.compare and (args.arch or args.others or args.subject or args.max_error is not None):
        parser.error("--compare exports nothing: leave out --arch, --others, --subject and --max-error")
    args.arch = args.arch or ("resnet18" if args.lesson else ARCH)
    estimate = not args.lesson or args.compare  # of the error, by folds: the lesson can do without
    if args.cross_validate is None:
        args.cross_validate = 5 if estimate else 0
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
    if args.cross_validate < 2 and (estimate or args.cross_validate):
        parser.error("--cross-validate needs at least 2 folds")
    return args


if __name__ == "__main__":
    begin(parse_args)

import torch
from bears import distributed, ood, report
from bears.calibration import calibration_error, cross_calibrated, fit_temperature
from bears.compare import compare
from bears.data import count_labels, find_others, find_photos, group_twins, grouped_folds, list_twins
from bears.errors import DataError, ExportError, WeightsError
from bears.export import export, export_examples
from bears.files import check_writable, write_whole
from bears.learner import (
    LINEAR_HEAD,
    body_features,
    cool,
    count_errors,
    create_learner,
    error_summary,
    fit_head,
    imagenet_classifier,
    input_size,
    no_bar_in_a_log,
    out_of_fold,
    validation_logits,
)
from bears.photo import open_photo
from bears.reproduce import shipped_photos
from fastai.vision.all import (
    CategoryBlock,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    RandomSplitter,
    Resize,
    parent_label,
    set_seed,
)

# The lesson, to the letter


def lesson_dls(files, splitter):
    """The lesson's DataBlock. Its `get_items` has run already: `files` are the photos that could be opened."""
    bears = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        splitter=splitter,
        get_y=parent_label,
        item_tfms=Resize(128),
    )
    return bears.dataloaders(files, bs=distributed.batch_size(min(64, len(files) // 2)))


def lesson_learner(files, splitter, args):
    """The lesson's `vision_learner(dls, resnet18, metrics=error_rate)` and `fine_tune(4)`."""
    dls = lesson_dls(files, splitter)
    learn = distributed.rank0_first(create_learner, dls, args.arch, pretrained=not args.no_pretrained)
    with distributed.training(learn):
        learn.fine_tune(4)
    return learn


def train_lesson(files, groups, args):
    """Returns the trained Learner, its interpretation, its Recorder, the facts to report and nothing more to plot."""
    learn = lesson_learner(files, RandomSplitter(valid_pct=0.3, seed=42), args)
    logits, targets = validation_logits(learn)
    facts = {"validation": error_summary(*count_errors(logits, targets))}
    if args.cross_validate:
        folds = estimate_folds(files, groups, args)
        fit = partial(lesson_learner, files, args=args)
        counts = [count_errors(*validation_logits(fit(IndexSplitter(valid)))) for _, valid in folds]
        facts["cross_validation"] = {"folds": len(folds), **error_summary(*map(sum, zip(*counts)))}
    return learn, report.Interpretation(learn, logits, targets), learn.recorder, facts, {}


# The default recipe: a frozen body, a linear head


def default_dls(files, split, size):
    """The lesson's DataBlock at the recipe's size, through our own door, with twins on one side of the split."""
    bears = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=open_photo,
        get_y=parent_label,
        splitter=IndexSplitter(split[1]),
        item_tfms=Resize(size),
    )
    return bears.dataloaders(files, bs=min(16, len(split[0])))


def train_default(files, groups, args):
    """Returns the trained Learner, its interpretation, its Recorder, the facts to report and what to plot of them."""
    pretrained = not args.no_pretrained
    split = grouped_folds(files, groups, seed=args.seed)[0]
    dls = default_dls(files, split, input_size(args.arch))
    learn = distributed.rank0_first(create_learner, dls, args.arch, pretrained, **LINEAR_HEAD)
    features = distributed.in_shares(partial(body_features, learn), files)
    targets = torch.tensor([dls.vocab.o2i[parent_label(f)] for f in files])

    fit = partial(fit_head, features, targets, n_out=len(dls.vocab), seed=args.seed)
    folds = estimate_folds(files, groups, args)
    logits = out_of_fold(fit, folds)
    head = fit(split)
    learn.model[1][-1] = cool(head.model, fit_temperature(logits, targets))
    learn.ood, scores = ood.fit(
        features, targets.numpy(), groups, imagenet_classifier(args.arch, pretrained), args.seed
    )
    probs = cross_calibrated(logits, targets, folds)
    plots = {"probs": probs, "targets": targets, "scores": scores, "threshold": learn.ood["threshold"]}

    valid = validation_logits(head)
    facts = {
        "validation": error_summary(*count_errors(*valid)),
        "cross_validation": {
            "folds": len(folds),
            **error_summary(*count_errors(logits, targets)),
            "calibration_error": round(calibration_error(probs, targets), 4),
        },
        "none_of_them": {"threshold": round(learn.ood["threshold"], 4), "photos_that_pass": ood.PASS},
    }
    if args.others:
        facts["none_of_them"]["others"], plots["others"] = judge_others(learn, args.others)
    return learn, report.Interpretation(learn, *valid), head.recorder, facts, plots


def judge_others(learn, files):
    """How many photos of other things pass for one of the classes, and their scores; no part of the training."""
    scores = ood.score(learn.ood, distributed.in_shares(partial(body_features, learn), files)).numpy()
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
    say(f"{len(facts['twins'])} groups of near-duplicates, each kept on one side of the split")
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


def refusal(facts, max_error):
    """Why the model must not be exported, or nothing."""
    error_rate = facts["validation"]["error_rate"]
    if max_error is not None and error_rate > max_error:
        return f"The validation error {error_rate:.1%} is above --max-error {max_error:.1%}: nothing was exported."


def say(stage):
    print(f"· {stage}", flush=True)


def run(args):
    start = time.monotonic()
    check_writable(args.out)
    set_seed(args.seed, reproducible=True)
    files, groups, found = distributed.first(prepare, args)
    args.others = args.others and distributed.first(find_others, args.others)

    recipe = "lesson" if args.lesson else "frozen body, linear head"
    say(f"training {args.arch} ({recipe})")
    learn, interp, recorder, results, plots = train(files, groups, args)
    if distributed.RANK:
        return
    for name, result in results.items():
        say(f"{name}: {json.dumps(result)}")
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

    say(f"writing {args.out / 'reports'}")
    facts["seconds"] = round(time.monotonic() - start)
    report.write(args.out / "reports", learn, interp, recorder, facts, plots)
    refused = refusal(facts, args.max_error)
    if not refused:
        say(f"writing {args.out / 'export.pkl'} and an example of each class")
        export_examples(interp, args.out / "examples")
        export(learn, args.out / "export.pkl")
        write_whole(args.out / "export.json", json.dumps(facts, indent=2).encode() + b"\n")
    print(json.dumps(facts, indent=2))
    if refused:
        raise ExportError(refused)


def run_compare(args):
    """Print what the backbones of `--compare` do and cost; exports nothing."""
    files, groups, _ = distributed.first(prepare, args)
    compare(train, files, groups, args)


def main(argv=None):
    no_bar_in_a_log()
    with distributed.processes():
        try:
            end_in_order()
            args = parse_args(argv)
            (run_compare if args.compare else run)(args)
        except (DataError, WeightsError, ExportError) as e:
            sys.exit(f"train.py: {e}")
        except KeyboardInterrupt:
            sys.exit("train.py: stopped. Nothing was exported; photos that have been fetched are kept.")


if __name__ == "__main__":
    main()
