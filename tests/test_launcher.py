"""Test the first seconds of every command: quick help, Ctrl-C without a traceback, a `.venv` in any state."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from bears import __main__ as launcher
from bears.__main__ import COMMANDS, INTO, LOCK, UV, pip_settings
from helpers import ROOT, free_port, get

pytestmark = pytest.mark.slow

PROGRAMS = {
    "app": ["app.py"],
    "collect": ["-m", "bears.collect"],
    "clean": ["-m", "bears.clean"],
    "train": ["train.py"],
    "predict": ["-m", "bears.predict"],
    "watch": ["-m", "bears.watch"],
    "deploy": ["-m", "bears.deploy"],
}
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("option, status", [("--help", 0), ("--no-such-option", 2)])
def test_help_and_refusals_come_before_slow_imports(program, option, status):
    env = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}  # prints all imports to stderr
    command = [sys.executable, *PROGRAMS[program], option]
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}
    assert result.returncode == status and f"usage: python3 -m bears {program} " in result.stdout + result.stderr
    assert "bears.cli" in imported
    assert not imported & {"torch", "gradio", "fastai", "numpy", "requests", "huggingface_hub"}


@needs_posix
def test_of_a_linked_environment_only_the_link_is_removed(tmp_path, monkeypatch):
    elsewhere, link = tmp_path / "elsewhere", tmp_path / ".venv"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    link.symlink_to(elsewhere)
    monkeypatch.setattr(launcher, "VENV", link)
    monkeypatch.setattr(launcher, "PYTHON", "false")  # instead of the pip that would install uv
    with pytest.raises(SystemExit):
        launcher.create_venv()
    assert (elsewhere / "mine").exists() and not link.is_symlink() and (link / "bin" / "python").exists()


BEGIN = """
import sys, time
from pathlib import Path
from bears import __main__ as launcher

