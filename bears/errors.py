"""Expected errors. Each message says what happened and what to do."""


class BearsError(Exception):
    """Whatever this project raises on purpose: each program shows its message, and no traceback."""


class PhotoError(BearsError):
    """A photo that cannot be used: the `reason`, and a `hint` for those who have just sent it to the page.

    Only the hint ends in a full stop.
    """

    def __init__(self, reason, hint=""):
        super().__init__(reason, hint)
        self.reason, self.hint = reason, hint

    def __str__(self):
        return f"{self.reason}. {self.hint}".strip()


class DataError(BearsError):
    """Photos that cannot be read, or that nothing can be trained on."""


class WeightsError(BearsError):
    """A backbone that does not exist or cannot be downloaded."""


class ExportError(BearsError):
    """An export that cannot be written or opened."""


class NoModelError(ExportError):
    """An export that is not there."""

    def __init__(self, file):
        super().__init__(file)

    def __str__(self):
        return f"There is no model {self.args[0]}. Train one with train.py, or choose another with --model."


class PredictError(BearsError):
    """Photos or detections that there is nothing to say about."""


class DetectorError(BearsError):
    """The network that finds animals is not there, or is not the one that belongs here."""


class OfflineError(BearsError):
    """An export that cannot become a page of static files."""


class WatchError(BearsError):
    """A source that cannot be watched, or a record that cannot be replayed."""


class DeployError(BearsError):
    """A Space that cannot be created or updated."""


class DownloadError(BearsError):
    """A file that cannot be fetched from the web."""


class TryLater(DownloadError):
    """A server that gives no answer at the moment; `wait` is how many seconds it asks for, if it says so."""

    def __init__(self, message, wait=None):
        super().__init__(message)
        self.wait = wait
