"""Send feedback to a private data set on the Hugging Face Hub, since a Space's disk is empty after each restart.

Each run of the app uses a new folder in the data set, so that runs don't overwrite each other's files.
"""

import contextlib
import shutil
import tempfile
import threading
import time
from pathlib import Path
from uuid import uuid4

from bears.hub import data_set

EVERY = 5  # minutes between two commits
AGAIN = 60  # seconds until the next try if the Hub can't be reached
AT_THE_END = 2  # seconds for the last commit before the app ends


def run_folder() -> Path:
    """Create a private folder for this run's feedback, outside the folders whose files the app serves."""
    return Path(tempfile.mkdtemp(prefix="feedback-"))


class Uploads:
    """Commit new files in `folder` to the data set `place` every `every` minutes, in another thread.

    Raises `ExportError` if `place` isn't the name of a data set.
    """

    def __init__(self, place, folder, every=EVERY):
        self.name, self.folder, self.every, self.scheduler = data_set(place), folder, every, None
        self.run = f"{time.strftime('%Y-%m-%d')}-{uuid4().hex[:8]}"
        threading.Thread(target=self.connect, daemon=True).start()

    def connect(self):
        """Start the `CommitScheduler`. If the Hub can't be reached, try again every minute."""
        from huggingface_hub import CommitScheduler

        where = {"repo_id": self.name, "repo_type": "dataset", "folder_path": self.folder, "path_in_repo": self.run}
        while self.scheduler is None:
            try:
                self.scheduler = CommitScheduler(**where, every=self.every, private=True, ignore_patterns=["*.part"])
            except Exception as e:  # no network, token or permission; the errors depend on huggingface_hub's version
                print(f"Can't send feedback to the Hub ({type(e).__name__}). Trying again in {AGAIN} s.", flush=True)
                time.sleep(AGAIN)

    def push(self, seconds=60):
        """Commit new files now. Return whether the commit succeeded within `seconds`."""
        if not self.scheduler:
            return False
        try:
            self.scheduler.trigger().result(seconds)
            return True
        except Exception:
            return False

    def delete(self, file):
        """Delete a file from the data set, after all running commits have ended."""
        if self.scheduler:
            self.scheduler.api.run_as_future(self.delete_now, file)

    def delete_now(self, file):
        if self.scheduler.last_uploaded.pop(file.resolve(), None) is None:
            return
        path = f"{self.run}/{file.relative_to(self.folder).as_posix()}"
        with contextlib.suppress(Exception):  # the app's owner can still delete it on the Hub
            self.scheduler.api.delete_file(path, repo_id=self.name, repo_type="dataset")

    def close(self):
        """Commit new files before the app ends. If the commit fails or takes too long, print where the files are."""
        if self.push(AT_THE_END):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"The latest feedback was not sent: it is in {self.folder}", flush=True)
