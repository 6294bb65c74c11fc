"""Several processes that train one model: `accelerate launch train.py …`, through fastai's distributed training.

Started plainly there is one process, everything here steps aside, and accelerate is not even imported.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any

import numpy as np
import torch
from bears.fastai_internals import broadcast_with
from fastai.torch_core import default_device, defaults

RANK, WORLD_SIZE = 0, 1  # which process this is, and of how many
GRACE_PERIOD = 5  # seconds that a failing process gives the first one to fail likewise, and to say so


@contextmanager
def processes() -> Iterator[None]:
    """Join the other processes that a launcher started, if one did. Only the first one prints.

    A process that fails waits before it says so, since most likely the first one fails likewise: then the launcher
    ends them all, and there is one message. If it does not, this one speaks.
    """
    init_processes()
    try:
        yield
    except BaseException as e:
        if RANK and getattr(e, "code", 1):
            time.sleep(GRACE_PERIOD)
            sys.stderr = sys.__stderr__
        raise
    if WORLD_SIZE > 1:
        torch.distributed.destroy_process_group()


def init_processes():
    """Find out who is there, and set up how they talk: NCCL on GPUs, gloo without."""
    global RANK, WORLD_SIZE
    if not {"WORLD_SIZE", "ACCELERATE_MIXED_PRECISION"} & os.environ.keys():
        return
    from accelerate import Accelerator, InitProcessGroupKwargs

    patience = InitProcessGroupKwargs(timeout=timedelta(days=1))  # the first process may have many photos to verify
    state = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no", kwargs_handlers=[patience]).state
    RANK, WORLD_SIZE = state.process_index, state.num_processes
    if WORLD_SIZE == 1:
        if "MASTER_ADDR" in os.environ:
            print("· only one process: `accelerate launch --cpu` needs mpirun to start more; use --multi_gpu instead")
        return
    default_device(state.device.type == "cuda")
    if state.device.type == "cpu":
        defaults.cpus = 0  # no workers that load photos: one that is forked beside gloo's threads can hang forever
    broadcast_with(broadcast)
    # fastai gathers what any Learner says from all processes while these are set; see `training`.
    for name in ("RANK", "WORLD_SIZE"):
        os.environ.pop(name, None)
    if RANK:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)


def broadcast(self, idxs, rank):
    """Return which photos are whose turn, as the process `rank` says; fastai's own method does this on GPUs only."""
    box = [idxs]
    torch.distributed.broadcast_object_list(box, rank)
    return box[0]


@contextmanager
def training(learn):
    """fastai's `learn.distrib_ctx()`: what is fitted in it, all processes fit together."""
    if WORLD_SIZE == 1:
        yield
        return
    from accelerate.utils import patch_environment

    # Batch norm stays each process's own: the layers that would be synchronised need GPUs, also in the export.
    with patch_environment(RANK=RANK, WORLD_SIZE=WORLD_SIZE), learn.distrib_ctx(sync_bn=False):
        yield


def batch_size(bs: int) -> int:
    """Return the share of each process in a batch of `bs`, at least 2 because of batch norm."""
    return max(2, bs // WORLD_SIZE)


def from_rank0(func: Callable, *args) -> Any:
    """Return to all processes what `func(*args)` returns in the first one; the others wait for it."""
    result = [None if RANK else func(*args)]
    if WORLD_SIZE > 1:
        torch.distributed.broadcast_object_list(result)
    return result[0]


def rank0_first(func):
    """Decorator after fastai's `rank0_first`: one process calls `func` and downloads, then the others do."""

    @wraps(func)
    def one_after_the_other(*args, **kwargs):
        if RANK:
            torch.distributed.barrier()
        try:
            return func(*args, **kwargs)
        finally:
            if WORLD_SIZE > 1 and not RANK:
                torch.distributed.barrier()

    return one_after_the_other


def together(fit: Callable) -> Callable:
    """Decorator: all processes fit the Learner that is the first argument of `fit` together."""

    @wraps(fit)
    def fit_together(learn, *args, **kwargs):
        with training(learn):
            return fit(learn, *args, **kwargs)

    return fit_together


def split_between_processes(func):
    """Decorator: of `func(files)`, a tensor or a list with a row for each file, each process computes a part."""

    @wraps(func)
    def compute_together(files, *args, **kwargs):
        if WORLD_SIZE == 1:
            return func(files, *args, **kwargs)
        start, stop = np.linspace(0, len(files), WORLD_SIZE + 1).astype(int)[RANK : RANK + 2]
        parts = [None] * WORLD_SIZE
        part = func(files[start:stop], *args, **kwargs) if start < stop else None
        torch.distributed.all_gather_object(parts, part)
        parts = [part for part in parts if part is not None]
        return torch.cat(parts) if torch.is_tensor(parts[0]) else [row for part in parts for row in part]

    return compute_together
