"""Parse the options of commands, handle Ctrl-C, and start other processes."""

import argparse
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import partial
from math import isinf
from pathlib import Path
from typing import IO

from bears.errors import BearsError
from bears.files import MODEL, export_file
from bears.private_photos import delete_private, private_folder
from bears.text import printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

STOP_SIGNALS = [s for s in signal.Signals if s.name in ("SIGTERM", "SIGHUP")]  # Windows has no SIGHUP
# Before `python3 -m bears` installs packages, it starts the program with the variable ONLY_OPTIONS. The program only
# checks its options, and exits with the status ACCEPTED if they are right.
ONLY_OPTIONS, ACCEPTED = "BEARS_ONLY_OPTIONS", 100


def begin(parse_args=None) -> None:
    """Handle --help, wrong options and Ctrl-C before the slow imports of a program.

    If `accelerate launch` has started several processes, only process 0 prints.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not if Ctrl-C is ignored
        signal.signal(signal.SIGINT, end_at_once)
    if hasattr(signal, "pthread_sigmask"):  # `python3 -m bears` has blocked Ctrl-C until here
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if parse_args:
        (parse_args if os.getenv("RANK", "0") == "0" else partial(parse_silently, parse_args))()
    if os.getenv(ONLY_OPTIONS):
        sys.exit(ACCEPTED)


@contextmanager
def one_at_a_time(file: str, waiting: str = "") -> Iterator[None]:
    """Lock a file during the `with` block. While another process holds the lock, wait, and print the text `waiting`."""
    with open(file, "rb") as lock:
        with suppress(OSError):  # some network drives can't lock
            wait_for(lock, waiting)
        yield


def wait_for(lock: IO, waiting: str) -> None:
    """Lock an open file. On Windows, do nothing.

    While another process holds the lock, wait, and print the text `waiting`.
    """
    if not fcntl:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if waiting:
            print(waiting, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def start_process(command: list[str], **kwargs) -> subprocess.Popen:
    """Start a program with pipes for stdin and stdout, in the parent folder of `bears`. The program gets no Ctrl-C."""
    # A new process group, not a new session: on some kernels, Linux gives a new session no CPU time for minutes.
    own = {"process_group": 0} if sys.version_info >= (3, 11) else {"start_new_session": True}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=pipe, stdout=pipe, **own, **kwargs)


def command_parser(command: str, description: str) -> argparse.ArgumentParser:
    """Return an argument parser that shows `python3 -m bears COMMAND` in its usage and errors."""
    program = f"python3 -m bears {command}"
    return argparse.ArgumentParser(program, None, description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_model(parser: argparse.ArgumentParser, where="this computer", strictness=False) -> None:
    """Add the options --model, --trust-model and, if `strictness` is true, --strictness.

    `where` names a machine in the help of --trust-model, such as `this computer`.
    """
    helped = "export of the model to use, such as my_model/export.pkl (default: the bears' export.pkl)"
    parser.add_argument("--model", type=export_file, default=MODEL, help=helped)
    add_trust(parser, where)
    helped = (
        "how often the answer is “none of the classes” (default: 1). Above 1: more often, also for bad photos of the"
        " classes. Below 1: less often, and more photos of other things are mistaken for a class. 0: never"
    )
    if strictness:
        parser.add_argument("--strictness", type=factor, default=1.0, metavar="TIMES", help=helped)


def add_trust(parser: argparse.ArgumentParser, where="this computer") -> None:
    """Add the option --trust-model. `where` names a machine in the option's help, such as `this computer`."""
    helped = f"also open an export that train.py did not make. Such a file can run any code on {where}"
    parser.add_argument("--trust-model", action="store_true", help=helped)


def parse_silently(parse_args):
    """Parse the options without printing. Exit after --help. Ignore wrong options, since process 0 reports them."""
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            parse_args()
    except SystemExit as e:
        if not e.code:
            raise


def end_at_once(signum, frame):
    """Exit on Ctrl-C during imports. A module being imported could turn `KeyboardInterrupt` into another error."""
    delete_private()
    os._exit(128 + signum)


