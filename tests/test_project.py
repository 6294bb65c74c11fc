"""The repository keeps its promises: two commands, few files, nothing large, nothing that is not ours to give."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

TRACKED = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
TOP_LEVEL = {
    *("app.py", "train.py", "requirements.txt", "requirements-dev.txt", "export.pkl", "export.json", "pyproject.toml"),
    *("README.md", "MODEL_CARD.md", "LICENSE", "bears", "examples", "tests", "benchmarks", "notebooks"),
    *(".ci", ".binder", ".gitignore"),
}


def test_top_level_holds_what_it_should_and_nothing_else():
    assert {name.split("/")[0] for name in TRACKED if name} <= TOP_LEVEL


def test_every_file_is_small_enough_for_any_host():
    assert all((ROOT / name).stat().st_size <= 10_000_000 for name in TRACKED if name and (ROOT / name).exists())


def test_readme_has_the_two_commands_and_ci_runs_the_same_test_command():
    readme = (ROOT / "README.md").read_text()
    assert "python3 -m bears app" in readme and "python3 -m bears test" in readme
    assert "python3 -m bears test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("args", [[], ["nonsense"]])
def test_launcher_without_a_command_says_which_there_are(args):
    result = subprocess.run([sys.executable, "-m", "bears", *args], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and "python3 -m bears app" in result.stderr


def test_launcher_has_help():
    result = subprocess.run([sys.executable, "-m", "bears", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0 and "python3 -m bears collect" in result.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no exec")
def test_launcher_becomes_the_program_so_that_stopping_one_stops_the_other():
    show = "import os; print(os.getpid(), flush=True)"
    code = f"{show}; import sys; from bears.__main__ import run; run([sys.executable, '-c', {show!r}])"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    launcher, program = result.stdout.split()
    assert launcher == program


def test_requirements_name_no_other_index_and_pin_what_the_pickle_needs():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = {re.split(r"[=><[]", line)[0].strip().lower(): line for line in lines if line and line[0] != "#"}
    assert not any(line.startswith("-") for line in lines)
    for name in ("gradio", "fastai", "timm"):
        assert "==" in names[name]
    for name in ("torch", "torchvision", "pillow", "requests"):
        assert ">=" in names[name]


@pytest.mark.parametrize("file", [f for f in TRACKED if f.endswith(".md")])
def test_links_between_pages_lead_somewhere(file):
    text = (ROOT / file).read_text()
    for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text):
        assert (ROOT / file).parent.joinpath(link).exists(), link
