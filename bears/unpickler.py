"""Open an export without handing its author the machine: a pickle is a program, and this one may call little.

`torch.load(file, pickle_module=bears.unpickler)` opens what train.py writes. A pickle may import the names listed
here and network layers, and call only those; it may change only objects that it made itself, and leaves out what
plum and beartype would evaluate. That stops every attack in tests/test_unpickler.py, one of them found only after
the others were stopped. It is no proof: admitted classes of fastai, plum and timm still run their own code on
whatever contents a file gives them, and a file can ask for huge tensors. A stranger's file stays a risk.
"""

import functools
import operator
import pickle
import types
import typing
from enum import Enum
from typing import ClassVar

from torch.nn import Module

ALLOWED = {
    "PIL.Image": {"Image", "Resampling"},
    "_functools": {"reduce"},
    "_operator": {"getitem", "or_"},
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
    "fastai.vision.augment": {"RandomResizedCrop", "Resize"},
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
    "typing": {"Any", "Union"},
}
LAYERS = ("torch.nn.modules.", "timm.layers.", "timm.models.", "torchvision.models.", "torchvision.ops.")
FASTAI_LAYERS = {"fastai.layers", "fastai.vision.learner"}
IMPORTED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
EVALUATED = {"__annotations__", "__wrapped__", "__call__"}
METHODS = {"create", "dataloaders"}  # what fastai's bound methods are pickled as: getattr(PILImage, "create")


class Refused(pickle.UnpicklingError):
    """The pickle asked for something that no export of train.py needs."""


def only_methods(obj, name):
    """`getattr`, for the two methods that exports need."""
    if name not in METHODS:
        raise Refused(f"getattr(…, {name!r})")
    return getattr(obj, name)


def only_unions(function, kinds):
    """`functools.reduce`, for what exports need it for: putting the union type `a | b | c` together again."""
    if function is not operator.or_:
        raise Refused("functools.reduce with a function of its own")
    return functools.reduce(function, only_types(kinds))


def only_union(form, kinds):
    """`operator.getitem`, for the same in exports of Python 3.14: `typing.Union[a, b, c]`."""
    if form is not typing.Union:
        raise Refused("operator.getitem of something else than typing.Union")
    return form[only_types(kinds)]


def only_types(kinds):
    """The members of a union, none of them a string, which is code that waits to be evaluated."""
    kinds = tuple(kinds)
    if not all(isinstance(kind, type) for kind in kinds):
        raise Refused("a union of something else than types")
    return kinds


GUARDED = {
    ("_functools", "reduce"): only_unions,
    ("_operator", "getitem"): only_union,
    ("builtins", "getattr"): only_methods,
}


def harmless(state):
    """The state of an object without what plum and beartype may evaluate as Python later on."""
    if isinstance(state, tuple):
        return tuple(map(harmless, state))
    if not isinstance(state, dict):
        return state
    empty = {"_pending": []} if "_pending" in state else {}
    return {key: value for key, value in state.items() if key not in EVALUATED} | empty


# The C unpickler calls and changes whatever the pickle says; only the one in Python lets us look first.
class Unpickler(pickle._Unpickler):
    """Imports nothing but `ALLOWED` and layers, calls nothing but imports, changes nothing but new objects."""

    dispatch: ClassVar = dict(pickle._Unpickler.dispatch)

    def find_class(self, module, name):
        if name in ALLOWED.get(module, ()):
            return GUARDED.get((module, name)) or super().find_class(module, name)
        if (module.startswith(LAYERS) or module in FASTAI_LAYERS) and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and issubclass(found, (Module, Enum)):
                return found
        raise Refused(f"{module}.{name}")

    def load_reduce(self):
        function = self.stack[-2]
        if not isinstance(function, IMPORTED):
            raise Refused(f"a call of {type(function).__name__}")
        super().load_reduce()

    def load_build(self):
        target = self.stack[-2]
        if isinstance(target, IMPORTED):
            raise Refused(f"a change of {target.__name__}")
        self.stack[-1] = harmless(self.stack[-1])
        super().load_build()

    def load_old_call(self):
        raise Refused("a call in the way of Python 2")

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.OBJ[0]] = dispatch[pickle.INST[0]] = load_old_call


def load(*args, **kwargs):
    """torch's formats from before 2020 are not opened at all."""
    raise Refused("an old format of torch.save")


loads = load
