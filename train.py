"""Train a classifier on a folder of photos, as fast.ai's Lesson 2 does, and export it for app.py.

    python3 -m bears train                          # train the shipped model again; writes export.pkl and reports/
    python3 -m bears train --data photos            # train on your own photos: one folder per class
    python3 -m bears train --data photos --lesson   # exactly as in the lesson (ResNet-18, fine_tune(4))
    .venv/bin/accelerate launch train.py --data photos   # on several GPUs at once

The lesson: https://course.fast.ai/Lessons/lesson2.html
"""

import time
from functools import partial

from bears.cli import begin, ends_in_words
from bears.train import options

parse_args = partial(options.parse_args, __doc__)

if __name__ == "__main__":
    begin(parse_args)  # answer --help before importing torch, which takes seconds

from bears import distributed
from bears.files import check_writable
from bears.learning.data import batch_size, check_labels, check_split, explain_lost_photos, find_all_photos, find_others
from bears.learning.features import compute_features
from bears.learning.head import EPOCHS, LR, head_learner
from bears.learning.learner import LINEAR_HEAD, body_was_trained, no_progress_bar_in_logs, vision_learner
from bears.learning.near_duplicates import group_near_duplicates
from bears.model.backbone import find_arch, input_size
from bears.model.export import export, export_examples
from bears.model.photo import open_photo
from bears.train import report, summary
from bears.train.evaluation import evaluate_by_folds, evaluate_by_validation, split_into_folds
from bears.train.ood_eval import evaluate_ood, fit_ood
from bears.train.shipped_photos import shipped_photos
from bears.train.sources import evaluate_by_source, find_sources
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
    parent_label,
    set_seed,
)

# In the lesson: get_image_files, verify_images


def get_photos(args):
    """Return the usable photos, the number of each photo's near-duplicate group, and facts for the report."""
    args.data = args.data or [shipped_photos()]
    # `find_all_photos` replaces get_image_files and verify_images. It opens photos like the app, says why a photo can't
    # be used, and deletes none.
    files, dropped = find_all_photos(args.data, args.exclude)
    check_labels(args.groups, args.alarm, files, args.hints)
    groups = group_near_duplicates(files)
    return files, groups, summary.describe_photos(files, dropped, groups, args)


# In the lesson: DataBlock, dataloaders


def get_dls(files, splitter, item_tfms, batch_tfms=None, bs=64):
    """Return DataLoaders for the photos `files`, built with a DataBlock as in the lesson."""
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=open_photo,
        get_y=parent_label,
        splitter=splitter,
        item_tfms=item_tfms,
        batch_tfms=batch_tfms,
    )
    train_idx, _ = splitter(files)  # the same split as `dataloaders` makes
    check_split(files, train_idx)
    return block.dataloaders(files, bs=batch_size(bs, len(train_idx)))


# In the lesson: vision_learner, fine_tune. With --lesson, `train_lesson` trains in the same way.


def train_lesson(files, groups, args):
    """Train like the lesson. Return the `Result` for the validation photos, or with --folds for all photos."""
    if args.lesson == "lecture":  # the lecture adds augmentation a week later
        item_tfms, batch_tfms, valid_pct = Resize(128), None, 0.3
    else:
        item_tfms, batch_tfms, valid_pct = RandomResizedCrop(224, min_scale=0.5), aug_transforms(), 0.2

    def fit(splitter):
        dls = get_dls(files, splitter, item_tfms, batch_tfms)
        learn = vision_learner(dls, args.arch, metrics=error_rate, pretrained=not args.no_pretrained)
        with distributed.training(learn):
            learn.fine_tune(4)
        return learn

    learn = fit(RandomSplitter(valid_pct, seed=42))
    folds = split_into_folds(files, groups, args) if args.folds else []
    return evaluate_by_validation(learn, lambda valid: fit(IndexSplitter(valid)), folds)


# By default: vision_learner, and a head trained on features that are computed once.


