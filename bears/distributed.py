"""Train one model in several processes (`accelerate launch train.py …`) with fastai's distributed training.

Without `accelerate launch` there is only one process, so this module has no effect and doesn't import accelerate.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any

import numpy as np
import torch
from bears.fastai_internals import broadcast_with
from fastai.torch_core import default_device, defaults

RANK, WORLD_SIZE = 0, 1  # the number of this process, and the number of processes
GRACE_PERIOD = 5  # seconds that a failed process waits, so that process 0 can print the error


@contextmanager
def processes() -> Iterator[None]:
    """Connect the processes of `accelerate launch` during the `with` block. Only process 0 prints.

    If a process other than 0 fails, it waits `GRACE_PERIOD` seconds before it prints the error. Usually process 0 fails
    with the same error and prints it first. `accelerate launch` then ends the waiting processes, so the error is
    printed once.
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
    """Connect to the other processes of `accelerate launch`, with NCCL on GPUs and gloo on CPUs."""
    global RANK, WORLD_SIZE
    if not {"WORLD_SIZE", "ACCELERATE_MIXED_PRECISION"} & os.environ.keys():
        return
    from accelerate import Accelerator, InitProcessGroupKwargs

    patience = InitProcessGroupKwargs(timeout=timedelta(days=1))  # process 0 may check many photos first
    state = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no", kwargs_handlers=[patience]).state
    RANK, WORLD_SIZE = state.process_index, state.num_processes
    if WORLD_SIZE == 1:
        if "MASTER_ADDR" in os.environ:
            print("· only one process: `accelerate launch --cpu` needs mpirun to start more; use --multi_gpu instead")
        return
    default_device(state.device.type == "cuda")
    if state.device.type == "cpu":
        defaults.cpus = 0  # load photos in this process: a fork can hang forever while gloo's threads run
    broadcast_with(broadcast)
    # While these are set, fastai gathers each Learner's predictions from all processes. `training` sets them again.
    for name in ("RANK", "WORLD_SIZE"):
        os.environ.pop(name, None)
    if RANK:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (until the process ends)


def broadcast(self, idxs, rank):
    """Return the order of photos that process `rank` chose. Replaces a method of fastai that needs GPUs."""
    box = [idxs]
    torch.distributed.broadcast_object_list(box, rank)
    return box[0]


@contextmanager
def training(learn):
    """Train a Learner in all processes together during the `with` block, with fastai's `learn.distrib_ctx()`."""
    if WORLD_SIZE == 1:
        yield
        return
    from accelerate.utils import patch_environment

    # Each process has its own batch norm: synchronised layers need GPUs, even after they are exported.
    with patch_environment(RANK=RANK, WORLD_SIZE=WORLD_SIZE), learn.distrib_ctx(sync_bn=False):
        yield


def from_rank0(func: Callable, *args) -> Any:
    """Call `func(*args)` in process 0 only, and return its result in all processes."""
    result = [None if RANK else func(*args)]
    if WORLD_SIZE > 1:
        torch.distributed.broadcast_object_list(result)
    return result[0]


def rank0_first(func):
    """Decorate `func` so that process 0 calls it before the other processes, like fastai's `rank0_first`."""

    @wraps(func)
    def one_after_the_other(*args, **kwargs):
        if RANK:
            wait_for_all()
        try:
            return func(*args, **kwargs)
        finally:
            if not RANK:
                wait_for_all()

    return one_after_the_other


def part_of(items: Sequence) -> Sequence:
    """Return the part of `items` that this process works on. Each process gets a different part."""
    start, stop = np.linspace(0, len(items), WORLD_SIZE + 1).astype(int)[RANK : RANK + 2]
    return items[start:stop]


def wait_for_all() -> None:
    """Wait until all processes have called this function."""
    if WORLD_SIZE > 1:
        torch.distributed.barrier()


def split_between_processes(func):
    """Decorate `func(files)`: each process calls it with some of the files, and all processes get the full result.

    `func` must return a tensor or a list with one row per file.
    """

    @wraps(func)
    def compute_together(files, *args, **kwargs):
        if WORLD_SIZE == 1:
            return func(files, *args, **kwargs)
        parts, mine = [None] * WORLD_SIZE, part_of(files)
        part = func(mine, *args, **kwargs) if len(mine) else None
        torch.distributed.all_gather_object(parts, part)
        parts = [part for part in parts if part is not None]
        return torch.cat(parts) if torch.is_tensor(parts[0]) else [row for part in parts for row in part]

    return compute_together
