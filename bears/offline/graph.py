"""Convert an export's network to an ONNX graph that classifies all squares of a photo at once.

The graph contains the body, the pooling, the head, and the similarity to the training photos. In the app, torch
computes everything after the body (bears/model/squares.py, bears/model/ood.py). The browser only has to choose the
best square.
"""

from fnmatch import fnmatch

import numpy as np
import onnx
import torch
from bears.errors import OfflineError
from bears.model import ood
from bears.model.optimize import OPSET, NotConvertedError, as_model, as_onnx
from bears.model.squares import cells, find_grid, has_linear_head, plain_size
from fastai.data.transforms import IntToFloatTensor, Normalize
from fastai.learner import Learner
from onnx.compose import add_prefix, merge_models
from onnxscript.optimizer import fold_constants_ir, remove_unused_nodes
from torch import nn

# A conversion can go wrong without a message, so only these backbones are allowed. tests/test_offline.py compares one
# of each family with torch.
FAMILIES = ["tf_efficientnet_lite*", "resnet*", "mobilenetv3*"]


class AllSquares(nn.Module):
    """Classify each square of a picture. The input is the picture's feature maps, of shape (1, n, rows, columns).

    Returns a dict of tensors. `probs`, of shape (squares, classes), has the probabilities. Squares are sorted row by
    row, and start one cell of the feature map apart. If the Learner can reject photos, there is also `score`, of shape
    (squares,). If the head is linear, there is also `cams`, of shape (classes, rows, columns), with each class's
    activation map.
    """

    def __init__(self, learn: Learner, side: int) -> None:
        super().__init__()
        self.head, self.side, self.activation = learn.model[1], side, learn.loss_func.activation
        self.linear, self.fitted = has_linear_head(learn), getattr(learn, "ood", None)

    def forward(self, fmaps: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {}
        if self.linear:
            features = nn.functional.avg_pool2d(fmaps, self.side, 1)[0].flatten(1).T
            found["cams"] = (self.head[-1].weight @ fmaps[0].flatten(1)).unflatten(1, fmaps.shape[-2:])
        else:
            features = self.head[:-1](fmaps)
        found["probs"] = self.activation(self.head[-1](features))
        if self.fitted is not None:
            found["score"] = ood.score(self.fitted, features)
        return found


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
    """Return a Learner's ONNX graph as bytes, and the names of its outputs (see `AllSquares`).

    The graph's input `photo` is a picture: uint8, of shape (1, height, width, 3). Torch's exporter only converts the
    small part after the body, since it would take half a minute for the body. Raises `OfflineError` if the body has
    layers that can't be converted.
    """
    try:
        body = as_onnx(learn.model[0])
    except NotConvertedError as e:
        raise OfflineError(
            f"The offline version can't convert {e}, a part of {learn.arch}. Train again with another --arch."
        ) from None
    squares, names = export_squares(learn, shape)
    squares = add_prefix(squares, "squares/", rename_inputs=False, rename_outputs=False)
    body = merge_models(prepare(learn), body, [("pictures", "pictures")])
    return in_half(merge_models(body, squares, [("fmaps", "fmaps")])).SerializeToString(), names


def prepare(learn: Learner) -> onnx.ModelProto:
    """Return an ONNX graph of a Learner's transforms.

    Its input is `photo`, as in `export_graph`. Its output, the body's input, is `pictures`: float32, of shape (1, 3,
    height, width).
    """
    steps = []
    for tfm in learn.dls.valid.after_batch.fs:
        steps += [("Div", tfm.div)] if isinstance(tfm, IntToFloatTensor) else [("Sub", tfm.mean), ("Div", tfm.std)]
    nodes, weights, make = [], [], onnx.helper.make_node
    for i, (kind, value) in enumerate(steps):
        weights.append(onnx.numpy_helper.from_array(np.float32(value), f"value{i}"))
        nodes.append(make(kind, [f"step{i}", f"value{i}"], [f"step{i + 1}"]))
    first = [make("Transpose", ["photo"], ["planes"], perm=(0, 3, 1, 2))]
    first += [make("Cast", ["planes"], ["step0"], to=onnx.TensorProto.FLOAT)]
    last = [make("Identity", [f"step{len(steps)}"], ["pictures"])]
    return as_model(first + nodes + last, weights, "photo", "pictures", onnx.TensorProto.UINT8)


def export_squares(learn: Learner, shape: dict) -> tuple[onnx.ModelProto, list[str]]:
    """Return the graph of `AllSquares`, and the names of its outputs."""
    network, side = AllSquares(learn, shape["side"]).eval(), shape["side"]
    more = (1, 3) if shape["whole"] else (0, 0)  # cells beyond one square; torch treats a size of 0 or 1 as a constant
    height, width = (shape["size"] // side * (side + n) for n in more)
    with torch.no_grad():
        fmaps = learn.model[0](torch.rand(1, 3, height, width))
    names = list(network(fmaps))
    free = {i: torch.export.Dim(name, min=side) for i, name in ((2, "rows"), (3, "columns"))}
    program = torch.onnx.export(
        network,
        (fmaps,),
        input_names=["fmaps"],
        output_names=names,
        opset_version=OPSET,
        dynamic_shapes=(free if shape["whole"] else None,),
        dynamo=True,
        external_data=False,
        optimize=False,
        verbose=False,
    )
    fold_constants_ir(program.model)
    remove_unused_nodes(program.model)
    return program.model_proto, names


def in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with its weights in half precision, except weights that would lose digits.

    Weights that come unchanged from the export lose no digits, since an export stores half precision.
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