def end_in_order(stops=()) -> None:
    """Make Ctrl-C and the signals in the list `stops` raise `KeyboardInterrupt` from now on."""
    for stop in (signal.SIGINT, *stops):
        if signal.getsignal(stop) in (signal.SIG_DFL, end_at_once):  # not if the signal is ignored, as after nohup
            signal.signal(stop, signal.default_int_handler)


@contextmanager
def ends_in_words(program: str, kept="") -> Iterator[None]:
    """Exit with a sentence, not a traceback, after a `BearsError` or Ctrl-C in the `with` block.

    The sentence begins with `program`, such as `train.py`. After Ctrl-C, print a second sentence, `kept`, such as `Your
    decisions are kept.`
    """
    try:
        end_in_order()
        yield
    except BearsError as e:
        sys.exit(printable(f"{program}: {e}"))
    except KeyboardInterrupt:
        sys.exit(f"{program}: stopped. {kept}".strip())


def root_path(text: str) -> str:
    """Return the value of --root-path if it is an address, or a path that begins with `/`.

    Raises `ArgumentTypeError` for other values.
    """
    if text and not text.startswith(("/", "http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text} is not an address; give one like https://bears.example, or /bears")
    return text


def labels(text: str) -> list[str]:
    """Split an option's value such as `black,grizzly` into classes."""
    return [label.strip() for label in text.split(",")]


def factor(text: str) -> float:
    """Convert an option's value to a number of 0 or more."""
    if not (number := float(text)) >= 0 or isinf(number):
        raise argparse.ArgumentTypeError(f"{text} is not a number of 0 or more; give one like 1.1 or 0.9")
    return number


def no_page(e: Exception) -> str:
    """Return the message for an `OSError` that keeps the app from starting."""
    if e.errno is None:  # raised by `check_address`, or by Gradio if no port is free
        return "This port or address can't be used. Choose others, or leave out --port and --host."
    reason = f"{e.strerror}: {e.filename}" if e.filename else e.strerror
    return f"The app can't start ({reason}). Fix that, then start it again."


@contextmanager
def without_gc() -> Iterator[None]:
    """Turn off garbage collection during imports, since it would take a fifth of their time and find nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# An argument of Gradio's `launch`: don't request the page to check it. On a busy machine, this check gives up too soon.
NO_VISIT = {"_frontend": False}


def prepare_gradio(program="app.py") -> None:
    """Set the environment variables that Gradio reads, then import it.

    Keep the variables that are set already, except for `GRADIO_TEMP_DIR`.
    """
    try:
        os.environ["GRADIO_TEMP_DIR"] = private_folder()
    except OSError as e:
        sys.exit(f"{program}: {no_page(e)}")
    # torch creates this folder when it is imported.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.path.join(os.environ["GRADIO_TEMP_DIR"], "torch"))
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # send no data about visits to Gradio
    # By default, Gradio summarizes the latest 10,000 answers after every answer, for a monitoring page that is off.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**9))
    os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "100")
    reach_directly("localhost", "127.0.0.1", "::1")
    # Importing Gradio also imports rfc3987_syntax if it is installed (Jupyter needs it), and then takes 50% longer. The
    # app doesn't need this package, so block it.
    sys.modules.setdefault("rfc3987_syntax", None)
    # At each import, Gradio writes type hints for editors into its own folder, which takes a third of the time. Gradio
    # skips classes for which `inspect.getfile` finds no file.
    from unittest.mock import patch  # here, since it imports asyncio, which most commands don't need

    with without_gc(), patch("inspect.getfile", side_effect=OSError):
        import gradio  # noqa: F401


def reach_directly(*hosts: str) -> None:
    """Use no proxy (`HTTP_PROXY`) for `hosts`, since Gradio sends a request to its own server at the start."""
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join([*filter(None, [os.getenv(name)]), *hosts])


def limit_memory(most: int) -> None:
    """Limit this process to `most` bytes of address space, if the system can. Using more raises `MemoryError`."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        resource.setrlimit(resource.RLIMIT_AS, (most, most))
