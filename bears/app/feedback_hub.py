"""Send feedback to a private data set on the Hugging Face Hub, since the disk of a Space is empty after each restart.

Each run of the app has a folder of its own in the data set, so that none overwrites what another has written.
"""

import contextlib
import shutil
import tempfile
import threading
import time
from pathlib import Path
from uuid import uuid4

from bears.errors import ExportError

HUB = "hf://datasets/"
EVERY = 5  # minutes between two commits
AGAIN = 60  # seconds until the next try where the Hub cannot be reached
AT_THE_END = 2  # seconds that the last commit may take


def run_folder() -> Path:
    """Make a private folder for this run, which is not one that the app serves files from."""
    return Path(tempfile.mkdtemp(prefix="feedback-"))


class Uploads:
    """Commits what is new in a folder to a data set, every few minutes, in a thread of its own."""

    def __init__(self, place, folder, every=EVERY):
        from huggingface_hub.errors import HFValidationError  # takes a second; only hosts on the Hub need it
        from huggingface_hub.utils import validate_repo_id

        self.name, self.folder, self.every, self.scheduler = place.removeprefix(HUB), folder, every, None
        self.run = f"{time.strftime('%Y-%m-%d')}-{uuid4().hex[:8]}"
        try:
            validate_repo_id(self.name)
            if self.name.count("/") != 1:
                raise HFValidationError
        except HFValidationError:
            raise ExportError(f"{place} is no data set: name one like {HUB}USER/NAME with --feedback.") from None
        threading.Thread(target=self.connect, daemon=True).start()

    def connect(self):
        """Start the scheduler, and try again until the Hub can be reached: meanwhile all is kept here."""
        from huggingface_hub import CommitScheduler

        where = {"repo_id": self.name, "repo_type": "dataset", "folder_path": self.folder, "path_in_repo": self.run}
        while self.scheduler is None:
            try:
                self.scheduler = CommitScheduler(**where, every=self.every, private=True, ignore_patterns=["*.part"])
            except Exception as e:  # no network, no token, no permission: the client has changed its errors before
                print(f"Feedback waits here, since the Hub refuses it or is away ({type(e).__name__}).", flush=True)
                time.sleep(AGAIN)

    def push(self, seconds=60):
        """Commit now; returns whether that was done."""
        if not self.scheduler:
            return False
        try:
            self.scheduler.trigger().result(seconds)
            return True
        except Exception:
            return False

    def delete(self, file):
        """Delete a file from the data set, too, once all commits before are made."""
        if self.scheduler:
            self.scheduler.api.run_as_future(self.delete_now, file)

    def delete_now(self, file):
        if self.scheduler.last_uploaded.pop(file.resolve(), None) is None:
            return
        path = f"{self.run}/{file.relative_to(self.folder).as_posix()}"
        with contextlib.suppress(Exception):  # the host can delete it by hand
            self.scheduler.api.delete_file(path, repo_id=self.name, repo_type="dataset")

    def close(self):
        """Send what is new before the app ends, if that is quick; else it stays here, and the log says where."""
        if self.push(AT_THE_END):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"The latest feedback was not sent: it is in {self.folder}", flush=True)
