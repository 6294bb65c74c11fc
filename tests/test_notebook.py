"""Test that the notebook runs from top to bottom, as a student runs it."""

import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from helpers import ROOT
from nbclient import NotebookClient

NOTEBOOK = ROOT / "notebooks" / "lesson.ipynb"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Run the notebook in a copy of the repository, so that nothing is written into this one. Return the outputs."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("bears", "train.py", "export.pkl", "examples"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(NOTEBOOK.parent, folder / "notebooks")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": folder / "notebooks"}}).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.slow
def test_the_notebook_runs_without_a_warning_and_names_a_teddy_bear(outputs):
    assert not [o["text"] for o in outputs if o.get("name") == "stderr"]
    assert "teddy 100%" in "".join(o.get("text", "") for o in outputs)


@pytest.mark.slow
def test_it_shows_a_batch_the_confusion_matrix_the_top_losses_and_the_bear(outputs):
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 4


def test_it_is_committed_with_its_pictures_and_without_a_path_of_the_machine_that_made_them():
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert text.count('"image/png"') >= 4 and len(text) < 1_000_000
    assert "site-packages" not in text and "/home/" not in text and "/tmp/" not in text


def test_a_folder_of_your_own_is_read_and_nothing_is_written_into_it(shapes, tmp_path, monkeypatch):
    """Run the cells up to `find_photos`, with a student's folder as `path`."""
    photos = shutil.copytree(shapes, tmp_path / "photos")
    before = sorted(photos.rglob("*"))
    monkeypatch.chdir(tmp_path)
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert "pip" in cells[0] and cells[3] == 'path = Path("digits")' and "find_photos(path)" in cells[4]
    code = "\n".join([cells[1].replace("%matplotlib inline", ""), cells[2], f'path = Path("{photos.name}")', cells[4]])
    names = {"sys": sys, "Path": Path}  # imported in the cell before
    exec(code, names)
    assert len(names["files"]) == 32 and sorted(photos.rglob("*")) == before
