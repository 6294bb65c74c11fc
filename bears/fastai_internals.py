"""Use private names of fastai, which a new version may change.

tests/test_private_names.py fails if a version of fastai lacks one of these private names.
"""

from collections.abc import Callable

from fastai.data.core import TfmdDL
from fasttransform import Transform


def set_batch_types(dl: TfmdDL, n_inp: int, *types: type) -> None:
    """Set the number of inputs and the types of a batch, so that fastai doesn't load photos to find them."""
    dl._n_inp, dl._types = n_inp, {tuple: list(types)}


def broadcast_with(broadcast: Callable) -> None:
    """Replace fastai's method that sends the order of photos to all processes. fastai's method needs GPUs."""
    from fastai.distributed import DistributedDL  # here, since it imports accelerate

    DistributedDL._broadcast = broadcast


def forget_types(tfm: Transform) -> None:
    """Clear the types that a transform has cached, such as PosixPath, so that an export doesn't contain them."""
    if "encodes" in vars(tfm):  # a plum function, which caches the types
        tfm.encodes.clear_cache(reregister=False)
