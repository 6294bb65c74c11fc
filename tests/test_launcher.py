"""The first seconds of every command: help without a wait, Ctrl-C without a traceback, a `.venv` in any state."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAMS = {
    "train": ["train.py"],
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("option, status", [("--help", 0), ("--no-such-option", 2)])
def test_help_and_refusals_come_before_slow_imports(program, option, status):
    env = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}  # names on stderr whatever is imported
    command = [sys.executable, *PROGRAMS[program], option]
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}
    assert result.returncode == status and "usage: " in result.stdout + result.stderr
    assert "bears.tidy" in imported
    assert not imported & {"torch", "gradio", "fastai", "numpy", "requests", "huggingface_hub"}
