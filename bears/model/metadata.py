"""Read export.json, which train.py writes next to a model, and describe the model's error rate in words."""

import json
from pathlib import Path

FIGURES = ("validation", "cross_validation", "by_source", "when_sure", "none_of_them", "verdicts")
PUBLIC = ("classes", "subject", "alarm", "groups", "hints", "marks", "recipe", "arch", "counts", *FIGURES, "versions")


def read_facts(model: Path) -> dict:
    """Return the contents of export.json next to `model`, or an empty dict if it can't be read."""
    try:
        return dict(json.loads(model.with_suffix(".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def public(facts: dict) -> dict:
    """Return the facts that may be published. Leave out the names of photos and remarks about photos."""
    return {name: figures(facts[name]) if name in FIGURES else facts[name] for name in PUBLIC if name in facts}


def figures(value: dict) -> dict:
    """Return the items of a dict that are numbers or lists of numbers."""
    lists = {k: v for k, v in value.items() if isinstance(v, list) and all(isinstance(n, (int, float)) for n in v)}
    return {k: v for k, v in value.items() if isinstance(v, (int, float))} | lists


def too_uncertain(estimate: dict) -> bool:
    """Return whether too few photos were tested: the error rate's 95% interval is wider than 0.3.

    `estimate` is a result of `error_summary` in bears/learning/metrics.py.
    """
    low, high = estimate["interval_95"]
    return high - low > 0.3


def errors(estimate: dict) -> str:
    """Describe an `error_summary` in words, such as `got 3 of 200 wrong: an error rate of 1.5%`."""
    cases = f"got {estimate['errors']} of {estimate['photos']} wrong"
    if too_uncertain(estimate):
        return f"{cases}, but so few photos prove nothing."
    low, high = estimate["interval_95"]
    return f"{cases}: an error rate of {estimate['error_rate']:.1%}. On similar photos, expect {low:.1%} to {high:.1%}."


def estimate(facts: dict) -> dict:
    """Return the best error estimate in export.json: `by_source`, else `cross_validation`, else `validation`."""
    return facts.get("by_source") or facts.get("cross_validation") or facts["validation"]


def error_sentence(facts: dict) -> str:
    """Return sentences about how the model was tested and how often it was wrong."""
    if "by_source" in facts:
        tested = "Models trained in the same way were tested on photos from sources that they had not seen. They"
    elif "cross_validation" in facts:
        tested = "Models trained in the same way were tested on photos that they had not seen. They"
    else:
        tested = "This model was tested on photos that it had not seen. It"
    return f"{tested} {errors(estimate(facts))}{when_sure(facts)}"


def when_sure(facts: dict) -> str:
    """Return a sentence about how many "sure" answers were wrong on photos from new sources, or an empty text."""
    sure = facts.get("when_sure")
    return f" Among the {sure['photos']} answers called sure, {sure['errors']} were wrong." if sure else ""
