"""Test `benchmarks/footage.py` and `benchmarks/watch.py`, which count alarms in clips with known visitors."""

import json
import sys
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from bears.watch.alarm import Rule
from helpers import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import footage
import watch
from footage import ANIMALS, BEARS, CATEGORIES, FPS, TEDDIES, WEATHER


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Return a folder with the photos of examples/ in place of the benchmark's."""
    return footage.read_table(tmp_path_factory.mktemp("data") / "shared")


def frames(clip, count):
    """Return the first `count` frames of a clip, a dict from time to picture."""
    return dict(islice(clip.frames(), count))


@pytest.mark.slow
def test_an_outline_is_that_of_the_animal_and_not_of_what_is_around_it(photos):
    for some in photos.values():
        for photo in some:
            what = footage.cut_out(photo)
            assert what.bgr.shape[:2] == what.alpha.shape
            assert what.alpha[0, 0] < 128 < what.alpha.mean() * 2, "a box has no corners that can be seen through"


def test_a_photo_without_an_animal_has_no_outline():
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    assert footage.outline(noise, footage.Photo.box) is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", [BEARS[1], WEATHER])
def test_the_same_clip_comes_out_twice(photos, kind):
    one, other = (frames(footage.Clip(photos, kind, 3), 5) for _ in range(2))
    assert all(np.array_equal(one[t], other[t]) for t in one)


@pytest.mark.slow
def test_a_bear_is_where_and_when_the_clip_says_and_nothing_else_moves(photos):
    clip = footage.Clip(photos, BEARS[0], 1)
    clip.weather = footage.Weather(noise=1)
    [visit] = clip.visits
    assert footage.QUIET <= visit.seen < visit.half < visit.gone < clip.seconds
    shown = frames(clip, round((visit.half + 1) * FPS))
    differs = {t: (np.abs(frame[::2, ::2] - shown[0][::2, ::2].astype(int)) > 25).mean() for t, frame in shown.items()}
    assert max(share for t, share in differs.items() if t < visit.seen) < 1e-4
    assert max(differs.values()) > 0.1 * visit.height**2


@pytest.mark.slow
def test_a_teddy_that_is_set_down_stands_still_between(photos):
    clips = (footage.Clip(photos, TEDDIES, number) for number in range(9))
    toys = [actor for clip in clips for actor in clip.actors if actor.kind == "teddy" and len(actor.path) > 2]
    for toy in toys:
        (begin, *place), (end, *same) = toy.path[2:4]
        assert place == same and end - begin > 20
    assert toys


@pytest.mark.slow
def test_each_kind_of_clip_is_of_its_kind(photos):
    for kind in CATEGORIES:
        seen = {visit.kind for visit in footage.Clip(photos, kind, 1).visits}
        assert "bear" not in seen and bool(seen) == (kind in CATEGORIES[2:])
    assert {visit.kind for visit in footage.Clip(photos, ANIMALS, 2).visits} == {"animal"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip.mp4", "clip.y4m"])
def test_a_film_can_be_looked_at(photos, tmp_path, name):
    pictures = list(frames(footage.Clip(photos, BEARS[0], 0), 3).values())
    footage.write(tmp_path / name, iter(pictures))
    seen = [frame.picture for frame in watch.film(tmp_path / name)]
    assert len(seen) == 3 and np.abs(seen[0].astype(int) - pictures[0]).mean() < 8


def record(kind, scores, seen=8.0, height=0.3):
    """Return the record of a clip in which the model gave these scores, two a second, from the eighth second."""
    probs = {"black": 1.0, "grizzly": 0.0, "teddy": 0.0}
    looks = [[8 + i / 2, [[1, score, probs, "sure"]]] for i, score in enumerate(scores)]
    visits = [{"kind": "bear", "height": height, "seen": seen, "gone": 30.0}] if kind in BEARS else []
    return {"clip": kind, "kind": kind, "seconds": 3600, "visits": visits, "looks": looks}


def test_the_more_it_takes_to_alarm_the_more_is_missed_and_the_fewer_are_false():
    rows = [record(BEARS[0], [0, 0.9, 0.9, 0.9]), record(BEARS[0], [0.6] * 4), record(CATEGORIES[0], [0.7] * 3)]
    delays, false = {}, {}
    for threshold in (0.5, 0.65, 0.8):
        rule = replace(Rule(), threshold=threshold)
        delays[threshold], n = watch.of_visits(rows[:2], rule)
        false[threshold] = watch.of_hours(rows[2:], rule)
        assert n == 2
    assert delays == {0.5: [1.0, 1.0], 0.65: [1.0], 0.8: [1.0]}
    assert false == {0.5: (1, 1.0), 0.65: (1, 1.0), 0.8: (0, 1.0)}


def test_an_alarm_before_the_bear_is_none_of_the_bear():
    row = record(BEARS[0], [0.9] * 3 + [0] * 5, seen=12.0)
    assert watch.of_visits([row], Rule()) == ([], 1)


def test_rates_say_what_no_alarm_in_so_many_hours_means():
    assert watch.rate(0, 10) == "0 (less than 0.30)"
    assert watch.rate(2, 10) == "0.20 (0.02 to 0.72)"


def test_the_curve_is_drawn_of_what_is_recorded(tmp_path):
    rows = [record(kind, [0.9] * 4, height=height) for kind in BEARS for height in (0.12, 0.3)]
    points = watch.curve([*rows, record(CATEGORIES[0], [0.3] * 4)])
    assert [p["false_alarms"] for p in (points[0], points[-1])] == [1, 0]
    assert [points[-1]["bears"][f"{BEARS[0]}, {name}"]["missed"] for name in ("all", "15% and more")] == [2, 1]
    watch.draw(points, Rule().threshold, tmp_path / "curve.svg")
    assert "</svg>" in (tmp_path / "curve.svg").read_text()


def test_the_published_curve_is_of_ten_hours_and_a_hundred_visits():
    curve = json.loads(watch.CURVE.read_text())
    [chosen] = [point for point in curve["points"] if point["threshold"] == curve["chosen"]]
    assert curve["chosen"] == Rule().threshold and chosen["hours"] >= 10
    assert all(chosen["bears"][f"{kind}, all"]["visits"] >= 100 for kind in BEARS)
    large = [chosen["bears"][f"{kind}, 15% and more"] for kind in BEARS]
    noticed = [f"{group['visits'] - group['missed']} of {group['visits']}" for group in large]
    alarms = f"{chosen['false_alarms']} false alarms"
    for page in ("README.md", "MODEL_CARD.md", "docs/watch.md"):
        text = " ".join((ROOT / page).read_text().split())
        assert all(words in text for words in noticed), page
        assert alarms in text or page == "docs/watch.md"


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on_where_it_was(photos, tmp_path, capsys):
    records = tmp_path / "records.jsonl"
    model = watch.Classifier(ROOT / "export.pkl")
    watch.record(model, watch.all_clips(photos, 0, 1), records)
    [night, day] = watch.read_records(records)
    assert watch.delay(day, Rule()) is not None
    records.write_text(json.dumps(night) + "\n" + json.dumps(day)[:100])
    capsys.readouterr()
    watch.record(model, watch.all_clips(photos, 0, 1), records)
    assert "bears by day 0" in capsys.readouterr().out
    assert [row["clip"] for row in watch.read_records(records)] == [night["clip"], day["clip"]]