def train_default(files, groups, args):
    """Test each fold with a head trained on the other folds. Return the `Result`.

    The Learner to export gets a head trained on all photos.
    """
    folds = split_into_folds(files, groups, args)
    dls = get_dls(files, IndexSplitter(folds[0][1]), item_tfms=Resize(input_size(args.arch)), bs=16)
    # LINEAR_HEAD: fastai's options for a head of average pooling and one linear layer.
    learn = vision_learner(dls, args.arch, metrics=error_rate, pretrained=not args.no_pretrained, **LINEAR_HEAD)
    # To train the body too, put learn.unfreeze() and learn.fit_one_cycle(2, 1e-4) here.
    if body_was_trained(learn):
        summary.print_step("the body was trained on the other folds, so only the first fold is tested")
        folds = folds[:1]
    features = compute_features(learn, files)
    ood_scores = fit_ood(learn, features, groups, args)  # decides if a photo shows none of the classes

    def fit_head(train_idx, valid_idx, quiet=True):
        head = head_learner(features, (train_idx, valid_idx), args.seed, quiet)
        head.fit_one_cycle(EPOCHS, LR)
        return head

    heads = [fit_head(*fold, quiet=i > 0) for i, fold in enumerate(folds)]
    final = fit_head(range(len(files)), [])
    learn.model[1][-1] = final.model  # the last layer of the network
    result = evaluate_by_folds(learn, heads, folds, files, features.targets)
    result = evaluate_by_source(result, fit_head, groups, args)
    return evaluate_ood(result, files, ood_scores, args)


# In the lesson: show_batch, ClassificationInterpretation, plot_confusion_matrix, plot_top_losses


def show(result, facts, args):
    """Write the report with the lesson's plots. Return fastai's `ClassificationInterpretation`."""
    learn, plots = result.learn, {}
    with learn.no_bar(), report.pictures():
        plots["batch"] = report.svg(learn.dls.show_batch, max_n=9, figsize=(8, 8))
        plots["learning_curve"] = report.svg(result.loss_recorder.plot_loss, skip_start=0)
        interp = report.ClassificationInterpretation(learn, result.files, result.logits, result.targets)
        plots["confusion_matrix"] = report.svg(interp.plot_confusion_matrix, figsize=(5, 5))
        plots["top_losses"] = report.svg(interp.plot_top_losses, min(9, len(interp.losses)), figsize=(13, 12))
        if result.scores:
            plots |= report.plot_trust(interp.probs, interp.targets, **result.scores)
    report.write(args, facts, result, interp, plots)
    return interp


# In the lesson: export


def save_model(learn, interp, facts, out):
    """Write export.pkl for app.py, export.json with facts about the model, and an example photo of each class."""
    export_examples(interp, out / "examples")
    export(learn, out / "export.pkl")
    summary.write(out / "export.json", facts)


def run(args):
    start = time.monotonic()
    check_writable(args.out)
    find_arch(args.arch)  # reject an unknown backbone before the photos are read
    set_seed(args.seed, reproducible=True)
    files, groups, photo_facts = distributed.from_rank0(get_photos, args)
    args.sources = distributed.from_rank0(find_sources, files, args)
    args.negatives = args.negatives and distributed.from_rank0(find_others, args.negatives)
    summary.print_step(f"training {args.arch} ({summary.RECIPES[args.lesson]})")
    with explain_lost_photos(files):
        result = (train_lesson if args.lesson else train_default)(files, groups, args)
        if distributed.RANK:
            return None
        facts = summary.describe_run(result, photo_facts, args, start)
        interp = show(result, facts, args)
        summary.print_summary(facts, args)
        summary.check_error(facts, args.max_error)
        save_model(result.learn, interp, facts, args.out)
    summary.print_next_command(args)
    return facts


def main(argv: list[str] | None = None) -> None:
    no_progress_bar_in_logs()
    kept = "Nothing was exported. Downloaded photos are kept."
    args = parse_args(argv)
    with distributed.processes(), ends_in_words("train.py", kept), summary.words_to_stderr(args) as print_json:
        print_json(run(args))


if __name__ == "__main__":
    main()
