"""Wrap private names of fastai that a new version may change.

tests/test_private_names.py fails when a version of fastai lacks one of them.
"""

from collections.abc import Callable

from fastai.data.core import TfmdDL
from fasttransform import Transform


def set_batch_types(dl: TfmdDL, n_inp: int, *types: type) -> None:
    """Set the number of inputs of a batch and the types in it. fastai would need a batch of photos to find them."""
    dl._n_inp, dl._types = n_inp, {tuple: list(types)}


def broadcast_with(broadcast: Callable) -> None:
    """Replace the method with which processes share the photos among them, since fastai's needs GPUs."""
    from fastai.distributed import DistributedDL  # here since it imports accelerate

    DistributedDL._broadcast = broadcast


def forget_types(tfm: Transform) -> None:
    """Drop the types that a transform has seen, such as PosixPath, so that an export doesn't name them."""
    if "encodes" in vars(tfm):  # a plum function, which caches the types
        tfm.encodes.clear_cache(reregister=False)
