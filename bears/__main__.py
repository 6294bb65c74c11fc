"""Run a command in a virtual environment. The first run creates the environment in `.venv`. You only need Python.

python3 -m bears app         # serve the model as a web app; add options at the end: python3 -m bears app --share
python3 -m bears collect     # download photos of your own classes
python3 -m bears clean       # review likely mistakes in your photos
python3 -m bears train       # train a classifier on your photos
python3 -m bears compare     # test whether a new model is better than the old one
python3 -m bears report      # check whether visitors' photos still look like yours
python3 -m bears predict     # classify a folder of photos and write a table
python3 -m bears watch       # watch a camera and raise an alarm when a bear comes
python3 -m bears offline     # build the offline version, which runs the model in the browser
python3 -m bears deploy      # put the app on a Hugging Face Space
python3 -m bears notebook    # open the lesson in Jupyter
python3 -m bears licences    # write docs/licences.md, the list of all licences
python3 -m bears test        # run the tests
python3 -m bears --version   # print the version

After `pip install .`, you can type `bears app` instead of `python3 -m bears app`. The command `bears` runs in the
environment in which pip installed it.
"""

from bears import __version__
from bears.cli import ACCEPTED, ONLY_OPTIONS, begin, end_in_order, one_at_a_time
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
UNFINISHED = VENV / "unfinished"  # exists during an installation; if it is left over, a package may be incomplete
# Each file also needs all files before it in this list.
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
# For each file, its extra in pyproject.toml, and a package that is only installed with this extra.
EXTRAS = {
    "requirements.txt": ("", "gradio"),
    "requirements-train.txt": ("train", "sklearn"),
    "requirements-notebook.txt": ("notebook", "jupyterlab"),
    "requirements-dev.txt": ("dev", "pytest"),
}
OF_THE_REPOSITORY = ("deploy", "notebook", "licences", "test")  # need files that pip doesn't install
SIZE = "downloads about 1.6 GB, or 6 GB with an NVIDIA GPU; that takes some minutes"
# pip's settings for a mirror or proxy, and uv's variables for them.
SETTINGS = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE", "proxy": "HTTPS_PROXY"}
INDEX_TIMEOUT = 8  # seconds for PyTorch's own index to answer
AGAIN = "then run the same command again."


def is_set_up(requirements):
    """Return whether `.venv` works and has all packages that the file `requirements` lists now."""
    done = [VENV / f"{file}.installed" for file in FILES[FILES.index(requirements) :]]
    return works(PYTHON, "-c", "") and any(f.is_file() and f.read_text() == fingerprint() for f in done)


def fingerprint():
    return hashlib.sha256(b"".join(f.read_bytes() for f in sorted(ROOT.glob("requirements*")))).hexdigest()


