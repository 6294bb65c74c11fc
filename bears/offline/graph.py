"""The network of an export as an ONNX graph, which answers for every square of a photo at once.

The graph also has what bears/model/squares.py and bears/model/ood.py compute with torch: pooling, head, likeness to
the training photos. A browser only chooses among the squares.
"""

from copy import deepcopy
from fnmatch import fnmatch

import numpy as np
import onnx
import torch
from bears.errors import OfflineError
from bears.model import ood
from bears.model.optimize import replace, same_padding
from bears.model.squares import cells, find_grid, has_linear_head, plain_size
from fastai.data.transforms import IntToFloatTensor, Normalize
from fastai.learner import Learner
from onnxscript.optimizer import fold_constants_ir, remove_unused_nodes
from torch import nn

# Exporters have silent bugs: only these, of each of which tests/test_offline.py compares one with torch.
FAMILIES = ["tf_efficientnet_lite*", "resnet*", "mobilenetv3*"]


class AllSquares(nn.Module):
    """Turn one picture, uint8 (1, height, width, 3), into the probabilities of the classes in each of its squares.

    That is `probs` (squares, classes), row by row, one cell apart; their `score`, (squares,), and the activation maps
    of all classes, `cams` (classes, h, w), where the Learner has them.
    """

    def __init__(self, learn, side):
        super().__init__()
        learn = deepcopy(learn)
        self.body, self.head, self.side = learn.model[0], learn.model[1], side
        self.tfms, self.activation = learn.dls.valid.after_batch.fs, learn.loss_func.activation
        self.linear, self.fitted = has_linear_head(learn), getattr(learn, "ood", None)
        replace(self.body, same_padding)  # whose padding does not depend on the size of a picture

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


def find_shape(learn: Learner) -> dict:
    """Return how a browser looks through a Learner: `size` of its square in pixels, `side` of it in cells of the map.

    `whole` says whether it sees whole photos, as `LearnerSquares` does. Raises `OfflineError` for what it cannot do.
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
    """Return the graph of a Learner as a file's bytes, and the names of its outputs, some of `AllSquares`'."""
    network, cell = AllSquares(learn, shape["side"]).eval(), shape["size"] // shape["side"]
    more = (1, 3) if shape["whole"] else (0, 0)  # cells, since torch takes 0 and 1 for constants
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
        optimize=False,  # which would fold batch norm into weights that half precision no longer holds
        verbose=False,
    )
    fold_constants_ir(program.model)
    remove_unused_nodes(program.model)
    return in_half(program.model_proto).SerializeToString(), names


def in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph that keeps in half precision whatever loses nothing by it, as all weights of an export do."""
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
        node.ClearField("metadata_props")  # where in Python's files each was
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return model
