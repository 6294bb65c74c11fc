"""Leave nothing of a visitor behind: photos lie in a private folder, which is gone when the program is stopped."""

import atexit
import os
import shutil
import signal
import tempfile

STOPS = [s for s in signal.Signals if s.name in ("SIGTERM", "SIGHUP")]  # Windows has no SIGHUP


def private_folder():
    """Make a folder that nobody else on this machine may read, and that is deleted when the program ends.

    Meant for `GRADIO_TEMP_DIR`, which Gradio reads when it is imported; what a host has set there is kept. By itself
    Gradio uses one folder for all users of a machine, which only the first of them may write to.
    """
    if chosen := os.environ.get("GRADIO_TEMP_DIR"):
        return chosen
    folder = tempfile.mkdtemp(prefix="photos-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def end_in_order():
    """Let a stopped service or a closed terminal end the program as Ctrl-C does, so that it can tidy up."""
    for stop in STOPS:
        if signal.getsignal(stop) is signal.SIG_DFL:  # nohup ignores it
            signal.signal(stop, signal.default_int_handler)
