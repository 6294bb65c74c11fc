"""Train one model in several processes (`accelerate launch train.py …`) with fastai's distributed training.

Without a launcher there is one process. Then nothing here has an effect, and accelerate is not imported.
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

RANK, WORLD_SIZE = 0, 1  # the number of this process, and how many there are
GRACE_PERIOD = 5  # seconds that a failing process waits for the first one to fail, too, and print the error


@contextmanager
def processes() -> Iterator[None]:
    """Join the other processes that a launcher started, if there are any. Only the first one prints.

    Another process that fails waits before it prints its error. Most likely the first process fails in the same way.
    Then the launcher ends all processes, and only one message is printed.
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
    """Find the other processes and connect to them, with NCCL on GPUs or else gloo."""
    global RANK, WORLD_SIZE
    if not {"WORLD_SIZE", "ACCELERATE_MIXED_PRECISION"} & os.environ.keys():
        return
    from accelerate import Accelerator, InitProcessGroupKwargs

    patience = InitProcessGroupKwargs(timeout=timedelta(days=1))  # the first process may check many photos
    state = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no", kwargs_handlers=[patience]).state
    RANK, WORLD_SIZE = state.process_index, state.num_processes
    if WORLD_SIZE == 1:
        if "MASTER_ADDR" in os.environ:
            print("· only one process: `accelerate launch --cpu` needs mpirun to start more; use --multi_gpu instead")
        return
    default_device(state.device.type == "cuda")
    if state.device.type == "cpu":
        defaults.cpus = 0  # no workers that load photos, since a fork next to gloo's threads can hang for ever
    broadcast_with(broadcast)
    # While these are set, fastai gathers the predictions of any Learner from all processes; `training` sets them.
    for name in ("RANK", "WORLD_SIZE"):
        os.environ.pop(name, None)
    if RANK:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)


def broadcast(self, idxs, rank):
    """Return the order of photos that the process `rank` chose. fastai's own method only works on GPUs."""
    box = [idxs]
    torch.distributed.broadcast_object_list(box, rank)
    return box[0]


@contextmanager
def training(learn):
    """Let all processes train a Learner together in the `with` block, by fastai's `learn.distrib_ctx()`."""
    if WORLD_SIZE == 1:
        yield
        return
    from accelerate.utils import patch_environment

    # Each process has its own batch norm, since synchronised layers need GPUs, even in the export.
    with patch_environment(RANK=RANK, WORLD_SIZE=WORLD_SIZE), learn.distrib_ctx(sync_bn=False):
        yield


def batch_size(bs: int) -> int:
    """Return how many photos of a batch of `bs` each process gets. Batch norm needs at least 2."""
    return max(2, bs // WORLD_SIZE)


def from_rank0(func: Callable, *args) -> Any:
    """Call `func(*args)` in the first process, and return its result in all processes."""
    result = [None if RANK else func(*args)]
    if WORLD_SIZE > 1:
        torch.distributed.broadcast_object_list(result)
    return result[0]


def rank0_first(func):
    """Decorate `func` so that the first process calls it before the others, like fastai's `rank0_first`."""

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
    """Decorate `fit` so that all processes train its first argument, a Learner, together."""

    @wraps(fit)
    def fit_together(learn, *args, **kwargs):
        with training(learn):
            return fit(learn, *args, **kwargs)

    return fit_together


def split_between_processes(func):
    """Decorate `func(files)` so that each process computes a part of its rows, and all return the whole result.

    `func` must return a tensor or list with a row for each file.
    """

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
