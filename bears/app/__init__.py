"""Serve the app: run the model in a separate process, limit requests, accept uploads, and store feedback."""

import os
from typing import Any

FEEDBACK: dict[str, Any] = {
    "metavar": "DIR",
    "default": os.getenv("BEARS_FEEDBACK"),  # `python3 -m bears deploy` sets it on a Space
    "help": "ask visitors whether an answer is right, and keep their feedback in this folder or private data set"
    " (hf://datasets/USER/NAME). Tell visitors what you keep (docs/security.md)",
}  # arguments of `add_argument`; in this file, since importing bears/app/feedback.py takes seconds
