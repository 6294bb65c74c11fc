"""Open an export without handing its author the machine: a pickle is a program, and this one may call little.

`torch.load(file, pickle_module=bears.unpickler)` opens what train.py writes. A pickle may import the names listed
here and network layers, may call only what it imported, and may change only objects that it made itself. What can go
wrong all the same: a file can still ask for huge tensors or endless layers, and nobody has proved that fastai, plum
and timm do nothing dangerous when their own objects arrive with unusual contents. A stranger's file stays a risk.
"""

import pickle
import types
from typing import ClassVar

from torch.nn import Module

ALLOWED = {
    "PIL.Image": {"Image", "Resampling"},
    "_functools": {"reduce"},
    "_operator": {"or_"},
    "builtins": {"bytes", "float", "getattr", "int", "print", "str", "tuple"},
    "collections": {"OrderedDict"},
    "fastai.callback.core": {"TrainEvalCallback"},
    "fastai.callback.progress": {"ProgressCallback"},
    "fastai.data.core": {"DataLoaders", "Datasets", "TfmdDL", "TfmdLists"},
    "fastai.data.load": {"_FakeLoader", "_wif"},
    "fastai.data.transforms": {
        *("Categorize", "CategoryMap", "IntToFloatTensor", "Normalize", "ToTensor", "parent_label"),
    },
    "fastai.imports": {"noop"},
    "fastai.learner": {"AvgLoss", "AvgMetric", "AvgSmoothLoss", "CastToTensor", "Learner", "Recorder"},
    "fastai.losses": {"CrossEntropyLossFlat"},
    "fastai.metrics": {"error_rate"},
    "fastai.optimizer": {"Adam"},
    "fastai.torch_core": {"TensorBase", "TensorCategory", "TensorImage", "trainable_params"},
    "fastai.vision.augment": {"Resize"},
    "fastai.vision.core": {"PILImage"},
    "fastcore.basics": {"fastuple"},
    "fastcore.foundation": {"L"},
    "fasttransform.transform": {"Pipeline", "Transform"},
    "inspect": {"Parameter", "Signature", "_ParameterKind", "_empty"},
    "numpy": {"ndarray"},
    "pathlib": {"Path"},
    "plum._function": {"Function"},
    "plum._method": {"Method", "MethodList"},
    "plum._resolver": {"Resolver"},
    "plum._signature": {"Signature"},
    "plum._util": {"Missing"},
    "random": {"Random"},
    "torch": {"Size", "Tensor", "device"},
    "torch._tensor": {"_rebuild_from_type_v2"},
    "torch._utils": {"_rebuild_parameter", "_rebuild_tensor_v2"},
    "torch.nn.modules.module": {"Module.float"},
    "typing": {"Any"},
}
LAYERS = ("torch.nn.modules.", "timm.layers.", "timm.models.", "torchvision.models.", "torchvision.ops.")
FASTAI_LAYERS = {"fastai.layers", "fastai.vision.learner"}
METHODS = {"create", "dataloaders"}  # what fastai's bound methods are pickled as: getattr(PILImage, "create")


class Refused(pickle.UnpicklingError):
    """The pickle asked for something that no export of train.py needs."""


def only_methods(obj, name):
    """`getattr`, for the two methods that exports need."""
    if name not in METHODS:
        raise Refused(f"getattr(…, {name!r})")
    return getattr(obj, name)


# The C unpickler calls and changes whatever the pickle says; only the one in Python lets us look first.
class Unpickler(pickle._Unpickler):
    """Imports nothing but `ALLOWED` and layers, calls nothing but imports, changes nothing but new objects."""

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def find_class(self, module, name):
        if (module, name) == ("builtins", "getattr"):
            return only_methods
        if name in ALLOWED.get(module, ()):
            return super().find_class(module, name)
        if (module.startswith(LAYERS) or module in FASTAI_LAYERS) and "." not in name:
            found = super().find_class(module, name)
            if is_layer(found):
                return found
        raise Refused(f"{module}.{name}")

    def load_reduce(self):
        function = self.stack[-2]
        if not isinstance(function, (type, types.FunctionType, types.BuiltinFunctionType)):
            raise Refused(f"a call of {type(function).__name__}")
        super().load_reduce()

    def load_build(self):
        target = self.stack[-2]
        if isinstance(target, (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)):
            raise Refused(f"a change of {target.__name__}")
        super().load_build()

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build


def is_layer(found):
    return isinstance(found, type) and issubclass(found, Module)


def load(*args, **kwargs):
    """torch's formats from before 2020 are not opened at all."""
    raise Refused("an old format of torch.save")


loads = load
