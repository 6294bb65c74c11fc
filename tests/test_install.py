"""Test `pip install .`: the commands work without the repository."""

import csv
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers import ROOT, TRACKED, needs

pytestmark = [pytest.mark.slow, needs("git"), pytest.mark.skipif(sys.platform == "win32", reason="needs bin/bears")]


@pytest.fixture(scope="module")
def installed(once):
    """Create an environment with the project as pip installs it, and with the packages of this one."""
    return once("installed", install)


def install(folder):
    pytest.importorskip("setuptools")
    for name in TRACKED:
        if (ROOT / name).exists():
            (folder / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / "copy" / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    [packages] = folder.glob("env/lib/*/site-packages")
    (packages / "here.pth").write_text(sysconfig.get_path("purelib"))
    command = ["pip", "install", "--no-deps", "--no-build-isolation", "--python", folder / "env", folder / "copy"]
    subprocess.run([Path(sys.executable).with_name("uv"), *command], check=True)
    shutil.rmtree(folder / "copy")


def bears(installed, folder, *args):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [installed / "env" / "bin" / "bears", *args]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_every_file_of_the_package_is_installed(installed):
    [package] = installed.glob("env/lib/*/site-packages/bears")
    ours = [name for name in TRACKED if name.startswith(("bears/", "examples/")) and (ROOT / name).exists()]
    missing = [name for name in ours if not any((top / name).exists() for top in (package.parent, package / "lesson"))]
    assert not missing, "name their folders in pyproject.toml"
    assert all((package / "lesson" / name).exists() for name in ("app.py", "train.py", "export.pkl", "export.json"))


def test_an_installed_command_works_in_any_folder_and_writes_there(installed, tmp_path):
    result = bears(installed, tmp_path, "predict", ROOT / "examples")
    assert result.returncode == 0, result.stderr
    rows = csv.DictReader((tmp_path / "predictions.csv").read_text("utf-8-sig").splitlines())
    status = {row["file"]: row["status"] for row in rows}
    assert status["teddy.jpg"] == "sure" and status["none.jpg"] == "no_match"


def test_installed_scripts_of_the_lesson_say_what_they_take(installed, tmp_path):
    assert "--share" in bears(installed, tmp_path, "app", "--help").stdout
    assert "--lesson" in bears(installed, tmp_path, "train", "--help").stdout


def test_a_command_that_needs_the_repository_says_so(installed, tmp_path):
    result = bears(installed, tmp_path, "deploy", "me/bears")
    assert result.returncode == 1 and "Clone the repository" in result.stderr


def test_missing_packages_are_named_by_their_extra(installed, tmp_path):
    for file in installed.glob("env/lib/*/site-packages/here.pth"):
        file.rename(tmp_path / "here.pth")
        result = bears(installed, tmp_path, "clean", "photos")
        (tmp_path / "here.pth").rename(file)
    assert result.returncode == 1 and "pip install '.[train]'" in result.stderr
