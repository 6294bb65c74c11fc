"""Import fastai, timm and torchvision without the packages that they need only for tasks other than classification.

So programs that only classify photos start faster and need less memory (benchmarks/serve.py). Such a package is
imported when one of its functions is called. Import this module before fastai.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LATE = (
    "torch._dynamo",  # torch's compiler, which torchvision and timm import
    "torch._dynamo.utils",
    "sklearn",  # for fastai's metrics and splitters
    "sklearn.metrics",
    "sklearn.model_selection",
    "scipy.stats",
    "scipy.ndimage",
)


class Late(ModuleType):
    """Stand in for a package during the import of fastai. Its functions import the package when they are called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__, self.__path__ = ModuleSpec(name, None), []  # which make it a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if f"{self.__name__}.{name}" in late:
            return late[f"{self.__name__}.{name}"]
        if name == "disable":  # timm's decorator for functions that torch shouldn't compile
            return lambda fn=None, *args, **kwargs: fn or (lambda fn: fn)

        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*args, **kwargs)

        call.__name__ = name  # which fastai prints for a metric
        return call


late = {name: Late(name) for name in LATE if name not in sys.modules}
sys.modules.update(late)
try:
    import fastai.interpret
    import fastai.vision.learner  # noqa: F401 - imports timm and torchvision
finally:
    for name in late:
        del sys.modules[name]
