"""Serve the app: run the model's process, limit requests, take uploads, and keep feedback."""

import os
from typing import Any

FEEDBACK: dict[str, Any] = {
    "metavar": "DIR",
    "default": os.getenv("BEARS_FEEDBACK"),  # `python3 -m bears deploy` sets it on a Space
    "help": "ask visitors whether an answer was right, and keep what they say in a folder, or in a private data set of"
    " yours: hf://datasets/USER/NAME (docs/security.md says what to tell them)",
}  # arguments of `add_argument`; not in bears/app/feedback.py, which takes seconds to import
