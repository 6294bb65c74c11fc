"""What can go wrong through nobody's bug; each message is one sentence that says what to do."""


class PhotoError(ValueError):
    """A photo that cannot be used."""


class DataError(ValueError):
    """Photos that nothing can be trained on."""


class WeightsError(RuntimeError):
    """A backbone that does not exist or cannot be downloaded."""


class ExportError(RuntimeError):
    """An export that cannot be written or opened."""


class DeployError(RuntimeError):
    """A Space that cannot be created or updated."""
