"""Train a classifier on a folder of photos, as fast.ai's Lesson 2 does, and export it for app.py.

    python train.py                           # the shipped model again: fetches its photos; writes export.pkl, reports/
    python train.py --data photos             # your own: one folder of photos per class
    python train.py --data photos --lesson    # the lesson to the letter, as in the lecture: ResNet-18, fine_tune(4)
    accelerate launch train.py --data photos  # the same on several GPUs at once

The lesson: https://course.fast.ai/Lessons/lesson2.html
"""

import sys
import time
from functools import partial

from bears.lifecycle import begin, end_in_order
from bears.train import options

parse_args = partial(options.parse_args, __doc__)

if __name__ == "__main__":
    begin(parse_args)  # --help is answered before torch is imported, which takes seconds

from bears.backbone import find_arch
from bears.errors import BearsError
from bears.export import export, export_examples
from bears.files import check_writable
from bears.photo import open_photo
from bears.train import distributed, outcome, report
from bears.train.data import batch_size, check_photos, check_split, find_others, group_near_duplicates, in_place
from bears.train.evaluation import estimate_folds, evaluate_by_folds, evaluate_by_validation
from bears.train.learner import (
    LINEAR_HEAD,
    body_views,
    body_was_trained,
    head_learner,
    input_size,
    label_targets,
    no_progress_bar_in_logs,
    vision_learner,
)
from bears.train.shipped_photos import shipped_photos
from fastai.vision.all import (
    CategoryBlock,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    RandomResizedCrop,
    RandomSplitter,
    Resize,
    aug_transforms,
    error_rate,
    get_image_files,
    parent_label,
    plt,
    set_seed,
)

# get_image_files, verify_images


def get_photos(args):
    """All photos that can be used; which of them are near-duplicates; what there is to say about them."""
    path = args.data or shipped_photos()
    # In the place of `verify_images`: it opens photos as the page does, says why one cannot be used, and deletes none.
    files, dropped = check_photos(path, get_image_files(path), args.leave_out)
    groups = group_near_duplicates(files)
    return files, groups, outcome.describe_photos(files, dropped, groups, args)


# DataBlock, dataloaders


def get_dls(files, splitter, item_tfms, batch_tfms=None, bs=64):
    """The lesson's DataBlock. Its `get_items` has run already: `files` are the photos that could be opened."""
    bears = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=open_photo,
        get_y=parent_label,
        splitter=splitter,
        item_tfms=item_tfms,
        batch_tfms=batch_tfms,
    )
    train_idx = check_split(files, splitter(files)[0])
    return bears.dataloaders(files, bs=batch_size(bs, train_idx))


# vision_learner, fine_tune: the lesson to the letter


def train_lesson(files, groups, args):
    """The lesson's network, judged by the photos that its random split holds out."""
    item_tfms, batch_tfms, valid_pct = Resize(128), None, 0.3  # the lecture leaves augmentation to the next week
    if args.lesson == "book":
        item_tfms, batch_tfms, valid_pct = RandomResizedCrop(224, min_scale=0.5), aug_transforms(), 0.2

    def fit(splitter):
        dls = get_dls(files, splitter, item_tfms, batch_tfms)
        learn = vision_learner(dls, args.arch, metrics=error_rate, pretrained=not args.no_pretrained)
        fine_tune(learn)
        return learn

    learn = fit(RandomSplitter(valid_pct, seed=42))
    folds = estimate_folds(files, groups, args) if args.cross_validate else []
    return evaluate_by_validation(learn, lambda valid: fit(IndexSplitter(valid)), folds)


@distributed.together
def fine_tune(learn):
    learn.fine_tune(4)


# vision_learner, and a head on features that are computed once: the default


def train_default(files, groups, args):
    """One head per fold, trained on the other folds, judges it; a last head, trained on all photos, is exported."""
    folds = estimate_folds(files, groups, args)
    dls = get_dls(files, IndexSplitter(folds[0][1]), item_tfms=Resize(input_size(args.arch)), bs=16)
    learn = vision_learner(dls, args.arch, metrics=error_rate, pretrained=not args.no_pretrained, **LINEAR_HEAD)
    if body_was_trained(
        learn
    ):  # only if you train it here, for example by learn.unfreeze() and learn.fit_one_cycle(2, 1e-4)
        outcome.print_step("the body has learnt from the photos of the other folds, so the first fold alone judges")
        folds = folds[:1]
    views, targets = body_views(learn, files), label_targets(dls.vocab, files)

    def fit(split, quiet=True):
        head = head_learner(views, targets, split, len(dls.vocab), args.seed, quiet)
        head.fit_one_cycle(20, 1e-2)
        return head

    heads = [fit(split, quiet=i > 0) for i, split in enumerate(folds)]
    learn.model[1][-1] = fit((range(len(files)), [])).model  # of all photos, none held out
    return evaluate_by_folds(learn, heads, folds, views[0], targets, files, groups, args)


# show_batch, ClassificationInterpretation, plot_confusion_matrix, plot_top_losses


def show(trained, folder):
    """The lesson's pictures, for the report in `folder`; returns the interpretation."""
    learn = trained.learn
    with learn.no_bar(), report.pictures(folder) as save:
        learn.dls.show_batch(max_n=9, figsize=(8, 8))
        save("batch")
        trained.recorder.plot_loss(skip_start=0, ax=plt.figure(figsize=(8, 4)).gca())
        save("learning_curve")
        interp = report.ClassificationInterpretation(learn, trained.judged, trained.logits, trained.targets)
        interp.plot_confusion_matrix(figsize=(5, 5))
        save("confusion_matrix")
        interp.plot_top_losses(min(9, len(interp.losses)), figsize=(13, 12))
        save("top_losses")
        if trained.plots:
            report.plot_trust(save, **trained.plots)
    return interp


# export


def save_model(learn, interp, facts, out):
    """export.pkl, for app.py; export.json, its facts; examples/, a photo of each class for the page to offer."""
    export_examples(interp, out / "examples")
    export(learn, out / "export.pkl")
    outcome.write(out / "export.json", facts)


def run(args):
    start = time.monotonic()
    check_writable(args.out)
    find_arch(args.arch)  # an unknown one is refused before photos are read
    set_seed(args.seed, reproducible=True)
    files, groups, found = distributed.from_rank0(get_photos, args)
    args.others = args.others and distributed.from_rank0(find_others, args.others)
    outcome.print_step(f"training {args.arch} ({outcome.RECIPES[args.lesson]})")
    with in_place(files):
        trained = (train_lesson if args.lesson else train_default)(files, groups, args)
        if distributed.RANK:
            return
        interp = show(trained, args.out / "reports")
        facts = outcome.describe_run(trained, found, args, start)
        report.write(args.out / "reports", facts)
        outcome.print_summary(facts, args)
        outcome.check_error(facts, args.max_error)
        save_model(trained.learn, interp, facts, args.out)
    outcome.print_next_command(args)


def main(argv=None):
    no_progress_bar_in_logs()
    with distributed.processes():
        try:
            end_in_order()
            run(parse_args(argv))
        except BearsError as e:
            sys.exit(f"train.py: {e}")
        except KeyboardInterrupt:
            sys.exit("train.py: stopped. Nothing was exported; photos that have been fetched are kept.")


if __name__ == "__main__":
    main()
