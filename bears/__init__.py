"""Contain the code of all commands, which `python3 -m bears COMMAND` runs."""

import os
import warnings

__version__ = "0.2.0"

# torch 2.14 warns at every import of fastai, since two of fastai's activations use a deprecated function.
warnings.filterwarnings("ignore", message=r".*torch\.jit\.", category=FutureWarning)

# Stop ONNX Runtime (1.29 and newer) from sending usage data as soon as it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

ARCH = "tf_efficientnet_lite0"  # the default backbone; defined here, so that reading it doesn't import torch
