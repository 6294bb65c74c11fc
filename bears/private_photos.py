"""Keep visitors' photos in a folder that only this user can read, and delete it when the program ends.

While the app runs, `bears/app/uploads.py` deletes each photo after an hour.
"""

import atexit
import os
from contextlib import suppress

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

PRIVATE = []  # folders to delete at the end
MARK = "photos-of-visitors"  # an empty folder inside each private folder; shows that this project created the folder


def private_folder():
    """Create a folder for visitors' photos that only this user can read, and return its path.

    Delete the folder when the program ends.

    If `GRADIO_TEMP_DIR` is set, create the new folder inside that folder. Don't use Gradio's default folder: all users
    of a machine share it, but only the first of them may write to it.
    """
    import tempfile  # here, to run `begin` early: before it has run, Ctrl-C shows a traceback

    parent = os.getenv("GRADIO_TEMP_DIR") or tempfile.gettempdir()
    os.makedirs(parent, exist_ok=True)
    delete_abandoned(parent)
    folder = tempfile.mkdtemp(prefix="photos-", dir=parent)
    PRIVATE.append(folder)
    atexit.register(delete_private)
    if hold(folder) is not None:
        os.mkdir(os.path.join(folder, MARK))
    return folder


def hold(folder):
    """Lock a folder until this process ends. Return a file descriptor, or None if the folder can't be locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # deleted, or on Windows, where folders can't be opened
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    except OSError:
        os.close(descriptor)


def private_folders(parent: str | os.PathLike) -> list[str]:
    """Return the paths of the folders in `parent` that this user's apps have created for photos."""
    # `parent` may be unreadable, or be deleted meanwhile.
    with suppress(OSError), os.scandir(parent) as entries:
        return [entry.path for entry in entries if entry.name.startswith("photos-") and is_private(entry)]
    return []


def is_private(entry):
    """Return whether an entry of `os.scandir` is a folder that `private_folder` has created for this user."""
    marked = entry.is_dir(follow_symlinks=False) and os.path.isdir(os.path.join(entry.path, MARK))
    return marked and entry.stat(follow_symlinks=False).st_uid == os.getuid()  # on Windows no folder is marked


def delete_abandoned(parent: str | os.PathLike) -> None:
    """Delete visitors' photos that an app left in `parent` when it was killed."""
    import shutil

    for folder in private_folders(parent):
        if (descriptor := hold(folder)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


def delete_private() -> None:
    import shutil

    for folder in PRIVATE:
        for _ in range(10):  # again if a thread still writes into it
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break
