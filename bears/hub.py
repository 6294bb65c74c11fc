"""Check the names of Spaces and data sets on the Hugging Face Hub."""

from bears.errors import ExportError

DATA_SETS = "hf://datasets/"


def check_repo(name: str) -> None:
    """Raise `HFValidationError` if `name` isn't a USER/NAME that the Hub accepts."""
    from huggingface_hub.errors import HFValidationError  # here, since it takes a second and is rarely needed
    from huggingface_hub.utils import validate_repo_id

    validate_repo_id(name)
    if name.count("/") != 1:
        raise HFValidationError(f"{name} is not of the form USER/NAME")


def data_set(place: str) -> str:
    """Return USER/NAME from `hf://datasets/USER/NAME`. Raises `ExportError` if `place` is not a data set."""
    from huggingface_hub.errors import HFValidationError

    name = place.removeprefix(DATA_SETS) if place.startswith(DATA_SETS) else ""
    try:
        check_repo(name)
    except HFValidationError:
        raise ExportError(f"{place} is not a data set. Give one like {DATA_SETS}USER/NAME with --feedback.") from None
    return name
