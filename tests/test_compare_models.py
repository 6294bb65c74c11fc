"""Test `python3 -m bears compare`: which of two models is better on the same photos, and how sure that is."""

import os
import shutil
import subprocess
import sys
from functools import partial

import pytest
from bears.compare import report
from bears.compare.__main__ import main
from bears.compare.judge import FALSE_NO, FALSE_YES, WRONG_CLASS, Answer, Comparison, find_error
from bears.learning.metrics import paired_interval, photos_needed
from bears.model.answers import GROUP, NONE, SURE, UNSURE, Limits
from helpers import ROOT, facts_of
from scipy.stats import binomtest

RIGHT, WRONG = Answer("Disc", "", False), Answer("Square", WRONG_CLASS, False)


def comparison(fixed, broken, both_right=0, tmp=ROOT / "examples" / "teddy.jpg"):
    old = [WRONG] * fixed + [RIGHT] * (broken + both_right)
    new = [RIGHT] * fixed + [WRONG] * broken + [RIGHT] * both_right
    return Comparison([tmp] * len(old), ["disc"] * len(old), old, new, 0)


@pytest.mark.parametrize("fixed, broken", [(0, 0), (5, 0), (6, 0), (0, 6), (9, 2), (10, 2), (30, 30)])
def test_the_interval_leaves_out_no_difference_exactly_where_mcnemars_exact_test_does(fixed, broken):
    low, high = paired_interval(fixed, broken, 200)
    assert low <= (broken - fixed) / 200 <= high
    differ = fixed + broken
    assert (low > 0 or high < 0) == (differ > 0 and binomtest(fixed, differ).pvalue < 0.05)


def test_the_interval_is_never_narrower_with_fewer_photos():
    low, high = paired_interval(0, 0, 120)
    assert -0.031 < low < -0.02 and 0.02 < high < 0.031  # the rule of three
    assert paired_interval(0, 0, 60)[1] > high > paired_interval(0, 0, 1200)[1]


def test_so_many_photos_as_are_said_to_be_needed_can_tell():
    assert comparison(4, 1, 115).verdict == "cannot tell"
    needed = photos_needed(4, 1, 120)
    times = needed / 120
    assert paired_interval(round(4 * times), round(times), needed)[1] < 0
    assert 120 < needed < 1200 and needed % 100 == 0


@pytest.mark.parametrize(
    "counts, title, effect",
    [
        ((30, 2, 168), "The new model is better", "makes 140 fewer errors per 1,000 photos (95% interval: "),
        ((2, 30, 168), "The new model is worse", "makes 140 more errors per 1,000 photos (95% interval: "),
        ((4, 1, 115), "120 photos are not enough: you need about 600", "makes 25 fewer errors per 1,000 photos"),
        (
            (0, 0, 120),
            "120 photos are not enough: you need about 700",
            "makes as many errors (95% interval: 30 fewer to 30",
        ),
    ],
)
def test_the_verdict_is_in_words_and_the_size_of_the_effect_comes_with_it(counts, title, effect):
    found = comparison(*counts)
    assert report.title(found) == title and effect in report.effect(found)
    assert report.summary(found)[-1].startswith(f"{title}. ")


BOTH = Limits(groups=[["disc", "oval"]])


@pytest.mark.parametrize(
    "label, certainty, error",
    [
        ("disc", SURE, ""),
        ("disc", NONE, FALSE_NO),
        ("square", SURE, WRONG_CLASS),
        ("square", UNSURE, WRONG_CLASS),
        ("oval", SURE, WRONG_CLASS),
        ("oval", GROUP, ""),
        ("square", GROUP, WRONG_CLASS),
        ("", SURE, FALSE_YES),
        ("", GROUP, FALSE_YES),
        ("", UNSURE, ""),
        ("", NONE, ""),
        ("star", SURE, FALSE_YES),  # a class that only the other model knows
    ],
)
def test_what_is_wrong_with_an_answer(label, certainty, error):
    assert find_error(label, {"disc": 0.5, "oval": 0.4, "square": 0.1}, certainty, BOTH) == error


