"""Use what fastai does not promise to keep, each in a function of its own.

tests/test_private_names.py says which of these names a new version of fastai no longer has.
"""

from collections.abc import Callable

from fastai.data.core import TfmdDL
from fasttransform import Transform


def set_batch_types(dl: TfmdDL, n_inp: int, *types: type) -> None:
    """Set how many inputs a batch has, and the types in it, which fastai would learn from a first batch of photos."""
    dl._n_inp, dl._types = n_inp, {tuple: list(types)}


def broadcast_with(broadcast: Callable) -> None:
    """Replace how processes agree on whose turn a photo is, which fastai does on GPUs only."""
    from fastai.distributed import DistributedDL  # imports accelerate, which only training in processes needs

    DistributedDL._broadcast = broadcast


def forget_types(tfm: Transform) -> None:
    """Drop the types that a transform has met, such as PosixPath, which no export should name."""
    if "encodes" in vars(tfm):  # a plum function, which caches them
        tfm.encodes.clear_cache(reregister=False)
