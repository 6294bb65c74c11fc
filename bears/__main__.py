"""Run any of the programs in a virtual environment of their own, which is set up first. Needs only Python.

python3 -m bears app         # serve the model; what follows is passed on: python3 -m bears app --share
python3 -m bears collect     # photos of your own classes
python3 -m bears clean       # look through those that are probably wrong
python3 -m bears train       # train.py
python3 -m bears compare     # is a new model better than the old one?
python3 -m bears report      # do visitors' photos still look like yours?
python3 -m bears predict     # what a folder of photos shows, as a table
python3 -m bears watch       # a camera, and an alarm when a bear comes
python3 -m bears offline     # a page of static files: the model in the browser alone
python3 -m bears deploy      # to a Hugging Face Space
python3 -m bears notebook    # the lesson, in Jupyter
python3 -m bears licences    # writes the page of all licences
python3 -m bears test        # the tests
python3 -m bears --version   # of this copy

After `pip install .`, `bears app` and the like do the same in the environment that has it, and set nothing up.
"""

from bears import __version__
from bears.cli import ACCEPTED, ONLY_OPTIONS, begin, end_in_order
from bears.files import HOME, IS_COPY

if __name__ == "__main__":
    begin()

import hashlib
import os
import re
import signal
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
BIN, EXE = (VENV / "Scripts", ".exe") if sys.platform == "win32" else (VENV / "bin", "")
PYTHON, UV = BIN / f"python{EXE}", [BIN / f"uv{EXE}", "pip"]
INTO = ["--python", PYTHON, "-c", LOCK]
UNFINISHED = VENV / "unfinished"  # is there while packages are installed: an interruption may leave half of one
# Whoever needs one of these needs those before it, too.
FILES = ["requirements.txt", "requirements-train.txt", "requirements-notebook.txt", "requirements-dev.txt"]
COMMANDS = {
    "app": ("requirements.txt", [HOME / "app.py"]),
    "collect": ("requirements-train.txt", ["-m", "bears.collect"]),
    "clean": ("requirements-train.txt", ["-m", "bears.clean"]),
    "train": ("requirements-train.txt", [HOME / "train.py"]),
    "compare": ("requirements-train.txt", ["-m", "bears.compare"]),
    "report": ("requirements-train.txt", ["-m", "bears.report"]),
    "predict": ("requirements.txt", ["-m", "bears.predict"]),
    "watch": ("requirements-train.txt", ["-m", "bears.watch"]),
    "offline": ("requirements-train.txt", ["-m", "bears.offline"]),
    "deploy": ("requirements-train.txt", ["-m", "bears.deploy"]),
    "notebook": ("requirements-notebook.txt", ["-m", "bears.notebook"]),
    "licences": ("requirements.txt", ["-m", "bears.licences"]),
    "test": ("requirements-dev.txt", ["-m", "tests"]),
}
# The extra of pyproject.toml for each file, and a package by which to know whether it is installed.
EXTRAS = {
    "requirements.txt": ("", "gradio"),
    "requirements-train.txt": ("train", "sklearn"),
    "requirements-notebook.txt": ("notebook", "jupyterlab"),
    "requirements-dev.txt": ("dev", "pytest"),
}
OF_THE_REPOSITORY = ("deploy", "notebook", "licences", "test")  # what they need is in no copy that pip has installed
SIZE = "downloads about 1.6 GB, or 6 GB with an NVIDIA GPU; that takes some minutes"
# What pip may be told of a company's mirror or proxy, and uv's words for it.
SETTINGS = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE", "proxy": "HTTPS_PROXY"}
INDEX_TIMEOUT = 8  # seconds for PyTorch's own index to answer
AGAIN = "then run the same command again."


def is_set_up(requirements):
    """Return whether `.venv` works and has what stands in a requirements file, which may have changed since."""
    done = [VENV / f"{file}.installed" for file in FILES[FILES.index(requirements) :]]
    return works(PYTHON, "-c", "") and any(f.is_file() and f.read_text() == fingerprint() for f in done)


def fingerprint():
    return hashlib.sha256(b"".join(f.read_bytes() for f in sorted(ROOT.glob("requirements*")))).hexdigest()


