"""`python3 -m bears watch`: what moves before a camera, what it is, and whether that wakes somebody."""

import json

import pytest
from bears.watch.alarm import Alarm, Rule, score
from helpers import ROOT

VECTORS = json.loads((ROOT / "docs" / "alarm_vectors.json").read_text(encoding="utf-8"))


def pairs(values):
    """(track, score) pairs of a step of the vectors."""
    return [(0, *values)] if len(values) == 1 else list(zip(values[1::2], values[::2]))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_the_rule_does_what_its_vectors_say(case):
    alarm = Alarm(Rule(**case["rule"]))
    events = [event for t, *values in case["steps"] for event in alarm.step(t, pairs(values))]
    assert [list(event.values()) for event in events] == [pytest.approx(event, abs=1e-9) for event in case["events"]]


@pytest.mark.parametrize("case", VECTORS["scores"])
def test_a_score_is_what_the_vectors_say(case):
    assert score(case["probs"], case["certainty"], case["alarm"]) == pytest.approx(case["score"], abs=1e-9)


def test_the_rule_remembers_no_more_after_weeks():
    alarm = Alarm(Rule())
    for t in range(20_000):
        alarm.step(t, [(t, 0.1)])
    assert len(alarm.tracks) <= alarm.rule.memory + 1
