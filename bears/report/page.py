"""Describe whether visitors' photos have drifted, in sentences and on an HTML page."""

from html import escape
from string import Template

from bears.model.answers import STEPS
from bears.report.drift import LEAST, Answers, Drift

PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>$title</title>
<style>
  :root {color-scheme: light dark}
  body {font: 1rem/1.5 system-ui, sans-serif; max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem 4rem}
  h1 {font-size: clamp(1.75rem, 5vw, 2.5rem); line-height: 1.15; text-wrap: balance}
  .effect {font-size: 1.25rem}
  .plot {display: flex; align-items: end; gap: 2px; height: 12rem; border-bottom: 1px solid; margin-top: 1.5rem}
  .plot div {flex: 1; display: flex; align-items: end; height: 100%}
  .plot i {flex: 1; background: #8b949e} .plot i + i {background: #2f81d6}
  .axis {display: flex; justify-content: space-between; font-size: .875rem}
  b {color: #2f81d6}
  table {border-collapse: collapse; font-variant-numeric: tabular-nums}
  :is(td, th) {padding: .25rem 1.25rem .25rem 0; text-align: end; font-weight: 400} th:first-child {text-align: start}
</style>
<main><h1>$title</h1><p class="effect">$effect</p><p>$advice</p>
<div class="plot" role="img" aria-label="$effect">$bars</div>
<div class="axis"><span>0%</span><span>how sure the likeliest class is</span><span>100%</span></div>
<p>Grey: $known known photos. <b>Blue: $visitors answers to visitors.</b> The bars of each colour add up to 100%.</p>
<h2>Day by day</h2><table><thead><tr><th>Day<th>Answers<th>Sure</thead><tbody>$days</tbody></table></main>
""")


def effect(found: Drift) -> str:
    """Return a sentence with the size of the difference, its 95% interval and its p-value."""
    low, high = found.interval
    return (
        f"A visitor's photo gets a lower probability than a known one in {found.lower:.0%} of pairs"
        f" (95% interval: {low:.0%} to {high:.0%}; 50% is no difference; p {found.p:.2g})."
    )


def title(found: Drift) -> str:
    if not found.enough:
        return f"Too few answers to say: at least {LEAST} are needed on both sides"
    if not found.found:
        return "Visitors' photos look like the known ones"
    return "Visitors' photos have drifted from the known ones (domain shift)"


def advice(found: Drift) -> str:
    """Return advice on what to do next."""
    if not found.enough:
        return "Wait for more visitors, or choose a folder with more photos."
    if not found.found:
        return "The model is about as sure about both. But it may be just as sure about things that it has never seen."
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
