"""Test `benchmarks/corruptions.py` and `benchmarks/cameras.py`, which measure models on bad photos."""

import re
import shutil
import sys

import numpy as np
import pytest
from helpers import ROOT
from PIL import Image

sys.path.insert(0, str(ROOT / "benchmarks"))

import cameras
import corruptions
from corruptions import STRENGTHS


@pytest.mark.slow
def test_corruptions_get_worse_with_their_severity():
    with Image.open(ROOT / "examples" / "grizzly.jpg") as photo:
        photo = corruptions.small(photo)
    damage = {}
    for kind, _, [bad] in corruptions.corrupted([photo]):
        assert bad.size == photo.size
        damage.setdefault(kind, []).append(np.abs(np.asarray(bad) - np.asarray(photo, float)).mean())
    assert damage.pop("none") == [0] and len(damage) == 6
    for kind, by_severity in damage.items():
        assert by_severity == sorted(by_severity) and by_severity[0] > 0, kind


@pytest.mark.slow
@pytest.mark.parametrize("plain", [[], ["--plain"]])
def test_corruptions_print_two_tables_of_photos_that_no_app_has_seen(shapes, no_workers, monkeypatch, capsys, plain):
    monkeypatch.setattr(corruptions, "STRENGTHS", {k: STRENGTHS[k] for k in (corruptions.noise, corruptions.jpeg)})
    options = ["--no-pretrained", "--arch", "mobilenetv3_small_050", "--folds", "2", "--every", "8"]
    corruptions.main(["--data", str(shapes), *options, *plain])
    tables = re.split(r"This is the share of the 4 tested photos that (.*):\n", capsys.readouterr().out)[1:]
    assert tables[::2] == ["got the wrong class", "were rejected"]
    for table in tables[1::2]:
        assert re.findall(r"^\| (\w+) \| [\d.]+% \|", table, re.MULTILINE) == [
            k.__name__ for k in corruptions.STRENGTHS
        ]


@pytest.fixture
def camera_photos(tmp_path):
    """Return a folder of the example photos in the layout for `cameras.py`."""
    examples = ROOT / "examples"
    for name, copies in {"black": 2, "grizzly": 2, "teddy": 2, "none": 1}.items():
        folder = tmp_path / "photos" / ("not_bears" if name == "none" else f"bears/{name}")
        folder.mkdir(parents=True)
        for i in range(copies):
            shutil.copy(examples / f"{name}.jpg", folder / f"{i}.jpg")
    (tmp_path / "camp").mkdir()
    for name in ("grizzly", "none"):
        shutil.copy(examples / f"{name}.jpg", tmp_path / "camp")
    rows = ["grizzly.jpg,bear,night-ir,yes,hill", "none.jpg,other,day,no,sea", "clip.mp4,bear,day,yes,hill"]
    (tmp_path / "camp" / "camp.csv").write_text("\n".join(["file,label,conditions,camera_trap,repo", *rows]))
    return tmp_path


@pytest.mark.slow
def test_cameras_counts_what_the_app_says_by_kind_light_and_source(camera_photos, capsys):
    cameras.main(["--data", str(camera_photos)])
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.count("|") > 3]
    rows = {name: cells for name, *cells in lines}
    found, missed = ["1", "1", "0", "0", "0", "100% (21% to 100%)"], ["1", "0", "0", "0", "1", "0% (0% to 79%)"]
    trail = "bears on trail cameras"
    assert [rows[name] for name in (f"all {trail}", f"{trail}, at night", f"{trail}, from `hill`")] == [found] * 3
    assert rows[cameras.NAMES["other", False]] == rows[cameras.OTHERS] == missed
    assert rows[cameras.SHRUNK.format("bears")][:2] == ["1", "1"]


@pytest.mark.slow
def test_cameras_says_how_often_the_peak_of_the_heatmap_is_on_the_bear(camera_photos, capsys):
    cameras.main(["--data", str(camera_photos), "--heatmaps"])
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.count("|") > 3]
    assert [row[:4] for row in rows[2:]] == [
        ["in boxes from the detector", how, "1", "1 of 1 (21% to 100%)"] for how in ("a second pass", "the detector")
    ]


def test_cameras_without_photos_says_what_is_missing(tmp_path):
    with pytest.raises(SystemExit) as exit:
        cameras.main(["--data", str(tmp_path)])
    assert "camp.csv" in str(exit.value) and "--data" in str(exit.value) and "\n" not in str(exit.value)
