"""Make a network faster on a CPU. benchmarks/serve.py shows what each step gains.

Training computes its features with the same steps.
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

# Weights of a packed layer, at most. The order that oneDNN needs in larger ones depends on the size of the picture and
# on the number of threads, and a call that finds another order takes 10 ms to change it.
MAX_PACKED = 100_000
# Options of glibc's mallopt by their codes in malloc.h: M_MMAP_THRESHOLD and M_TRIM_THRESHOLD (bytes), M_ARENA_MAX
MALLOPT = {-3: 2**30, -1: 2**30, -8: 1}


def speed_up(model: nn.Module) -> None:
    """Change a model in eval mode, in place, so that it gives the same answers faster."""
    fuse(model)
    replace(model, same_padding)
    if torch.backends.mkldnn.is_available():
        replace(model, packed)
        join_relu6(model)
    model.to(memory_format=torch.channels_last)
    keep_memory()


def fuse(module: nn.Module) -> None:
    """Merge each of timm's batch norms into the convolution before it, to save passes over the pixels."""
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
    """Replace each convolution by `better(convolution)`."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            setattr(module, name, better(child))
        else:
            replace(child, better)


class SameConv(nn.Conv2d):
    """Convolve with TensorFlow's "same" padding (odd kernels, stride 2), without copying the pixels where possible.

    For a side of even length, TensorFlow adds one more pixel at the end than at the start. The kernel here has a first
    row and column of zeros, so that the same padding on both sides gives the same result. For a side of odd length,
    TensorFlow pads both ends equally; only then a copy with one more pixel at the start is made.
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
    """Convolve with oneDNN, including a ReLU6 that follows. The weights are packed once, not at each call."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.pad = conv.pad if isinstance(conv, SameConv) else nn.Identity()
        self.how = list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups
        size = [1, conv.in_channels, 64, 64]  # oneDNN packs the weights for this input; others work, too
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(conv.weight.detach(), *self.how, size)
        self.bias = conv.bias
        self.after: tuple[str, list[float]] = ("none", [])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pad(x)
        return torch.ops.mkldnn._convolution_pointwise(x, self.weight, self.bias, *self.how, *self.after, "")


def packed(conv: nn.Conv2d) -> nn.Module:
    if conv.weight.numel() > MAX_PACKED:
        return conv
    plain = type(conv) in (nn.Conv2d, SameConv) and conv.padding_mode == "zeros" and isinstance(conv.padding, tuple)
    return PackedConv(conv) if plain else conv


def join_relu6(module: nn.Module) -> None:
    """Move each ReLU6 that follows a `PackedConv` into it."""
    previous: nn.Module | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.ReLU6) and isinstance(previous, PackedConv):
            previous.after = ("hardtanh", [0.0, 6.0])
            setattr(module, name, nn.Identity())
        join_relu6(child)
        previous = child


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread of torch: for matrices as small as a head's, more threads only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keep_memory() -> None:
    """Let glibc keep freed memory for the next batch: getting it from the kernel again takes a third of the time."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc and hasattr(libc, "mallopt"):
        gc.collect()
        libc.malloc_trim(0)  # give back once what loading no longer needs
        for option, value in MALLOPT.items():
            libc.mallopt(option, value)
