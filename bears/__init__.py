"""Hold the code of all commands, most in a folder of their own. `python3 -m bears` runs them."""

import os
import warnings

__version__ = "0.2.0"

# torch 2.14 warns at every import of fastai that two of fastai's activations use something it will remove.
warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=FutureWarning)

# Stop ONNX Runtime (1.29 and newer) from sending usage data, which begins when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

ARCH = "tf_efficientnet_lite0"  # the default backbone, named here where nothing imports torch
