"""Let Binder's Jupyter server start the app, and pass requests for `bears/` on to it."""

import os
import sys

c = get_config()  # noqa: F821  (Jupyter gives it to this file)
c.ServerProxy.servers = {
    "bears": {
        # Jupyter starts in the repository. Without --root-path, a browser would use addresses outside of the proxy.
        "command": [sys.executable, os.path.abspath("app.py"), "--root-path", "{base_url}bears"],
        "environment": {
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": "{port}",
        },
        "timeout": 120,  # seconds until the app must have started, on one core
        "launcher_entry": {"title": "The app"},
    }
}