def works(*command):
    """Return whether a program of the virtual environment runs: an upgrade of the system's Python may break it."""
    try:
        return call(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def call(*command, **kwargs):
    """`subprocess.run` in a session of its own, where Ctrl-C does not reach it: this program ends it without a word."""
    return subprocess.run(command, start_new_session=True, **kwargs)


def set_up(requirements):
    """Install a requirements file into `.venv`, in whatever state that is."""
    if not UNFINISHED.exists() and works(PYTHON, "-m", "pip", "--version") and works(*UV, "check", "--python", PYTHON):
        print(f"Adding missing packages to {VENV}", flush=True)
    else:
        print(f"Setting up {VENV}, once ({SIZE})", flush=True)
        create_venv()
    UNFINISHED.touch()
    done = install(requirements)
    UNFINISHED.unlink()
    if not done:
        sys.exit(f"Couldn't install everything in {requirements} (uv's message is above). Check your network, {AGAIN}")
    (VENV / f"{requirements}.installed").write_text(fingerprint())


def create_venv():
    """Create `.venv` again, with uv in it, which installs everything else."""
    if not find_spec("ensurepip"):  # which Debian keeps in a package of its own
        sys.exit(
            "This Python can't create virtual environments. On Debian and Ubuntu, install the package python3-venv"
            f" (sudo apt install python3-venv), {AGAIN}"
        )
    venv.create(VENV, with_pip=True, clear=True, symlinks=sys.platform != "win32")
    locked = re.search(r"^uv==(.*\\\n)*.*\n", LOCK.read_text(encoding="utf-8"), re.MULTILINE)[0]  # with its hashes
    (VENV / "uv.txt").write_text(locked)
    if call(PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", VENV / "uv.txt").returncode:
        sys.exit(f"Couldn't install uv, which installs the rest (pip's message is above). Check your network, {AGAIN}")


def install(requirements):
    """Let uv install what is in the lock file, whose hashes it checks, with PyTorch's builds for this machine.

    Returns whether that was done.
    """
    env = {**pip_settings(), "UV_TORCH_BACKEND": "auto", **os.environ}
    if not has_torch(env):
        print(
            "Can't reach PyTorch's package index. Installing PyPI's torch instead, on Linux with CUDA (6 GB)",
            flush=True,
        )
        del env["UV_TORCH_BACKEND"]
    files = [arg for file in FILES[: FILES.index(requirements) + 1] for arg in ("-r", ROOT / file)]
    return call(*UV, "install", *INTO, *files, env=env).returncode == 0


def has_torch(env):
    """Whether the index with the builds of torch that `env` asks for answers, and has the version of the lock file."""
    timeouts = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": str(INDEX_TIMEOUT)}
    command = [*UV, "install", *INTO, "--dry-run", "--reinstall", "--no-deps", "torch", "torchvision"]
    try:
        return call(*command, env={**env, **timeouts}, stderr=subprocess.DEVNULL, timeout=INDEX_TIMEOUT).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def pip_settings():
    """Return pip's settings for the way to PyPI, as variables for uv, which trusts the system's certificates."""
    told = call(PYTHON, "-m", "pip", "config", "list", stdout=subprocess.PIPE, text=True).stdout
    # Variables come first in that list, and count most.
    pairs = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", told, re.MULTILINE)[::-1]
    return {"UV_SYSTEM_CERTS": "1", **{SETTINGS[name]: value for name, value in pairs if name in SETTINGS}}


def version():
    """Return the version, which commit this is a copy of, and which Python runs it."""
    command = ["git", f"--git-dir={ROOT / '.git'}", "log", "-1", "--format=commit %h of %cs"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        commit = ""
    return f"bears {__version__} ({commit or 'without its git history'}), Python {sys.version.split()[0]}"


def installed():
    """Be the command `bears` that pip has installed."""
    begin()
    main(sys.argv[1:], here=True)


def main(args: list[str], here: bool = IS_COPY) -> None:
    """Run a command in `.venv`, or, if `here`, in the environment of this Python."""
    if sys.version_info < (3, 10):
        sys.exit(f"This needs Python 3.10 or newer; this is {sys.version.split()[0]}.")
    if args in (["--help"], ["-h"]):
        sys.exit(print(__doc__))
    if args == ["--version"]:
        sys.exit(print(version()))
    if not args or args[0] not in COMMANDS:
        sys.exit(f"There is no command {args[0]}. These are the commands:\n\n{__doc__}" if args else __doc__)
    try:
        end_in_order()
        (start_here if here else start)(*args)
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to continue.", file=sys.stderr)
        sys.exit(130)


def start_here(name, *args):
    """Run a program with its arguments where its packages should be installed already."""
    requirements, command = COMMANDS[name]
    extra, package = EXTRAS[requirements]
    if IS_COPY and name in OF_THE_REPOSITORY:
        sys.exit(f"This copy has no {name}. Clone the repository, then run this in its folder: python3 -m bears {name}")
    if not find_spec(package):
        sys.exit(f"{name} needs more packages. In the folder of the repository, run: pip install '.[{extra}]'")
    run([sys.executable, *command, *args], ROOT if name in OF_THE_REPOSITORY else None)


def start(name, *args):
    """Run a program with its arguments, once what it needs is installed."""
    requirements, command = COMMANDS[name]
    if not is_set_up(requirements):
        ask([*command, *args])
        try:
            set_up(requirements)
        except (OSError, ValueError, subprocess.CalledProcessError) as e:
            remedy = f"delete it if it exists, check disk space and permissions, {AGAIN}"
            sys.exit(f"Can't create {VENV} ({getattr(e, 'strerror', None) or e}): {remedy}")
    run([str(PYTHON), *command, *args])


def ask(command):
    """Let a program refuse its options, or give its help, before minutes of set-up: that needs nothing installed."""
    code = call(sys.executable, *command, cwd=ROOT, env={**os.environ, ONLY_OPTIONS: "1"}).returncode
    if code != ACCEPTED:
        sys.exit(code)


def run(command, folder=ROOT):
    """Become that program where the system can do it, so that whoever stops this one stops that one."""
    if sys.platform != "win32":
        os.chdir(folder or ".")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until `begin`
        os.execv(command[0], command)
    sys.exit(subprocess.run(command, cwd=folder).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
