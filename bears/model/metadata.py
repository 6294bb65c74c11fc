"""What train.py wrote about a model beside it (export.json), and how often it errs, in words."""

import json
from pathlib import Path

FIGURES = ("validation", "cross_validation", "by_source", "when_sure", "none_of_them", "verdicts")
PUBLIC = ("classes", "subject", "alarm", "groups", "recipe", "arch", "counts", *FIGURES, "versions")


def read_facts(model: Path) -> dict:
    """What train.py wrote about the model beside it (export.json), or nothing."""
    try:
        return dict(json.loads(model.with_suffix(".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def public(facts: dict) -> dict:
    """Return only what the page reads: no names of photos, and no remarks about them."""
    return {name: figures(facts[name]) if name in FIGURES else facts[name] for name in PUBLIC if name in facts}


def figures(value: dict) -> dict:
    """Return the numbers of a dict, and its lists of numbers."""
    lists = {k: v for k, v in value.items() if isinstance(v, list) and all(isinstance(n, (int, float)) for n in v)}
    return {k: v for k, v in value.items() if isinstance(v, (int, float))} | lists


def too_uncertain(estimate: dict) -> bool:
    """Whether an `error_summary` is of so few photos that its rate means nothing: it may be 30% more or less."""
    low, high = estimate["interval_95"]
    return high - low > 0.3


def errors(estimate: dict) -> str:
    """What an `error_summary` says, in words."""
    cases = f"took one for another in {estimate['errors']} of {estimate['photos']} cases"
    if too_uncertain(estimate):
        return f"{cases}, too few to mean anything."
    low, high = estimate["interval_95"]
    return (
        f"{cases}: an error of {estimate['error_rate']:.1%},"
        f" on other photos like these most likely between {low:.1%} and {high:.1%}."
    )


def estimate(facts: dict) -> dict:
    """The estimate of the error to go by: by source if sources are known, or else by folds, or by held out photos."""
    return facts.get("by_source") or facts.get("cross_validation") or facts["validation"]


def error_sentence(facts: dict) -> str:
    """Who was asked, and how often that erred."""
    if "by_source" in facts:
        asked = "Networks trained in the same way, asked about photos from a source that they had never seen,"
    elif "cross_validation" in facts:
        asked = "Networks trained in the same way, asked about photos that they had never seen,"
    else:
        asked = "Asked about photos that it had never seen, it"
    return f"{asked} {errors(estimate(facts))}{when_sure(facts)}"


def when_sure(facts: dict) -> str:
    """How many of the answers called sure were wrong, of photos from a source that had not been seen; or nothing."""
    sure = facts.get("when_sure")
    return f" Of {sure['photos']} answers that were called sure, {sure['errors']} were wrong." if sure else ""
