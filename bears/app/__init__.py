"""Serve the app: the model's process, the guard, uploads, connections and the theme."""

import os
from typing import Any

FEEDBACK: dict[str, Any] = {
    "metavar": "DIR",
    "default": os.getenv("BEARS_FEEDBACK"),  # which deploy sets on a Space
    "help": "ask visitors whether an answer was right, and keep what they say in a folder, or in a private data set of"
    " yours: hf://datasets/USER/NAME (docs/security.md says what to tell them)",
}  # for argparse; here, since bears/app/feedback.py takes seconds to import
