"""Test how sources are left out in turn, and from which probability an answer is sure."""

import csv
import shutil
from argparse import Namespace

import numpy as np
import pytest
import torch
from bears.errors import DataError
from bears.learning.calibration import fit_temperature
from bears.model.export import open_export
from bears.model.metadata import error_sentence, public
from bears.train.sources import LEAST, REST, choose_likely, describe_source, find_sources, split_by_source
from helpers import facts_of

import train


def answers(*rows):
    """Return probabilities and targets from rows of (probability of class 0, true class)."""
    return torch.tensor([[p, 1 - p] for p, _ in rows]), torch.tensor([truth for _, truth in rows])


def write_sources(file, rows):
    with file.open("w", newline="") as f:
        csv.writer(f).writerows([("file", "source"), *rows])
    return file


def test_each_large_source_is_left_out_alone_and_small_ones_together():
    sources = np.array(["a"] * LEAST + ["b"] * LEAST + ["c", "d", ""])
    n = len(sources)
    splits = split_by_source(sources, np.arange(n), np.arange(n) % 2)
    assert splits.keys() == {"a", "b", REST}
    train_idx, valid_idx = splits["b"]
    assert set(sources[valid_idx]) == {"b"} and set(sources[train_idx]) == {"a", "c", "d", ""}
    assert set(sources[splits[REST][1]]) == {"c", "d"}, "a photo of unknown source is never left out"


def test_near_duplicates_in_other_sources_are_not_learnt_from():
    sources, groups = np.array(["a"] * LEAST + ["b"] * LEAST), np.arange(2 * LEAST)
    groups[LEAST + 3] = groups[0]
    train_idx, _ = split_by_source(sources, groups, np.arange(2 * LEAST) % 2)["a"]
    assert LEAST + 3 not in train_idx and LEAST + 4 in train_idx


def test_the_only_source_of_a_class_is_not_left_out():
    sources = np.array(["a"] * LEAST + ["b"] * LEAST)
    assert split_by_source(sources, np.arange(2 * LEAST), np.repeat([0, 1], LEAST)) == {}


def test_sure_is_from_where_no_source_is_wrong_more_often_than_it_may_be():
    good = answers(*[(0.9, 0)] * 50)
    poor = answers(*[(0.99, 0)] * 49, (0.985, 1), *[(0.8, 1)] * 5)  # 2% wrong above 0.9, 11% above 0.8
    assert choose_likely([good, poor]) == pytest.approx(0.801)
    assert choose_likely([good, poor], max_wrong=0.01) == pytest.approx(0.986), "the good source is no excuse"
    assert choose_likely([answers((0.9999, 1))]) == pytest.approx(0.999), "nothing is sure enough"


def test_a_source_is_described_by_its_errors_and_those_of_its_sure_answers():
    judged = answers((0.99, 0), (0.98, 1), (0.6, 1), (0.7, 0))
    assert describe_source(*judged, 0.9) == {"errors": 2, "photos": 4, "sure_wrong": 1, "sure": 2}


def test_each_part_counts_the_same_for_the_temperature():
    logits = torch.tensor([[4.0, 0.0]] * 110)
    targets = torch.tensor([0] * 100 + [0] * 5 + [1] * 5)  # half of the second part is wrong
    assert fit_temperature(logits, targets, [100, 10]) > fit_temperature(logits, targets)


def test_sources_come_from_the_table_that_is_named_or_that_collect_has_written(tmp_path):
    files = [tmp_path / "cat" / "1.jpg", tmp_path / "dog" / "2.jpg"]
    args = Namespace(data=[tmp_path], sources=None, lesson=None)
    assert find_sources(files, args) is None
    write_sources(tmp_path / "attribution.csv", [("cat/1.jpg", "flickr"), ("dog/2.jpg", "museum")])
    assert find_sources(files, args).tolist() == ["flickr", "museum"]
    pages = [("cat/1.jpg", "https://www.flickr.com/photos/1"), ("dog\\2.jpg", "https://commons.wikimedia.org/wiki/2")]
    write_sources(tmp_path / "attribution.csv", pages)
    assert find_sources(files, args).tolist() == ["www.flickr.com", "commons.wikimedia.org"]
    assert find_sources(files, Namespace(**vars(args) | {"lesson": "book"})) is None
    (tmp_path / "attribution.csv").write_text("somebody,else\n")
    assert find_sources(files, args) is None
    args.sources = write_sources(tmp_path / "mine.csv", [("cat/1.jpg", "phone")])
    with pytest.raises(DataError, match="at least two sources"):
        find_sources(files, args)
    args.sources = tmp_path / "none.csv"
    with pytest.raises(DataError, match=r"not a readable CSV file with columns file and source \(No such file"):
        find_sources(files, args)


def test_each_of_several_folders_is_the_source_of_photos_whose_source_is_not_known(tmp_path):
    files = [tmp_path / "a" / "cat" / "1.jpg", tmp_path / "a" / "cat" / "2.jpg", tmp_path / "b" / "dog" / "1.jpg"]
    (tmp_path / "a").mkdir()
    write_sources(tmp_path / "a" / "attribution.csv", [("cat/1.jpg", "flickr")])
    args = Namespace(data=[tmp_path / "a", tmp_path / "b"], sources=None, lesson=None)
    assert find_sources(files, args).tolist() == ["flickr", f"{tmp_path}/a", f"{tmp_path}/b"]


@pytest.mark.usefixtures("no_workers", "no_pictures")
@pytest.mark.slow
def test_train_reports_the_error_by_source_and_exports_when_it_is_sure(shapes, tmp_path, capsys):
    data = shutil.copytree(shapes, tmp_path / "data")
    for label in ("disc", "square"):  # 40 photos
        for i in range(4):
            shutil.copy(data / label / f"{i:02}.jpg", data / label / f"copy{i}.jpg")
    names = sorted(f.relative_to(data).as_posix() for f in data.glob("*/*.jpg"))
    table = write_sources(tmp_path / "sources.csv", [(name, "a" if i % 2 else "b") for i, name in enumerate(names)])
    train.main(["--data", str(data), "--out", str(tmp_path / "out"), "--sources", str(table), "--folds", "2"])
    facts, said = facts_of(tmp_path / "out"), capsys.readouterr().out
    assert facts["by_source"]["photos"] == 40 and facts["by_source"]["sources"].keys() == {"a", "b"}
    assert "from sources that they had not seen" in said and "called sure" in said
    fitted = open_export(tmp_path / "out" / "export.pkl", False).ood
    assert fitted["likely"] == facts["by_source"]["likely"] and 0.5 <= fitted["earned"] < 1
    public_facts = public(facts)
    assert error_sentence(public_facts) == error_sentence(facts) and "sources" not in public_facts["by_source"]
    assert "Called sure" in (tmp_path / "out" / "reports" / "index.html").read_text()
