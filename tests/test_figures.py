"""Test that the figures in README and model card are those that train.py prints for the shipped model."""

import json

import pytest
from helpers import ROOT

FACTS = json.loads((ROOT / "export.json").read_text(encoding="utf-8"))
FIGURES = [*(FACTS[name] for name in ("by_source", "when_sure", "cross_validation")), FACTS["none_of_them"]["others"]]
PAGES = [ROOT / "README.md", ROOT / "MODEL_CARD.md"]


NATURALISTS = {"mtitenko5/bear-classifier-project"}


def phrase(facts):
    low, high = facts["interval_95"]
    errors, photos = facts["errors"], facts["photos"]
    return f"{errors / photos:.1%} ({errors} of {photos} photos; 95% interval {low:.1%} to {high:.1%})"


@pytest.mark.parametrize("page", PAGES, ids=lambda f: f.name)
@pytest.mark.parametrize("facts", FIGURES, ids=phrase)
def test_pages_state_the_figures_of_the_shipped_model(page, facts):
    assert phrase(facts) in page.read_text(encoding="utf-8")


def test_the_model_card_says_how_often_a_verdict_is_wrong():
    assert phrase(FACTS["verdicts"]) in PAGES[1].read_text(encoding="utf-8")


def test_table_of_recipes_states_the_error_of_the_default():
    found = FACTS["cross_validation"]
    assert f"| {found['error_rate']:.1%} of {found['photos']} (five folds) |" in (
        ROOT / "docs" / "evaluation.md"
    ).read_text(encoding="utf-8")


def test_shipped_model_errs_as_little_as_promised():
    """Leave out the sources in `NATURALISTS`, since other figures are about these."""
    postcards = [row for name, row in FACTS["by_source"]["sources"].items() if name not in NATURALISTS]
    errors, photos = (sum(row[key] for row in postcards) for key in ("errors", "photos"))
    assert photos >= 774 and errors / photos <= 0.015


def test_of_the_answers_called_sure_at_most_3_in_100_are_wrong_in_each_source():
    assert all(row["sure_wrong"] <= 0.03 * row["sure"] for row in FACTS["by_source"]["sources"].values())
    assert FACTS["when_sure"]["photos"] > 0.6 * FACTS["by_source"]["photos"]