done = Path(sys.argv[1])
launcher.is_set_up = lambda requirements: done.exists()
launcher.set_up = lambda requirements: (print("installs", flush=True), time.sleep(1), done.touch())
launcher.ask = launcher.run = lambda command: None
launcher.start("predict")
"""


@needs_posix
def test_of_two_commands_that_begin_at_once_one_sets_up(tmp_path):
    command = [sys.executable, "-c", BEGIN, str(tmp_path / "done")]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("installs" in words for words in said) == [False, True]
    assert any("Waiting for another command" in words for words in said)


@pytest.fixture
def starts(tmp_path):
    """Return a function that starts a program as the launcher does: with Ctrl-C blocked until it is handled."""
    started = []

    def start(command, **kwargs):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            log = (tmp_path / "log").open("w")
            env = {**os.environ, "TMPDIR": str(tmp_path)}
            kwargs = {"stdout": log, "stderr": log, "env": env, "start_new_session": True, **kwargs}
            started.append((subprocess.Popen(command, **kwargs), log))
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        return started[-1][0]

    yield start
    for process, log in started:
        process.kill()
        process.wait()
        log.close()


@needs_posix
@pytest.mark.parametrize("seconds", [0.05, 0.8])
@pytest.mark.parametrize(
    "command",
    [
        ["app.py"],
        ["-m", "bears.collect", "con", "--out", "nowhere"],
        ["-m", "bears.clean", "nowhere"],
        ["train.py", "--data", "nowhere", "--out", "/tmp"],
        ["-m", "bears.predict", "nowhere"],
        ["-m", "bears.deploy", "me/bears", "--dry-run"],
        ["-m", "tests", "--collect-only", "tests/test_photo.py"],
    ],
    ids=["app", "collect", "clean", "train", "predict", "deploy", "test"],
)
def test_ctrl_c_in_the_first_second_says_nothing_and_leaves_nothing(command, seconds, starts, tmp_path):
    process = starts([sys.executable, *command], cwd=ROOT)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(60)
    assert "Traceback" not in (tmp_path / "log").read_text()
    assert not list(tmp_path.glob("photos-*"))


@needs_posix
def test_launcher_lets_ctrl_c_wait_until_the_program_heeds_it():
    show = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []), flush=True)"
    begin = f"from bears.cli import begin; {show}; begin(); {show}"
    code = f"import sys; from bears.__main__ import run; run([sys.executable, '-c', {begin!r}])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "False"]


@pytest.fixture
def copy(tmp_path):
    """Return a copy of the launcher with a program that needs one small package."""
    (tmp_path / "bears").mkdir()
    for name in ("__init__", "__main__", "cli", "errors", "files", "private_photos", "text"):
        shutil.copy(ROOT / "bears" / f"{name}.py", tmp_path / "bears")
    program = "import sys\nfrom bears.cli import begin\nbegin(lambda: sys.argv[1:] and sys.exit('refused'))\n"
    (tmp_path / "app.py").write_text(f"{program}import iniconfig\nprint('it runs')\n")
    (tmp_path / "requirements.txt").write_text("iniconfig\n")
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    return tmp_path


def launch(folder, *args, code="from bears.__main__ import main; main(['app'] + sys.argv[1:])"):
    command = [sys.executable, "-c", f"import sys; {code}", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)


def test_a_package_that_is_not_the_one_of_the_lock_file_is_not_installed(tmp_path):
    [version] = re.findall(r"^iniconfig==(\S+)", LOCK.read_text(), re.MULTILINE)
    with zipfile.ZipFile(tmp_path / f"iniconfig-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("iniconfig.py", "# from somebody else")
        for name, text in {
            "METADATA": f"Metadata-Version: 2.1\nName: iniconfig\nVersion: {version}\n",
            "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "RECORD": "",
        }.items():
            wheel.writestr(f"iniconfig-{version}.dist-info/{name}", text)
    command = [*UV, "install", *INTO, "--no-index", "--find-links", tmp_path, "--target", tmp_path / "to", "iniconfig"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode and "Hash mismatch" in result.stderr and not (tmp_path / "to" / "iniconfig.py").exists()


def test_options_are_refused_before_anything_is_set_up(copy):
    result = launch(copy, "--nonsense")
    assert result.returncode == 1 and result.stderr == "refused\n"
    assert not (copy / ".venv").exists()


def test_a_file_in_the_place_of_the_virtual_environment_is_one_sentence_and_stays(copy):
    (copy / ".venv").write_text("mine")
    result = launch(copy)
    [line] = result.stderr.splitlines()
    assert result.returncode == 1 and "check disk space and permissions" in line
    assert (copy / ".venv").read_text() == "mine"


def test_debian_without_its_package_for_virtual_environments_is_one_sentence(copy):
    result = launch(copy, code="sys.modules['ensurepip'] = None; from bears.__main__ import main; main(['app'])")
    [line] = result.stderr.splitlines()
    assert result.returncode == 1 and "sudo apt install python3-venv" in line


@needs_posix
def test_a_virtual_environment_that_is_half_made_heals(copy, starts):
    process = starts([sys.executable, "-m", "bears", "app"], cwd=copy)
    while not (copy / ".venv" / "bin" / "python").exists() and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert (copy / "log").read_text().splitlines()[1:] == ["Stopped. Run the same command again to continue."]

    healed = launch(copy)
    if "Couldn't" in healed.stderr:
        pytest.skip("needs a package index")
    assert healed.stdout.endswith("it runs\n"), healed.stderr
    assert launch(copy).stdout == "it runs\n"  # at once

    [metadata] = copy.glob(".venv/lib/*/site-packages/iniconfig-*/METADATA")
    metadata.unlink()
    (copy / "requirements.txt").write_text("iniconfig>=2\n")
    assert launch(copy).stdout.endswith("it runs\n")


def test_uv_goes_the_way_to_the_index_that_pip_is_told(monkeypatch):
    monkeypatch.setattr("bears.__main__.PYTHON", sys.executable)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    told = pip_settings()
    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert told["UV_SYSTEM_CERTS"] == "1"  # a company's proxy may need a certificate of the system


@needs_posix
def test_notebook_opens_in_jupyter(starts, tmp_path):
    pytest.importorskip("jupyterlab")
    port = free_port()
    process = starts(
        [sys.executable, "-m", "bears.notebook", "--no-browser", "--allow-root", "--port", str(port)], cwd=ROOT
    )
    while not (links := re.findall(r"http://127\S+/lab/tree/\S+", (tmp_path / "log").read_text())):
        assert process.poll() is None
        time.sleep(0.1)
    page, token = links[0].split("?")
    assert page.endswith("/notebooks/lesson.ipynb")
    api = page.replace("/lab/tree/", "/api/contents/")
    assert get(f"{api}?{token}").json()["type"] == "notebook"  # Jupyter prints the link before it listens
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(30) == 0 and "Traceback" not in (tmp_path / "log").read_text()


def test_every_command_stands_in_the_help():
    result = subprocess.run([sys.executable, "-m", "bears", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert all(f"python3 -m bears {command} " in result.stdout for command in COMMANDS)


def test_an_unknown_command_is_named():
    result = subprocess.run([sys.executable, "-m", "bears", "serve"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and result.stderr.startswith("There is no command serve")


def test_launcher_says_which_version_it_is():
    result = subprocess.run([sys.executable, "-m", "bears", "--version"], cwd=ROOT, capture_output=True, text=True)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    [latest, *_] = re.findall(r"^## (\S+)", changes, re.MULTILINE)
    assert result.returncode == 0 and result.stdout.startswith(f"bears {latest} (")


@pytest.mark.parametrize("option, status", [("--help", 0), ("--sed", None)])
def test_other_processes_of_accelerate_leave_the_options_to_the_first(option, status):
    code = "from bears.cli import begin; from bears.train.options import parse_args;"
    code += f"begin(lambda: parse_args('', ['{option}'])); print('goes on')"
    env = {**os.environ, "RANK": "1"}
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert result.stdout == ("goes on\n" if status is None else "") and not result.stderr


def test_gradio_waits_for_nothing_that_jupyter_brings():
    code = "from bears.cli import prepare_gradio; prepare_gradio(); import jsonschema, sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "jsonschema" in result.stdout.split() and "lark" not in result.stdout.split()
