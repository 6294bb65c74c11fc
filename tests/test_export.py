"""Test the shipped export.pkl: it is small, portable, and right about the examples."""

import pathlib
import pickle
import pickletools
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from bears.errors import ExportError, NoModelError
from bears.model.export import export, open_export
from bears.model.photo import open_photo
from helpers import ROOT

EXPORT = ROOT / "export.pkl"
EXAMPLES = [f for f in sorted((ROOT / "examples").glob("*.jpg")) if f.stem != "none"]
PACKAGES = {"fastai", "fastcore", "fasttransform", "plum", "timm", "torch", "numpy", "PIL", *sys.stdlib_module_names}


@pytest.fixture(scope="module")
def learn():
    return open_export(EXPORT)


def opcodes():
    with zipfile.ZipFile(EXPORT) as f:
        [name] = [name for name in f.namelist() if name.endswith("/data.pkl")]
        return list(pickletools.genops(f.read(name)))


def imports():
    """Return the (module, name) pairs that unpickling would import, read from the opcodes without running them."""
    found, strings, memo, previous = set(), [], {}, ""
    for op, arg, _ in opcodes():
        if op.name == "GLOBAL":
            found.add(tuple(arg.split(" ")))
        elif op.name == "STACK_GLOBAL":
            found.add(tuple(strings[-2:]))
        elif "UNICODE" in op.name:
            strings.append(arg)
        elif op.name == "MEMOIZE":
            memo[len(memo)] = strings[-1] if previous.endswith("UNICODE") else None
        elif op.name in ("BINGET", "LONG_BINGET") and memo.get(arg) is not None:
            strings.append(memo[arg])
        previous = op.name
    return found


def test_fits_without_large_file_storage():
    assert EXPORT.stat().st_size <= 10_000_000


def test_holds_plain_imports_of_known_packages_only():
    modules = {module.split(".")[0] for module, _ in imports()}
    assert {"fastai", "timm", "torch"} <= modules <= PACKAGES


def test_holds_no_code():
    names = {name for _, name in imports()}
    assert not names & {"CodeType", "FunctionType", "_make_function", "_builtin_type", "eval", "exec"}
    assert not any("cloudpickle" in module for module, _ in imports())


def test_holds_no_paths():
    assert "PosixPath" not in {name for _, name in imports()}
    strings = [arg for op, arg, _ in opcodes() if "UNICODE" in op.name]
    assert not [s for s in strings if re.match(r"(/|[A-Z]:\\)\w", s) or "site-packages" in s]


@pytest.mark.slow
def test_loads_and_predicts_where_nothing_of_this_project_is(tmp_path):
    (tmp_path / "export.pkl").write_bytes(EXPORT.read_bytes())
    (tmp_path / "photo.jpg").write_bytes(EXAMPLES[0].read_bytes())
    code = "from fastai.vision.all import *; print(load_learner('export.pkl').predict('photo.jpg')[0])"
    command = [sys.executable, "-I", "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip().splitlines()[-1] == EXAMPLES[0].stem


def test_an_export_of_python_3_13_opens_elsewhere(learn, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pathlib._local", pathlib)  # the module of paths in that version of Python
    monkeypatch.setattr(Path, "__module__", "pathlib._local")
    export(learn, tmp_path / "export.pkl")
    assert open_export(tmp_path / "export.pkl").predict(EXAMPLES[0])[0] == EXAMPLES[0].stem


def test_computes_in_single_precision(learn):
    assert {str(p.dtype) for p in learn.model.parameters()} == {"torch.float32"}


def test_there_is_an_example_of_every_class(learn):
    assert set(learn.dls.vocab) == {photo.stem for photo in EXAMPLES}


@pytest.mark.parametrize("photo", EXAMPLES, ids=lambda f: f.name)
def test_is_right_about_the_examples(learn, photo):
    label, _, probs = learn.predict(open_photo(photo))
    assert label == photo.stem and probs.max() > 0.8


def test_a_missing_model_is_the_same_sentence_in_another_process():
    error = NoModelError("x.pkl")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) and "There is no model x.pkl" in str(error)


def test_an_lfs_pointer_is_named_with_the_command_that_fetches_the_model(tmp_path):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 9\n"
    (tmp_path / "export.pkl").write_text(pointer)
    for trust in (False, True):
        with pytest.raises(ExportError, match=r"is a Git LFS pointer, .* `git lfs pull`\.$"):
            open_export(tmp_path / "export.pkl", trust)
    with pytest.raises(ExportError, match="can't be opened here"):  # a folder is not an LFS pointer
        open_export(tmp_path)
