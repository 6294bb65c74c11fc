"""Hold the code of all commands, with a folder for each. `python3 -m bears` runs them."""

import os
import warnings

__version__ = "0.2.0"

# torch 2.14 announces, at every import of fastai, that it will drop what two of fastai's activations use.
warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=FutureWarning)

# ONNX Runtime 1.29 and newer reports to its maker from its import on, unless this is set before that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

ARCH = "tf_efficientnet_lite0"  # the default backbone, named here where nothing imports torch
