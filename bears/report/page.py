"""Describe whether visitors' photos have drifted, in sentences and on an HTML page."""

from html import escape

from bears.model.answers import STEPS
from bears.report.drift import LEAST, Answers, Drift
from bears.report_page import read_template

PAGE = read_template(__file__)


def effect(found: Drift) -> str:
    """Return a sentence with the size of the difference, its 95% interval and its p-value."""
    low, high = found.interval
    return (
        f"A visitor's photo gets a lower probability than a known photo in {found.lower:.0%} of pairs"
        f" (95% interval: {low:.0%} to {high:.0%}; 50% is no difference; p {found.p:.2g})."
    )


def title(found: Drift) -> str:
    if not found.enough:
        return (
            f"Too few answers to say: at least {LEAST} about visitors' photos and {LEAST} about known photos are needed"
        )
    if not found.found:
        return "Visitors' photos look like the known ones"
    return "Visitors' photos have drifted from the known ones (domain shift)"


def advice(found: Drift) -> str:
    """Return advice on what to do next."""
    if not found.enough:
        return "Wait for more visitors, or choose a folder with more photos."
    if not found.found:
        return (
            "The model is about as sure about both kinds of photos. But a model can also be sure about unknown things."
        )
    if found.lower < 0.5:
        return "The model is more sure about visitors' photos. They may be easier, or less varied."
    return (
        "The model is less sure about visitors' photos. Review those that you may keep, and train with them"
        " (docs/loop.md)."
    )


def verdict(found: Drift) -> str:
    return f"{title(found)}. {advice(found)}"


def say_days(visitors: Answers) -> list[str]:
    """Return a line for each of the latest 14 days: the number of answers, and how many of them were sure."""
    days = sorted(visitors.days.items())[-14:]
    return [f"{day}: {kinds.total()} answers, {kinds['sure']} of them sure" for day, kinds in days]


def create(found: Drift, known: Answers, visitors: Answers) -> str:
    """Return the report as a single HTML page, with its styles included."""
    most = max((answers.steps / answers.total).max() for answers in (known, visitors))
    bars = "".join(
        "<div>"
        + "".join(f'<i style="height: {100 * a.steps[i] / a.total / most:.1f}%"></i>' for a in (known, visitors))
        + "</div>"
        for i in range(STEPS)
    )
    days = "".join(
        f"<tr><th>{escape(day)}<td>{kinds.total()}<td>{kinds['sure'] / kinds.total():.0%}"
        for day, kinds in sorted(visitors.days.items(), reverse=True)
    )
    words = {"title": title(found), "effect": effect(found), "advice": advice(found), "bars": bars, "days": days}
    return PAGE.substitute(words, known=known.total, visitors=visitors.total)
