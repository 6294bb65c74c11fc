"""Test `benchmarks/backbones.py`, which compares backbones."""

import re
import sys

import pytest
from helpers import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import backbones


def compare(capsys, *args):
    """Run the script; return its output, and the cells of its table by backbone."""
    backbones.main([str(arg) for arg in args])
    out = capsys.readouterr().out
    rows = [line.strip("| ").split(" | ") for line in out[out.index("| backbone |") :].splitlines()[2:]]
    return out, {arch: cells for arch, *cells in rows}


@pytest.mark.slow
def test_backbones_are_compared_on_the_same_folds_and_nothing_is_written(shapes, tmp_path, capsys):
    names = "resnet10t,mobilenetv3_small_050"
    args = ["--no-pretrained", "--folds", 2]
    before = (ROOT / "export.json").read_text()
    _, table = compare(capsys, names, "--data", shapes, *args)
    assert ",".join(table) == names and (ROOT / "export.json").read_text() == before
    for error, interval, *costs in table.values():
        assert re.fullmatch(r"\d+\.\d% of 32", error) and re.fullmatch(r"\d+\.\d% to \d+\.\d%", interval)
        assert all(float(cost) > 0 for cost in costs)
    assert float(table["resnet10t"][2]) > float(table["mobilenetv3_small_050"][2])  # megabytes


@pytest.fixture
def offline(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # an empty cache of weights
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing answers at this port


@pytest.mark.slow
def test_a_backbone_that_cannot_be_downloaded_costs_one_line(shapes, capsys, offline):
    names = "resnet18,tf_efficientnet_lite0"
    out, table = compare(capsys, names, "--data", shapes, "--folds", 2)
    assert list(table) == ["tf_efficientnet_lite0"]
    assert len(re.findall("^· The ImageNet weights of resnet18 could not be downloaded", out, re.MULTILINE)) == 1


def fails(*args):
    """Return the error message with which the script stops."""
    with pytest.raises(SystemExit) as exit:
        backbones.main([str(arg) for arg in args])
    message = str(exit.value)
    assert message.startswith("backbones.py: ") and "\n" not in message
    return message


def test_no_backbone_to_compare_is_a_failure(shapes, offline):
    assert "nothing to compare" in fails("resnet18", "--data", shapes)


def test_unknown_backbone_fails_before_the_first_training(shapes, capsys):
    assert "resnet10t" in fails("tf_efficientnet_lite0,resnet10", "--data", shapes)
    assert "training" not in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--arch", "--negatives", "--subject", "--max-error", "--out"])
def test_options_that_a_comparison_would_ignore_are_refused(shapes, capsys, option):
    with pytest.raises(SystemExit):
        backbones.parse_args(["resnet18", "--data", str(shapes), option, "0"])
    assert "exports nothing" in capsys.readouterr().err


def test_a_name_that_is_missing_is_refused(shapes, capsys):
    with pytest.raises(SystemExit):
        backbones.parse_args(["resnet18,", "--data", str(shapes)])
    assert "names of backbones" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", [[], ["--lesson"]])
def test_a_comparison_needs_folds(shapes, capsys, recipe):
    assert backbones.parse_args(["resnet18", "--data", str(shapes), *recipe])[1].folds == 5
    with pytest.raises(SystemExit):
        backbones.parse_args(["resnet18", "--data", str(shapes), "--folds", "0", *recipe])
    assert "at least 2 folds" in capsys.readouterr().err