@pytest.fixture(scope="module")
def swapped(shapes_model, tmp_path_factory):
    """Return the model of the shapes, changed so that it calls discs squares."""
    from bears.model.export import export, open_export  # imports torch

    folder, learn = tmp_path_factory.mktemp("swapped"), open_export(shapes_model)
    head = learn.model[1][-1]
    head.weight.data, head.bias.data = head.weight.data.flip(0), head.bias.data.flip(0)
    export(learn, folder / "export.pkl")
    shutil.copy(shapes_model.with_suffix(".json"), folder)
    assert facts_of(folder)["classes"] == ["disc", "square"]
    return folder / "export.pkl"


def compare(capsys, *args):
    main([str(arg) for arg in args])
    return capsys.readouterr().out


@pytest.mark.slow
def test_a_worse_model_is_found_and_the_photos_are_in_the_report(shapes, shapes_model, swapped, tmp_path, capsys):
    out = tmp_path / "comparison.html"
    said = compare(capsys, shapes_model, swapped, shapes, "--negatives", ROOT / "examples", "--out", out)
    assert "The new model is worse. Keep the old model." in said and "Wrong class: 0 (old), 3" in said
    page = out.read_text()
    assert "The new model is worse" in page and page.count("<li>") > 20 and "course.fast.ai" in page
    with pytest.raises(SystemExit, match="worse"):
        compare(capsys, shapes_model, swapped, shapes, "--out", out, "--fail-if-worse")
    compare(capsys, swapped, shapes_model, shapes, "--out", out, "--fail-if-worse")
    assert "The new model is better" in out.read_text()


@pytest.mark.slow
def test_a_model_against_itself_cannot_be_told(shapes, shapes_model, tmp_path, capsys):
    out = tmp_path / "comparison.html"
    assert "32 photos are not enough" in compare(
        capsys, shapes_model, shapes_model, shapes, "--out", out, "--fail-if-worse"
    )


@pytest.mark.slow
def test_deploy_sends_nothing_that_is_worse_than_what_the_space_has(hub, shapes, shapes_model, swapped, tmp_path):
    env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "0"}
    env |= {"HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path)}
    program = [sys.executable, "-m", "bears.deploy", "me/bears", "--test", shapes, "--model"]
    run = partial(subprocess.run, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True)
    hub.contents = {f"export.{kind}": shapes_model.with_suffix(f".{kind}").read_bytes() for kind in ("pkl", "json")}
    result = run([*program, swapped])
    assert result.returncode == 1 and "Nothing was sent: this model is worse" in result.stderr and not hub.files
    hub.contents = {}
    result = run([*program, swapped])
    assert result.returncode == 0 and "no older model" in result.stdout and "export.pkl" in hub.files, result.stderr


@pytest.mark.slow
def test_what_cannot_be_compared_is_one_sentence_and_no_report(shapes, shapes_model, tmp_path, capsys):
    (tmp_path / "data" / "star").mkdir(parents=True)
    shutil.copy(shapes / "disc" / "00.jpg", tmp_path / "data" / "star")
    (tmp_path / "broken" / "disc").mkdir(parents=True)
    (tmp_path / "broken" / "disc" / "a.jpg").write_text("no photo")
    (tmp_path / "empty").mkdir()
    for args, sentence in [
        ([shapes_model, tmp_path / "none.pkl", shapes], "There is no model"),
        ([shapes_model, shapes_model, tmp_path / "nowhere"], "There is no folder"),
        ([shapes_model, shapes_model, tmp_path / "empty"], "There are no photos"),
        ([shapes_model, shapes_model, tmp_path / "data"], "No model has the class star"),
        ([shapes_model, shapes_model, tmp_path / "broken"], "No photo in"),
    ]:
        with pytest.raises(SystemExit) as error:
            compare(capsys, *args, "--out", tmp_path / "out.html")
        assert sentence in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out.html").exists()
