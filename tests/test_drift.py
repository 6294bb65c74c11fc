"""Test `python3 -m bears report`: is the model as sure about visitors' photos as about known ones?"""

import csv
import shutil

import numpy as np
import pytest
from bears.app import counts as module
from bears.app.counts import COLUMNS, Counts
from bears.app.feedback import Feedback
from bears.errors import DataError
from bears.files import version_of
from bears.model.answers import SURE, UNSURE
from bears.report import page
from bears.report.__main__ import main
from bears.report.drift import Answers, ask, compare, read_counts
from helpers import ROOT

MODEL = ROOT / "export.pkl"


def answers(*counts):
    made = Answers()
    for probability, count in counts:
        made.add(probability, SURE, count)
    return made


@pytest.fixture
def counts(tmp_path):
    return Feedback(str(tmp_path / "kept"), MODEL, ["disc", "square"]).counts


def rows(file):
    with file.open(newline="") as f:
        return list(csv.DictReader(f))


def test_answers_are_counted_by_day_class_and_kind_and_go_on_after_a_restart(counts):
    for probability in (0.99, 1.0, 0.97, 0.5):
        counts.note({"disc": probability, "square": 1 - probability}, SURE)
    counts.note({"disc": 0.2, "square": 0.8}, UNSURE)
    counts.write()
    assert tuple(rows(counts.file)[0]) == COLUMNS
    found = sorted((r["answer"], r["certainty"], r["probability"], r["count"]) for r in rows(counts.file))
    assert found == [("disc", SURE, "0.5", "1"), ("disc", SURE, "0.95", "3"), ("square", UNSURE, "0.8", "1")]
    again = Counts(counts.file, counts.version)
    again.note({"disc": 0.99, "square": 0.01}, SURE)
    again.write()
    assert sum(int(row["count"]) for row in rows(counts.file)) == 6
    read = read_counts(counts.file.parent, MODEL)
    assert read.total == 6 and read.steps[19] == 4 and read.kinds[UNSURE] == 1 and len(read.days) == 1


def test_a_full_disk_and_a_damaged_file_cost_no_answer(counts, monkeypatch):
    counts.file.write_text("nonsense\n1\n")
    assert not Counts(counts.file, "").counter

    def full(*args):
        raise module.ExportError("no room")

    monkeypatch.setattr(module, "write_whole", full)
    monkeypatch.setattr(module, "EVERY", -1)
    counts.note({"disc": 1.0}, SURE)
    assert counts.counter.total() == 1


def test_only_so_many_days_are_kept(counts, monkeypatch):
    monkeypatch.setattr(module, "MAX_DAYS", 2)
    for day in ("2026-11-01", "2026-11-02", "2026-11-03"):
        monkeypatch.setattr(module.time, "strftime", lambda format, day=day: day)
        counts.note({"disc": 1.0}, SURE)
    counts.write()
    assert [row["day"] for row in rows(counts.file)] == ["2026-11-02", "2026-11-03"]


def test_photos_of_the_same_kind_have_not_drifted():
    found = compare(answers((0.9, 100), (0.6, 50)), answers((0.9, 200), (0.6, 100)))
    assert found.lower == 0.5 and not found.found and found.interval[0] < 0.5 < found.interval[1]
    assert page.verdict(found).startswith("Visitors' photos look like the known ones. ")


def test_photos_of_another_kind_have_and_the_effect_is_said_first():
    found = compare(answers((0.95, 90), (0.6, 10)), answers((0.95, 40), (0.6, 60)))
    assert found.found and found.lower == pytest.approx(0.75) and found.p < 1e-6
    assert (
        "a lower probability than a known photo in 75% of pairs (95% interval: 68% to 82%; 50% is no difference"
        in page.effect(found)
    )
    assert "domain shift" in page.title(found) and "less sure" in page.advice(found)


def test_a_difference_that_is_certain_and_tiny_is_no_drift():
    found = compare(answers((0.95, 90_000), (0.6, 10_000)), answers((0.95, 88_000), (0.6, 12_000)))
    assert found.p < 1e-6 and not found.found


@pytest.mark.parametrize("known, visitors", [((0.9, 29), (0.1, 500)), ((0.9, 500), (0.1, 29)), ((0.9, 3), (0.9, 3))])
def test_of_few_answers_nothing_is_said(known, visitors):
    found = compare(answers(known), answers(visitors))
    assert not found.found and "Too few" in page.title(found) and np.isfinite(found.interval).all()


def test_what_cannot_be_read_is_one_sentence(tmp_path, counts):
    with pytest.raises(DataError, match=r"There is no .*counts\.csv\. Give the folder of `app --feedback`"):
        read_counts(tmp_path, MODEL)
    with pytest.raises(DataError, match=r"There is no .*export\.pkl\. Choose an export"):
        read_counts(counts.file, tmp_path / "export.pkl")
    counts.write()
    with pytest.raises(DataError, match="has no answer of"):
        read_counts(counts.file, MODEL)
    counts.file.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="can't be read"):
        read_counts(counts.file, MODEL)


@pytest.mark.slow
def test_the_report_of_noise_before_a_model_of_shapes(shapes, shapes_model, tmp_path, capsys):
    counts = Counts(tmp_path / "counts.csv", version_of(shapes_model))
    for _ in range(40):
        counts.note({"disc": 0.55, "square": 0.45}, UNSURE)
    counts.write()
    out = tmp_path / "drift.html"
    main([str(tmp_path), str(shapes), "--model", str(shapes_model), "--out", str(out)])
    said = capsys.readouterr().out
    assert "40 answers, 0 of them sure" in said and "have drifted" in said and "domain shift" in out.read_text()
    with pytest.raises(SystemExit, match="There are no photos"):
        main([str(tmp_path), str(tmp_path / "none"), "--model", str(shapes_model), "--out", str(out)])


@pytest.mark.slow
def test_bears_before_cameras_have_drifted_from_postcards(photos, tmp_path):
    postcards = [f for label in ("black", "grizzly") for f in sorted((photos / "bears" / label).iterdir())[::15]]
    cameras = sorted((photos.parent / "camp" / "bear").iterdir())[::2]
    other_postcards = [f for label in ("black", "grizzly") for f in sorted((photos / "bears" / label).iterdir())[7::15]]
    asked = {}
    for name, files in (("postcards", postcards), ("cameras", cameras), ("others", other_postcards)):
        (tmp_path / name).mkdir()
        for i, file in enumerate(files[:40]):
            shutil.copy(file, tmp_path / name / f"{i}{file.suffix}")
        asked[name] = ask(MODEL, tmp_path / name)
    found = compare(asked["postcards"], asked["cameras"])
    assert found.found and found.lower > 0.6
    assert not compare(asked["postcards"], asked["others"]).found
