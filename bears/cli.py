"""Start and end a command in order: without a traceback, and without leaving a visitor's photos behind.

A visitor's photos are in a private folder, which is deleted when the program ends.
"""

import argparse
import atexit
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from math import isinf

from bears.errors import BearsError
from bears.files import MODEL, export_file
from bears.text import printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

STOP_SIGNALS = [s for s in signal.Signals if s.name in ("SIGTERM", "SIGHUP")]  # Windows has no SIGHUP
PRIVATE = []  # folders to delete
MARK = "photos-of-visitors"  # an empty folder in each, without which it may be somebody else's
# Before it sets up what a program needs, the launcher asks it whether it accepts its options.
ONLY_OPTIONS, ACCEPTED = "BEARS_ONLY_OPTIONS", 100  # an environment variable, an exit status


def begin(parse_args=None) -> None:
    """Begin a program before its slow imports: answer --help, refuse wrong options, heed Ctrl-C.

    If `accelerate launch` starts several processes, only the first one prints.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored
        signal.signal(signal.SIGINT, end_at_once)
    if hasattr(signal, "pthread_sigmask"):  # Ctrl-C waits until here if the launcher has started the program
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if parse_args:
        (parse_args if os.getenv("RANK", "0") == "0" else partial(parse_silently, parse_args))()
    if os.getenv(ONLY_OPTIONS):
        sys.exit(ACCEPTED)


def command_parser(command: str, description: str) -> argparse.ArgumentParser:
    """Return a parser for the options of `python3 -m bears COMMAND`, which usage and errors then say, too."""
    program = f"python3 -m bears {command}"
    return argparse.ArgumentParser(program, None, description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_model(parser: argparse.ArgumentParser, where="this computer", strictness=False) -> None:
    """Add --model, --trust-model and perhaps --strictness; `where` is the machine on which a model could run code."""
    helped = "model to use (default: the bears' export.pkl)"
    parser.add_argument("--model", type=export_file, default=MODEL, help=helped)
    helped = f"also open an export that train.py did not make; it can run any code on {where}"
    parser.add_argument("--trust-model", action="store_true", help=helped)
    helped = (
        "how often the answer is “none of the classes” (default: 1). Above 1: more often, also for bad photos of the"
        " classes. Below 1: less often, and more photos of other things are mistaken for a class. 0: never"
    )
    if strictness:
        parser.add_argument("--strictness", type=factor, default=1.0, metavar="TIMES", help=helped)


def parse_silently(parse_args):
    """End after --help, as the first process does; what is wrong with the options, that one says, and ends all."""
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            parse_args()
    except SystemExit as e:
        if not e.code:
            raise


def end_at_once(signum, frame):
    """Signal handler for the time of the imports, where an exception could come out as any other."""
    delete_private()
    os._exit(128 + signum)


def end_in_order(stops=()) -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` from now on, and so `stops`, as when a service or terminal is closed."""
    for stop in (signal.SIGINT, *stops):
        if signal.getsignal(stop) in (signal.SIG_DFL, end_at_once):  # nohup ignores it
            signal.signal(stop, signal.default_int_handler)


@contextmanager
def ends_in_words(program: str, kept="") -> Iterator[None]:
    """`program` ends in one sentence when a `BearsError` or Ctrl-C stops it; `kept` says what Ctrl-C leaves behind."""
    try:
        end_in_order()
        yield
    except BearsError as e:
        sys.exit(printable(f"{program}: {e}"))
    except KeyboardInterrupt:
        sys.exit(f"{program}: stopped. {kept}".strip())


def root_path(text: str) -> str:
    """Return the address or path of a page behind a proxy, as an option of argparse, if Gradio can take it."""
    if text and not text.startswith(("/", "http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text} is not an address; give one like https://bears.example, or /bears")
    return text


def labels(text: str) -> list[str]:
    """Return the classes in `black,grizzly`, as an option of argparse."""
    return [label.strip() for label in text.split(",")]


def factor(text: str) -> float:
    """Return a number that is not negative, as an option of argparse."""
    if not (number := float(text)) >= 0 or isinf(number):
        raise argparse.ArgumentTypeError(f"{text} is not a number of 0 or more; give one like 1.1 or 0.9")
    return number


def no_page(e: Exception) -> str:
    """Return a sentence about an `OSError` that keeps the app from starting."""
    if e.errno is None:  # of `check_address`, or of Gradio, which has found no free port
        return "This port or address can't be used. Choose others, or leave out --port and --host."
    reason = f"{e.strerror}: {e.filename}" if e.filename else e.strerror
    return f"The app can't start ({reason}). Fix that, then start it again."


def prepare_gradio(program="app.py") -> None:
    """Set the environment that Gradio reads when it is imported; what a host has set is kept."""
    try:
        os.environ["GRADIO_TEMP_DIR"] = private_folder()
    except OSError as e:
        sys.exit(f"{program}: {no_page(e)}")
    # A folder that torch makes wherever it is imported.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(os.environ["GRADIO_TEMP_DIR"], "torch"))
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # strangers' visits are nobody's statistics
    # After every answer Gradio sums up the latest 10,000 for a monitoring page, which we do not show.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
    # Jupyter brings this for a check that nobody here needs; with it, Gradio takes half as long again to be imported.
    sys.modules.setdefault("rfc3987_syntax", None)


def private_folder():
    """Make a folder that nobody else on this machine may read, and that is deleted when the program ends.

    Meant for `GRADIO_TEMP_DIR`, which Gradio reads when it is imported; the folder is in the one that a host has set
    there, which is made if need be. Without this, Gradio uses one folder for all users of a machine, and only the first
    of them may write to it.
    """
    import tempfile  # late, since until `begin` Ctrl-C shows a traceback

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
    """Lock a folder until this process ends, however it ends; returns a descriptor, or None if that cannot be done."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # gone, or on Windows, where a folder cannot be opened
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    except OSError:
        os.close(descriptor)


def private_folders(parent: str | os.PathLike) -> list[str]:
    """Return the paths of the folders in `parent` that apps of this user have made for photos."""
    # A folder may not be listed, or goes meanwhile.
    with suppress(OSError), os.scandir(parent) as entries:
        return [entry.path for entry in entries if entry.name.startswith("photos-") and is_private(entry)]
    return []


def is_private(entry):
    """Return whether an entry of `os.scandir` is a folder that `private_folder` has made for this user."""
    marked = entry.is_dir(follow_symlinks=False) and os.path.isdir(os.path.join(entry.path, MARK))
    return marked and entry.stat(follow_symlinks=False).st_uid == os.getuid()  # on Windows none is marked


def delete_abandoned(parent: str | os.PathLike) -> None:
    """Delete the photos of apps that were killed before they could do so themselves."""
    import shutil

    for folder in private_folders(parent):
        if (descriptor := hold(folder)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


def delete_private() -> None:
    import shutil

    for folder in PRIVATE:
        for _ in range(10):  # a thread may still write into it
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break


def limit_memory(most: int) -> None:
    """Let this process have so many bytes of address space where the system can hold it to that.

    Beyond that, it gets a `MemoryError`.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource  # Windows has none

        resource.setrlimit(resource.RLIMIT_AS, (most, most))
