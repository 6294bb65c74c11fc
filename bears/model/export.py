"""Write a Learner to a file `export.pkl` that opens on any system, and open such files.

fastai's `learn.export` stores Python bytecode, which crashes other Python versions, and paths, which Windows can't
open. This module stores no bytecode and no paths, and stores weights in half precision.
"""

import io
import pickle
import warnings
from copy import deepcopy
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import torch
from bears.errors import BearsError, ExportError, NoModelError
from bears.fastai_internals import forget_types
from bears.files import check_writable, write_whole
from bears.model.description import Undescribed, add_description, describe, open_described
from bears.model.photo import as_jpeg, open_photo
from bears.text import print_line
from fastai import interpret
from fastai.callback.progress import ProgressCallback
from fastai.data.transforms import Categorize, CategoryMap, parent_label
from fastai.learner import Learner, load_learner
from fastai.vision.augment import AffineCoordTfm
from fasttransform import Pipeline

LFS_POINTER = b"version https://git-lfs.github.com/spec/"


class HalfPrecision:
    """Pickle a model in half precision. Unpickling needs torch's `Module.float`, but no code of this project."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def __reduce__(self) -> tuple:
        return torch.nn.Module.float, (deepcopy(self.model).half(),)


def export(learn: Learner, file: Path) -> None:
    """Export a Learner like `learn.export(file)`, but to a file that is portable and half the size.

    The file contains a description (bears/model/description.py), so `open_export` can open it without running a pickle.
    If a network has custom layers, it can't be described, and a warning is printed. Raises `ExportError` if `file`
    can't be written, and keeps an earlier file with this name.
    """
    data = as_bytes(lean := for_inference(learn))
    try:
        data = add_description(data, describe(lean, data))
        open_described(io.BytesIO(data))
    except Exception as e:  # a custom network can raise any exception
        why = e if isinstance(e, BearsError) else f"{type(e).__name__}: {' '.join(str(e).split()):.200}"
        print_line(f"· {file} can only be opened with --trust-model, since app.py can't rebuild it safely: {why}")
    write_whole(file, data)


def as_bytes(learn: Learner) -> bytes:
    """Return the bytes that `learn.export` would write, but with half-precision weights and no Python bytecode."""
    Path.__module__ = "pathlib"  # Python 3.13 would write pathlib._local, which older versions don't have
    buffer, model = io.BytesIO(), learn.model
    learn.model = HalfPrecision(model)
    torch.save(learn, buffer, pickle_module=pickle, pickle_protocol=4)
    learn.model = model
    return buffer.getvalue()


def for_inference(learn: Learner) -> Learner:
    """Return a copy of `learn` for prediction, without photos, augmentation, optimizer, paths and project code.

    The copy contains nothing random, so equal weights give equal files.
    """
    dls = learn.dls.new_empty()
    for dl in dls.loaders:
        dl.rng = Random(0)
        for name in ("after_item", "after_batch"):
            tfms = [tfm for tfm in getattr(dl, name).fs if not is_augmentation(tfm)]
            setattr(dl, name, Pipeline(tfms))
            for tfm in tfms:
                vars(tfm).pop("pcts", None)  # Resize remembers where it cropped its latest photo
        for tl in dl.dataset.tls:
            without_traces(tl)
    model = learn.model.cpu().to(memory_format=torch.contiguous_format)
    lean = Learner(dls, model, loss_func=learn.loss_func, metrics=learn.metrics)
    lean.path = dls.path = "."
    for name in ("arch", "ood"):
        if hasattr(learn, name):
            setattr(lean, name, getattr(learn, name))
    return lean


def is_augmentation(tfm: Any) -> bool:
    """Return whether a transform only changes training photos, so that `predict` doesn't need it."""
    return tfm.size is None if isinstance(tfm, AffineCoordTfm) else tfm.split_idx == 0


def export_examples(interp: interpret.Interpretation, folder: Path) -> None:
    """Save an example photo of each class as `folder/LABEL.jpg`, unless that file exists.

    The example is the photo of the class with the smallest loss in `interp`. Photos are saved upright and without
    metadata, such as the place where a photo was taken.
    """
    check_writable(folder)
    _, _, files = interp.top_losses(largest=False, items=True)
    for label, photo in {parent_label(f): f for f in reversed(files)}.items():
        if not (file := folder / f"{label}.jpg").exists():
            write_whole(file, as_jpeg(open_photo(photo), quality=90))


def without_traces(tl: Any) -> None:
    """Remove this project's `open_photo` from a `TfmdLists`, and all traces of the training photos."""
    own = [tfm.name == open_photo.__name__ for tfm in tl.tfms.fs]
    tl.tfms = Pipeline([tfm for tfm, ours in zip(tl.tfms.fs, own) if not ours])
    tl.types = [Path if isinstance(t, type) and issubclass(t, Path) else t for t in tl.types[sum(own) :]]
    tl.splits = None
    for tfm in tl.tfms.fs:
        forget_types(tfm)


def open_export(file: Path, trust: bool = False) -> Learner:
    """Return the Learner in `file`, on the CPU, ready for `predict` and without a progress bar.

    If `trust` is false, build the Learner from the description that train.py wrote into the file, without running any
    code in it. If `trust` is true, load the file with fastai's `load_learner`, which can run any code in it. Files of
    `learn.export` have no description, so they only open if `trust` is true. Raises `ExportError`.
    """
    try:
        learn = load_pickle(file) if trust else open_described(file)
    except FileNotFoundError:
        raise NoModelError(file) from None
    except Undescribed:
        raise ExportError(
            f"{file} can't be opened safely: it lacks the description that train.py writes, so it could run any code on"
            " your computer. If you trust the person who made it, add --trust-model."
        ) from None
    except UnboundLocalError:  # fastai's load_learner raises this if a module is not installed
        raise ExportError(f"{file} needs a package that is not installed here. Train it again with train.py.") from None
    except Exception as e:  # a damaged file, or a file of another program, can raise any exception
        if is_lfs_pointer(file):
            raise ExportError(
                f"{file} is a Git LFS pointer, not the model itself. Fetch the model with `git lfs pull`."
            ) from None
        reason = " ".join(str(e).split()) or "no reason given"
        raise ExportError(
            f"{file} can't be opened here ({type(e).__name__}: {reason:.200}). Train it again with train.py."
        ) from None
    if not isinstance(learn, Learner):
        raise ExportError(f"{file} has no Learner in it. Train it again with train.py.")
    if not hasattr(learn.dls, "vocab"):
        raise ExportError(f"{file} is not an image classifier: it has no classes. Train one with train.py.")
    make_labels_text(learn)
    learn.remove_cb(ProgressCallback)
    return learn


def is_lfs_pointer(file: Path) -> bool:
    """Return whether `file` is a Git LFS pointer, a placeholder for a large file that isn't downloaded yet."""
    try:
        with open(file, "rb") as f:
            return f.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError:  # the file can't be read
        return False


def make_labels_text(learn: Learner) -> None:
    """Convert labels to text and keep their order. Labels may be numbers, or booleans such as Lesson 1's `is_cat`."""
    for dl in learn.dls.loaders:
        for tfm in chain.from_iterable(tl.tfms.fs for tl in getattr(dl.dataset, "tls", ())):
            if isinstance(tfm, Categorize):
                tfm.vocab = CategoryMap([str(label) for label in tfm.vocab], sort=False)


def load_pickle(file: Path) -> Learner:
    """Call fastai's `load_learner` without its warning about pickles. Only load files that you trust."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return load_learner(file, pickle_module=pickle)
