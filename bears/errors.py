"""Define the expected errors of all programs. Each error message says what happened and what to do."""


class BearsError(Exception):
    """Report an expected error, such as a missing file. Programs print only the message, without a traceback."""


class PhotoError(BearsError):
    """Report a photo that can't be used.

    `reason` says why the photo can't be used, and ends without a full stop. `hint` is a sentence that tells a visitor
    of the app what to do.
    """

    def __init__(self, reason, hint=""):
        super().__init__(reason, hint)
        self.reason, self.hint = reason, hint

    def __str__(self):
        return f"{self.reason}. {self.hint}".strip()


class DataError(BearsError):
    """Report photos or tables that can't be read or used for training."""


class WeightsError(BearsError):
    """Report a backbone that doesn't exist or can't be downloaded."""


class ExportError(BearsError):
    """Report an export or another file that can't be opened or written."""


class NoModelError(ExportError):
    """Report an export that doesn't exist."""

    def __init__(self, file):
        super().__init__(file)

    def __str__(self):
        return f"There is no model {self.args[0]}. Train one with train.py, or choose another with --model."


class PredictError(BearsError):
    """Report photos, detections or an output file that `predict` can't use."""


class DetectorError(BearsError):
    """Report that the detector's file is missing or damaged."""


class OfflineError(BearsError):
    """Report an export that the offline version can't use."""


class WatchError(BearsError):
    """Report a source that can't be watched, or a recording that can't be replayed."""


class DeployError(BearsError):
    """Report a Space that can't be created or updated."""


class DownloadError(BearsError):
    """Report a file that can't be downloaded."""


class TryLater(DownloadError):
    """Report a server that is busy or doesn't answer. `wait` is how many seconds the server asks to wait, or None."""

    def __init__(self, message, wait=None):
        super().__init__(message)
        self.wait = wait
