"""Make a network answer faster on a CPU; each step is here because benchmarks/serve.py says that it helps.

Training computes its features the same way.
"""

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

# M_MMAP_THRESHOLD and M_TRIM_THRESHOLD in bytes, M_ARENA_MAX in number, by their codes in glibc's malloc.h
MALLOPT = {-3: 2**30, -1: 2**30, -8: 2}


def speed_up(model: nn.Module) -> None:
    """Change a model in eval mode, in place, so that it gives the same answers sooner."""
    fuse(model)
    replace(model, same_padding)
    if torch.backends.mkldnn.is_available():
        replace(model, packed)
        join_relu6(model)
    model.to(memory_format=torch.channels_last)
    keep_memory()


def fuse(module: nn.Module) -> None:
    """Fold every batch norm of timm's into the convolution before it: fewer passes over the pixels."""
    before: str | None = None
    for name, child in list(module.named_children()):
        previous = before and getattr(module, before)
        if before and isinstance(child, BatchNormAct2d) and isinstance(previous, nn.Conv2d):
            setattr(module, before, fuse_conv_bn_eval(previous, child))
            setattr(module, name, child.act)
        else:
            fuse(child)
        before = name


def replace(module: nn.Module, better: Callable) -> None:
    """Put `better(layer)` in the place of every convolution that it returns another one for."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            setattr(module, name, better(child))
        else:
            replace(child, better)


class SameConv(nn.Conv2d):
    """TensorFlow's "same" padding of odd kernels at stride 2 without a copy of every pixel, on sides of even length.

    There it adds one more pixel at the end than at the start. A kernel that is longer by a first row and column of
    zeros needs as many on both. On sides of odd length it adds as many on both, and the zeros get a pixel of their own.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.pad(x))

    @staticmethod
    def pad(x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        return nn.functional.pad(x, (width % 2, 0, height % 2, 0)) if height % 2 or width % 2 else x


def same_padding(conv: nn.Conv2d) -> nn.Conv2d:
    size = conv.kernel_size[0]
    if not isinstance(conv, Conv2dSame) or (conv.kernel_size, conv.stride) != ((size, size), (2, 2)) or size % 2 == 0:
        return conv
    same = SameConv(conv.in_channels, conv.out_channels, size + 1, 2, size // 2, groups=conv.groups)
    same.weight = nn.Parameter(nn.functional.pad(conv.weight, (1, 0, 1, 0)))
    same.bias = conv.bias
    return same.eval()


class PackedConv(nn.Module):
    """A convolution by oneDNN, with the ReLU6 after it if there is one, whose weights are packed once and for all."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.pad = conv.pad if isinstance(conv, SameConv) else nn.Identity()
        self.how = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        size = [1, conv.in_channels, 64, 64]  # for which oneDNN chooses an order; others work as well
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(conv.weight.detach(), *self.how, size)
        self.bias = conv.bias
        self.after: tuple[str, list[float]] = ("none", [])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pad(x)
        return torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.how, *self.after, "")


def packed(conv: nn.Conv2d) -> nn.Module:
    plain = type(conv) in (nn.Conv2d, SameConv) and conv.padding_mode == "zeros" and isinstance(conv.padding, tuple)
    return PackedConv(conv) if plain else conv


def join_relu6(module: nn.Module) -> None:
    """Let every `PackedConv` do the ReLU6 after it."""
    previous: nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.ReLU6) and isinstance(previous, PackedConv):
            previous.after = ("hardtanh", [0.0, 6.0])
            setattr(module, name, nn.Identity())
        join_relu6(child)
        previous = child


@contextmanager
def one_thread() -> Iterator[None]:
    """On matrices as small as a head's, more threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keep_memory() -> None:
    """Let glibc keep freed memory for the next batch: the kernel takes a third of the time to hand it out again."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc and hasattr(libc, "mallopt"):
        gc.collect()
        libc.malloc_trim(0)  # what loading has left behind goes back once
        for option, value in MALLOPT.items():
            libc.mallopt(option, value)
