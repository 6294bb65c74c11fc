"""Binder's Jupyter server starts the app and passes what comes for `bears/` on to it."""

import os
import sys

c = get_config()  # noqa: F821  (Jupyter gives it to this file)
c.ServerProxy.servers = {
    "bears": {
        # Jupyter starts in the repository. Without the path a browser asks for files and sends photos past the proxy.
        "command": [sys.executable, os.path.abspath("app.py"), "--root-path", "{base_url}bears"],
        "environment": {
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": "{port}",
        },
        "timeout": 120,  # seconds until the page must be up, on one core
        "launcher_entry": {"title": "The page"},
    }
}
