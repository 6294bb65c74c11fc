"""Serve the app: run the model in a separate process, limit requests, accept uploads, and store feedback."""

import os
from typing import Any

FEEDBACK: dict[str, Any] = {
    "metavar": "DIR",
    "default": os.getenv("BEARS_FEEDBACK"),  # `python3 -m bears deploy` sets it on a Space
    "help": "ask visitors whether an answer is right, and keep their feedback in a folder, or in a private data set of"
    " yours: hf://datasets/USER/NAME (docs/security.md says what to tell them)",
}  # arguments of `add_argument`; here, since bears/app/feedback.py takes seconds to import
