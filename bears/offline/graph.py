"""Convert an export's network to an ONNX graph that classifies all squares of a photo at once.

The graph contains the body, the pooling, the head, and the similarity to the training photos. In the app, torch
computes everything after the body (bears/model/squares.py, bears/model/ood.py). The browser only has to choose the
best square.
"""

from copy import deepcopy
from fnmatch import fnmatch

import numpy as np
import onnx
import torch
from bears.errors import OfflineError
from bears.model import ood
from bears.model.squares import cells, find_grid, has_linear_head, plain_size
from fastai.data.transforms import IntToFloatTensor, Normalize
from fastai.learner import Learner
from onnxscript.optimizer import fold_constants_ir, remove_unused_nodes
from timm.layers import Conv2dSame
from torch import nn

# An ONNX exporter can make errors without a message, so only these backbones are allowed. tests/test_offline.py
# compares one of each family with torch.
FAMILIES = ["tf_efficientnet_lite*", "resnet*", "mobilenetv3*"]


class AllSquares(nn.Module):
    """Classify each square of a picture, uint8 (1, height, width, 3).

    Returns a dict. The key `probs` has the probabilities (squares, classes). Squares are sorted row by row, and start
    one cell of the feature map apart. If the Learner can reject photos, the key `score` has the scores (squares,). If
    the Learner's head is linear, the key `cams` has the activation maps of all classes (classes, h, w).
    """

    def __init__(self, learn, side):
        super().__init__()
        learn = deepcopy(learn)
        self.body, self.head, self.side = learn.model[0], learn.model[1], side
        self.tfms, self.activation = learn.dls.valid.after_batch.fs, learn.loss_func.activation
        self.linear, self.fitted = has_linear_head(learn), getattr(learn, "ood", None)
        use_same_padding(self.body)  # with timm's layers, the padding would depend on the picture's size

    def forward(self, photo):
        x = photo.permute(0, 3, 1, 2).float()
        for tfm in self.tfms:
            x = x / tfm.div if isinstance(tfm, IntToFloatTensor) else (x - tfm.mean) / tfm.std
        fmaps, found = self.body(x), {}
        if self.linear:
            features = nn.functional.avg_pool2d(fmaps, self.side, 1)[0].flatten(1).T
            found["cams"] = (self.head[-1].weight @ fmaps[0].flatten(1)).unflatten(1, fmaps.shape[-2:])
        else:
            features = self.head[:-1](fmaps)
        found["probs"] = self.activation(self.head[-1](features))
        if self.fitted is not None:
            found["score"] = ood.score(self.fitted, features)
        return found


def use_same_padding(module: nn.Module) -> None:
    """Replace timm's `Conv2dSame` layers by `SameConv` where that is possible."""
    for name, child in list(module.named_children()):
        if isinstance(child, Conv2dSame):
            setattr(module, name, same_padding(child))
        else:
            use_same_padding(child)


class SameConv(nn.Conv2d):
    """Convolve with TensorFlow's "same" padding, for odd kernels and stride 2.

    TensorFlow pads a side of even length with one more pixel at the end than at the start. This layer pads both ends
    equally, and its kernel has an additional first row and column of zeros, which gives the same result. TensorFlow
    pads both ends of an odd side equally. For an odd side, this layer adds one pixel at the start, which copies all
    pixels.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.pad(x))

    @staticmethod
    def pad(x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        return nn.functional.pad(x, (width % 2, 0, height % 2, 0)) if height % 2 or width % 2 else x


def same_padding(conv: Conv2dSame) -> nn.Conv2d:
    size = conv.kernel_size[0]
    if (conv.kernel_size, conv.stride) != ((size, size), (2, 2)) or size % 2 == 0:
        return conv
    same = SameConv(conv.in_channels, conv.out_channels, size + 1, 2, size // 2, groups=conv.groups)
    same.weight = nn.Parameter(nn.functional.pad(conv.weight, (1, 0, 1, 0)))
    same.bias = conv.bias
    return same.eval()


def find_shape(learn: Learner) -> dict:
    """Return a dict that describes a Learner's squares.

    The key `size` has the width of a square in pixels, and `side` in cells of the feature map. The key `whole` says
    whether the Learner classifies all squares of a photo, or only the middle one. Raises `OfflineError` if the offline
    version doesn't support the Learner.
    """
    arch = getattr(learn, "arch", None)
    name = getattr(arch, "__name__", arch)
    if not any(fnmatch(str(name), family) for family in FAMILIES):
        raise OfflineError(
            f"The offline version supports the backbones {', '.join(FAMILIES)}, not {name}."
            " Train again with --arch set to one of them."
        )
    kinds = {type(tfm) for tfm in learn.dls.valid.after_batch.fs}
    if not (size := plain_size(learn)) or not kinds <= {IntToFloatTensor, Normalize}:
        raise OfflineError(
            "The offline version can't reproduce this export's image transforms. Export a model with train.py instead."
        )
    whole = getattr(learn, "ood", None) is not None and find_grid(learn) is not None
    return {"whole": whole, "size": size, "side": cells(learn, size)}


def export_graph(learn: Learner, shape: dict) -> tuple[bytes, list[str]]:
    """Return a Learner's ONNX graph as bytes, and the names of its outputs (see `AllSquares`)."""
    network, cell = AllSquares(learn, shape["side"]).eval(), shape["size"] // shape["side"]
    more = (1, 3) if shape["whole"] else (0, 0)  # extra cells; torch would take a size of 0 or 1 as a constant
    height, width = (shape["size"] + cell * n for n in more)
    photo = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
    names = list(network(photo))
    free = {i: cell * torch.export.Dim(name, min=shape["side"]) for i, name in ((1, "rows"), (2, "columns"))}
    program = torch.onnx.export(
        network,
        (photo,),
        input_names=["photo"],
        output_names=names,
        dynamic_shapes=(free if shape["whole"] else None,),
        dynamo=True,
        external_data=False,
        optimize=False,  # it folds batch norm into the weights, and the new weights don't fit into half precision
        verbose=False,
    )
    fold_constants_ir(program.model)
    remove_unused_nodes(program.model)
    return in_half(program.model_proto).SerializeToString(), names


def in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its weights in half precision, except weights that would lose digits.

    The weights of an export lose no digits, since they already have half precision.
    """
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.dtype == np.float32 and values.size > 1 and np.array_equal(half.astype(np.float32), values):
            name = tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    for node in nodes:
        node.ClearField("metadata_props")  # has paths of Python files on this machine
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return model
