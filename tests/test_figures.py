"""The figures that README and model card state are those that train.py prints for the shipped model."""

import json

import pytest
from helpers import ROOT

FACTS = json.loads((ROOT / "export.json").read_text(encoding="utf-8"))
PAGES = [ROOT / "README.md", ROOT / "MODEL_CARD.md"]


def phrase(facts):
    low, high = facts["interval_95"]
    errors, photos = facts["errors"], facts["photos"]
    return f"{errors / photos:.1%} ({errors} of {photos} photos; 95% interval {low:.1%} to {high:.1%})"


@pytest.mark.parametrize("page", PAGES, ids=lambda f: f.name)
@pytest.mark.parametrize("facts", [FACTS["cross_validation"], FACTS["none_of_them"]["others"]], ids=phrase)
def test_pages_state_the_figures_of_the_shipped_model(page, facts):
    assert phrase(facts) in page.read_text(encoding="utf-8")


def test_the_model_card_says_how_often_a_verdict_is_wrong():
    assert phrase(FACTS["verdicts"]) in PAGES[1].read_text(encoding="utf-8")


def test_table_of_recipes_states_the_error_of_the_default():
    found = FACTS["cross_validation"]
    assert f"| {found['error_rate']:.1%} of {found['photos']} (five folds) |" in PAGES[0].read_text(encoding="utf-8")


def test_shipped_model_errs_as_little_as_promised():
    assert FACTS["cross_validation"]["error_rate"] <= 0.015
