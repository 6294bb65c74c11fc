"""Run any of the programs in a virtual environment of their own, which is set up first. Needs only Python.

python3 -m bears app        # serve the model; what follows is passed on: python3 -m bears app --share
python3 -m bears collect    # photos of your own classes
python3 -m bears clean      # look through those that are probably wrong
python3 -m bears train      # train.py
python3 -m bears deploy     # to a Hugging Face Space
python3 -m bears test       # the tests
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
COMMANDS = {
    "app": ("requirements.txt", ["app.py"]),
    "collect": ("requirements.txt", ["-m", "bears.collect"]),
    "clean": ("requirements.txt", ["-m", "bears.clean"]),
    "train": ("requirements.txt", ["train.py"]),
    "deploy": ("requirements.txt", ["-m", "bears.deploy"]),
    "test": ("requirements-dev.txt", ["-m", "pytest"]),
}


def set_up(requirements):
    """Install a requirements file into `.venv`, unless the same text was installed there before."""
    done = VENV / f"{requirements}.installed"
    wanted = hashlib.sha256(b"".join(f.read_bytes() for f in sorted(ROOT.glob("requirements*.txt")))).hexdigest()
    alive = works()
    if alive and done.exists() and done.read_text() == wanted:
        return
    print(f"Setting up {VENV} (once; torch alone is a few gigabytes on Linux)", flush=True)
    if not alive:
        create_venv()
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", ROOT / requirements]
    if subprocess.run(pip).returncode:
        sys.exit(f"Some of {requirements} could not be installed; pip says why above.")
    done.write_text(wanted)


def works():
    """Whether the virtual environment is there, and its Python still runs: an upgrade of the system's may break it."""
    try:
        return subprocess.run([PYTHON, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def create_venv():
    try:
        venv.create(VENV, with_pip=True, clear=True, symlinks=sys.platform != "win32")
    except subprocess.CalledProcessError:  # what Debian's Python does without the package
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(
            "This Python cannot make virtual environments: on Debian and Ubuntu, install the package python3-venv"
            " (sudo apt install python3-venv), then give the same command again."
        )


def main(args):
    if sys.version_info < (3, 10):
        sys.exit(f"This needs Python 3.10 or newer; this is {sys.version.split()[0]}.")
    if args in (["--help"], ["-h"]):
        sys.exit(print(__doc__))
    if not args or args[0] not in COMMANDS:
        sys.exit(__doc__)
    requirements, command = COMMANDS[args[0]]
    set_up(requirements)
    run([str(PYTHON), *command, *args[1:]])


def run(command):
    """Become that program where the system can do it, so that whoever stops this one stops that one."""
    if sys.platform != "win32":
        os.chdir(ROOT)
        os.execv(command[0], command)
    try:
        sys.exit(subprocess.run(command, cwd=ROOT).returncode)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1:])