def works(*command):
    """Return whether a program in `.venv` can be run. An upgrade of the system's Python can break `.venv`."""
    try:
        return call(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def call(*command, **kwargs):
    """Run a program with `subprocess.run`, which kills the program after Ctrl-C. The program gets no Ctrl-C itself."""
    return subprocess.run(command, start_new_session=True, **kwargs)


def set_up(requirements):
    """Install the packages of a requirements file. Create `.venv` first if it is missing or damaged."""
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
    """Create `.venv` from scratch, and install uv, which installs everything else."""
    if not find_spec("ensurepip"):  # Debian has it in a separate package
        sys.exit(
            "This Python can't create virtual environments. On Debian and Ubuntu, install the package python3-venv"
            f" (sudo apt install python3-venv), {AGAIN}"
        )
    if VENV.is_symlink():  # delete the link, not the folder that it points to
        VENV.unlink()
    venv.create(VENV, with_pip=True, clear=True, symlinks=sys.platform != "win32")
    locked = re.search(r"^uv==(.*\\\n)*.*\n", LOCK.read_text(encoding="utf-8"), re.MULTILINE)[0]  # with its hashes
    (VENV / "uv.txt").write_text(locked)
    if call(PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", VENV / "uv.txt").returncode:
        sys.exit(f"Couldn't install uv, which installs the rest (pip's message is above). Check your network, {AGAIN}")


def install(requirements):
    """Install the packages with uv. Return whether uv succeeded.

    uv checks the hashes in the lock file, and chooses the build of PyTorch for this machine.
    """
    env = {**pip_settings(), "UV_TORCH_BACKEND": "auto", **os.environ}
    if not has_torch(env):
        print(
            "Can't reach PyTorch's package index. Installing torch from PyPI instead (on Linux 6 GB, with CUDA)",
            flush=True,
        )
        del env["UV_TORCH_BACKEND"]
    files = [arg for file in FILES[: FILES.index(requirements) + 1] for arg in ("-r", ROOT / file)]
    return call(*UV, "install", *INTO, *files, env=env).returncode == 0


def has_torch(env):
    """Return whether PyTorch's package index can be reached and has the torch and torchvision of requirements.lock.

    `env` has uv's variables.
    """
    timeouts = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": str(INDEX_TIMEOUT)}
    command = [*UV, "install", *INTO, "--dry-run", "--reinstall", "--no-deps", "torch", "torchvision"]
    try:
        return call(*command, env={**env, **timeouts}, stderr=subprocess.DEVNULL, timeout=INDEX_TIMEOUT).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def pip_settings():
    """Return pip's settings for mirrors and proxies as environment variables for uv.

    The variable `UV_SYSTEM_CERTS` makes uv trust the system's certificates.
    """
    told = call(PYTHON, "-m", "pip", "config", "list", stdout=subprocess.PIPE, text=True).stdout
    # pip lists environment variables first. In reverse order, they come last and replace values of configuration files.
    pairs = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", told, re.MULTILINE)[::-1]
    return {"UV_SYSTEM_CERTS": "1", **{SETTINGS[name]: value for name, value in pairs if name in SETTINGS}}


def version():
    """Return a line with the version, the git commit, and the version of Python."""
    command = ["git", f"--git-dir={ROOT / '.git'}", "log", "-1", "--format=commit %h of %cs"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        commit = ""
    return f"bears {__version__} ({commit or 'without its git history'}), Python {sys.version.split()[0]}"


def installed():
    """Run the command `bears`, which exists after `pip install .`."""
    begin()
    main(sys.argv[1:], here=True)


def main(args: list[str], here: bool = IS_COPY) -> None:
    """Run a command in `.venv`, or in the environment of this Python if `here` is true."""
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
    """Run a command in this Python's environment. If packages are missing, exit and say what to install."""
    requirements, command = COMMANDS[name]
    extra, package = EXTRAS[requirements]
    if IS_COPY and name in OF_THE_REPOSITORY:
        sys.exit(f"This copy has no {name}. Clone the repository, then run this in its folder: python3 -m bears {name}")
    if not find_spec(package):
        sys.exit(f"{name} needs more packages. In the folder of the repository, run: pip install '.[{extra}]'")
    run([sys.executable, *command, *args], ROOT if name in OF_THE_REPOSITORY else None)


def start(name, *args):
    """Run a command in `.venv`, after installing the packages that the command needs."""
    requirements, command = COMMANDS[name]
    if not is_set_up(requirements):
        ask([*command, *args])
        try:
            with one_at_a_time(__file__, f"Waiting for another command that is setting up {VENV}"):
                is_set_up(requirements) or set_up(requirements)
        except (OSError, ValueError, subprocess.CalledProcessError) as e:
            remedy = f"delete it if it exists, check disk space and permissions, {AGAIN}"
            sys.exit(f"Can't create {VENV} ({getattr(e, 'strerror', None) or e}): {remedy}")
    run([str(PYTHON), *command, *args])


def ask(command):
    """Let a program check its options, or print its help, before its packages are installed.

    Exit after a wrong option or --help, since installing the packages takes minutes.
    """
    code = call(sys.executable, *command, cwd=ROOT, env={**os.environ, ONLY_OPTIONS: "1"}).returncode
    if code != ACCEPTED:
        sys.exit(code)


def run(command, folder=ROOT):
    """Replace this process with the program `command`. On Windows, start the program and wait for it."""
    if sys.platform != "win32":
        os.chdir(folder or ".")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # the program unblocks Ctrl-C in `begin`
        os.execv(command[0], command)
    sys.exit(subprocess.run(command, cwd=folder).returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
