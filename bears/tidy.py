"""Leave nothing of a visitor behind: photos lie in a private folder, which is gone when the program is stopped."""

import atexit
import shutil
import signal
import tempfile


def private_folder():
    """Make a folder that nobody else on this machine may read, and that is deleted when the program ends.

    Meant for `GRADIO_TEMP_DIR`, which Gradio reads when it is imported. By itself it uses one folder for all users of
    a machine, which only the first of them may write to.
    """
    folder = tempfile.mkdtemp(prefix="photos-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def end_in_order():
    """Let a stopped service or a closed terminal end the program as Ctrl-C does, so that it can tidy up."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores it
            signal.signal(number, signal.default_int_handler)
