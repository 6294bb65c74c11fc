"""Make a network faster on a CPU by running its body in ONNX Runtime. The script benchmarks/serve.py measures the gain.

Training also computes features with ONNX Runtime.
"""

import ctypes
import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from bears.model.runtime import THREADS, open_network
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

OPSET, IR_VERSION = 20, 10  # versions of ONNX's operators and of its format
OPERATORS = {operator.add: "Add", operator.iadd: "Add", operator.mul: "Mul"}
# Options of glibc's mallopt by their codes in malloc.h: M_MMAP_THRESHOLD and M_TRIM_THRESHOLD (bytes), M_ARENA_MAX
MALLOPT = {-3: 2**30, -1: 2**30, -8: 1}


class NotConvertedError(Exception):
    """Report a network that `as_onnx` can't convert, for example because of an unknown layer."""


def speed_up(model: nn.Sequential, threads: int = THREADS) -> None:
    """Make a model (body and head, in eval mode) faster, without changing its answers. Change the model in place."""
    fuse(model[0])
    try:
        model[0] = FastBody(model[0], threads)
    except NotConvertedError:
        model.to(memory_format=torch.channels_last)  # torch's fastest order of the pixels
    keep_memory()


class FastBody(nn.Module):
    """Stand in for a convolutional body: turn pictures into feature maps.

    Pictures have the shape (photos, 3, h, w), and feature maps (photos, n, rows, columns). Raises `NotConvertedError`.
    """

    def __init__(self, body: nn.Module, threads: int) -> None:
        super().__init__()
        self.session = open_network(as_onnx(body).SerializeToString(), threads)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        [fmaps] = self.session.run(None, {"pictures": x.numpy()})
        return torch.from_numpy(fmaps)


def as_onnx(body: nn.Module) -> ModelProto:
    """Convert a body to an ONNX model with the input `pictures`, of any size, and the output `fmaps`.

    This function replaces torch's exporter, which takes ten seconds at each start. Raises `NotConvertedError`.
    """
    try:
        start, *steps = Tracer().trace(body).nodes
    except Exception as e:  # Python code that depends on the picture can't be traced
        raise NotConvertedError(type(e).__name__) from None
    weights: list[TensorProto] = []
    nodes = [helper.make_node("Identity", ["pictures"], [start.name])]
    nodes += [node for step in steps for node in convert(step, body, weights)]
    return as_model(nodes, weights, "pictures", "fmaps")


def as_model(
    nodes: list[NodeProto], weights: list[TensorProto], start: str, end: str, kind: int = TensorProto.FLOAT
) -> ModelProto:
    """Return the ONNX model with these nodes, the input `start` of the type `kind`, and the output `end`."""
    first = helper.make_tensor_value_info(start, kind, 4 * [None])
    last = helper.make_tensor_value_info(end, TensorProto.FLOAT, 4 * [None])
    graph = helper.make_graph(nodes, start, [first], [last], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


class Tracer(fx.Tracer):
    """Trace a network into steps. Each layer of torch, and each convolution and batch norm of timm, is one step."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (Conv2dSame, BatchNormAct2d)) or super().is_leaf_module(m, module_qualified_name)


def convert(step: fx.Node, body: nn.Module, weights: list[TensorProto]) -> list[NodeProto]:
    """Convert a traced step to ONNX nodes, and add the step's weights to `weights`. Raises `NotConvertedError`."""
    inputs = [arg.name for arg in step.args if isinstance(arg, fx.Node)]
    if step.op == "output":
        return [helper.make_node("Identity", inputs, ["fmaps"])]
    if step.target in OPERATORS and len(inputs) == 2:
        return [helper.make_node(OPERATORS[step.target], inputs, [step.name])]
    if step.target == "mean" and step.args[1:] == ((2, 3),) and step.kwargs == {"keepdim": True}:
        return [helper.make_node("GlobalAveragePool", inputs, [step.name])]
    if step.op != "call_module":
        raise NotConvertedError(str(step.target))
    layer, nodes = body.get_submodule(str(step.target)), []
    parts = {step.name: layer}
    if isinstance(layer, BatchNormAct2d):
        parts = {f"{step.name}.norm": layer, step.name: layer.act}
    for name, part in parts.items():
        kind, tensors, attributes = describe(part)
        names = [f"{name}.{i}" for i in range(len(tensors))]
        weights += [numpy_helper.from_array(t.detach().numpy(), name) for t, name in zip(tensors, names)]
        nodes.append(helper.make_node(kind, [*inputs, *names], [name], **attributes))
        inputs = [name]
    return nodes


def describe(layer: nn.Module) -> tuple[str, list[torch.Tensor], dict]:
    """Return a layer's operator in ONNX, its weights and its options. Raises `NotConvertedError`."""
    match layer:
        case nn.Conv2d(padding_mode="zeros"):
            tensors = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
            options = {"strides": layer.stride, "dilations": layer.dilation, "group": layer.groups}
            return "Conv", tensors, options | padding(layer)
        case nn.BatchNorm2d(track_running_stats=True, affine=True):
            tensors = [layer.weight, layer.bias, layer.running_mean, layer.running_var]
            return "BatchNormalization", tensors, {"epsilon": layer.eps}
        case nn.MaxPool2d(dilation=1, ceil_mode=False, return_indices=False):
            size, stride, pads = map(pair, (layer.kernel_size, layer.stride, layer.padding))
            return "MaxPool", [], {"kernel_shape": size, "strides": stride, "pads": pads * 2}
        case nn.AvgPool2d(divisor_override=None):
            size, stride, pads = map(pair, (layer.kernel_size, layer.stride, layer.padding))
            options = {"ceil_mode": layer.ceil_mode, "count_include_pad": layer.count_include_pad}
            return "AveragePool", [], {"kernel_shape": size, "strides": stride, "pads": pads * 2, **options}
        case nn.Hardswish():
            return "HardSwish", [], {}
        case nn.Hardsigmoid():
            return "HardSigmoid", [], {"alpha": 1 / 6}
        case nn.ReLU6():
            return "Clip", [torch.tensor(0.0), torch.tensor(6.0)], {}
        case nn.ReLU():
            return "Relu", [], {}
        case nn.Identity() | nn.Dropout():
            return "Identity", [], {}
    raise NotConvertedError(type(layer).__name__)


def padding(conv: nn.Conv2d) -> dict:
    if isinstance(conv, Conv2dSame):  # pads like TensorFlow
        return {"auto_pad": "SAME_UPPER"}
    if isinstance(conv.padding, str):
        raise NotConvertedError(conv.padding)
    return {"pads": conv.padding * 2}


def pair(side: int | tuple[int, int]) -> tuple[int, int]:
    return side if isinstance(side, tuple) else (side, side)


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


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread during the `with` block. More threads don't help with matrices as small as a head's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keep_memory() -> None:
    """Let glibc keep freed memory for the next batch, since allocating memory takes 10% of the time."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc and hasattr(libc, "mallopt"):
        libc.malloc_trim(0)  # return the memory that loading no longer needs
        for option, value in MALLOPT.items():
            libc.mallopt(option, value)
