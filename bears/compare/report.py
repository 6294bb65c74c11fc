"""Describe which of two models is better, in sentences and as an HTML page with the photos on which they differ."""

from argparse import Namespace
from html import escape

from bears.compare.judge import FALSE_NO, FALSE_YES, WRONG_CLASS, Comparison, count
from bears.model.photo import thumbnail
from bears.report_page import read_template

PAGE = read_template(__file__)
ROWS = {
    "errors": "Errors",
    FALSE_YES: "False “yes”: names a class, but the photo shows none",
    FALSE_NO: "False “no”: finds none, but the photo shows a class",
    WRONG_CLASS: "Wrong class",
    "unsure": "Says that it is not sure",
}
SHOWN = 200  # photos that are shown at most in each of the two groups
TITLES = {"better": "The new model is better", "worse": "The new model is worse"}


def title(comparison: Comparison) -> str:
    """Return the verdict as a title: which model is better, or how many photos are needed to tell."""
    known = TITLES.get(comparison.verdict)
    return known or f"{photos(len(comparison.files))} are not enough: you need about {comparison.needed:,}"


def effect(comparison: Comparison) -> str:
    """Return a sentence with the difference in errors per 1,000 photos, and its 95% interval."""
    low, high = (1000 * limit for limit in comparison.interval)
    difference = difference_of(comparison)
    size = f"{per_thousand(difference)} errors per 1,000 photos" if difference else "as many errors"
    return f"The new model makes {size} (95% interval: {per_thousand(low)} to {per_thousand(high)})."


def per_thousand(value):
    number = f"{abs(value):.1f}" if abs(value) < 10 else f"{abs(value):,.0f}"
    return f"{number} {'fewer' if value < 0 else 'more'}"


def advice(comparison: Comparison) -> str:
    if comparison.verdict == "better":
        return "You can replace the old model with the new one."
    if comparison.verdict == "worse":
        return "Keep the old model. The photos below show the errors of the new one."
    many = photos(comparison.needed)
    if comparison.fixed == comparison.broken:
        return f"Both models make equally many errors. {many} would show a difference of 10 errors per 1,000."
    return f"With {many}, four of five tests would show this difference. Keep the old model for now."


def photos(number):
    return f"{number:,} photo{'s' * (number != 1)}"


def table(comparison: Comparison) -> list[tuple[str, int, int]]:
    """Return a row for each count: its name, and its values for the old and the new model (see `ROWS`)."""
    models = [comparison.old, comparison.new]
    counts = [
        {"errors": count(answers).total(), **count(answers), "unsure": sum(a.unsure for a in answers)}
        for answers in models
    ]
    return [(name, *(c.get(key, 0) for c in counts)) for key, name in ROWS.items()]


def summary(comparison: Comparison) -> list[str]:
    """Return the lines that the command prints."""
    lines = [f"{name}: {old} (old), {new} (new)" for name, old, new in table(comparison)]
    skipped = [f"{photos(comparison.skipped)} could not be opened"] * bool(comparison.skipped)
    asked = (
        f"{photos(len(comparison.files))}, of which {comparison.fixed + comparison.broken} only one model gets right"
    )
    return [asked, *skipped, *lines, effect(comparison), f"{title(comparison)}. {advice(comparison)}"]


def page(comparison: Comparison, args: Namespace) -> str:
    """Return the report as a single HTML page, with photos and styles included."""
    rows = "".join(f"<tr><th scope=row>{name}<td>{old}<td>{new}" for name, old, new in table(comparison))
    skipped = f"{photos(comparison.skipped)} could not be opened." if comparison.skipped else ""
    return PAGE.substitute(
        title=title(comparison),
        effect=effect(comparison),
        advice=advice(comparison),
        scale=scale(comparison),
        asked=f"Both models classified the same {photos(len(comparison.files))}. {skipped}",
        old=escape(str(args.old)),
        new=escape(str(args.new)),
        rows=rows,
        photos=show_photos(comparison),
    )


def scale(comparison):
    """Return HTML that shows the 95% interval as a bar on a line with 0 in the middle."""
    low, high = (1000 * limit for limit in comparison.interval)
    end = max(abs(low), abs(high)) * 1.1
    left, right, size = ((value / end + 1) * 50 for value in (low, high, difference_of(comparison)))
    return (
        f'<div class="scale" role="img" aria-label="{effect(comparison)}"><i class="zero"></i>'
        f'<i class="bar" style="left: {left:.1f}%; width: {right - left:.1f}%"></i>'
        f'<i class="dot" style="left: {size:.1f}%"></i><span>← fewer errors</span><span>more errors →</span></div>'
    )


def difference_of(comparison):
    """Return the new model's errors per 1,000 photos minus the old model's."""
    return 1000 * (comparison.broken - comparison.fixed) / len(comparison.files)


def show_photos(comparison):
    """Return HTML with the photos that only one model gets right, each with the verdicts of both models."""
    groups = {"Only the new model is wrong": [], "Only the old model is wrong": []}
    wrong_now, wrong_before = groups.values()
    for i in comparison.differing:
        (wrong_now if comparison.new[i].error else wrong_before).append(i)
    return "".join(show_group(comparison, name, found) for name, found in groups.items())


def show_group(comparison, name, found):
    items = "".join(show_photo(comparison, i) for i in found[:SHOWN])
    more = f"<p>And {len(found) - SHOWN:,} more photos.</p>" if len(found) > SHOWN else ""
    return f'<h2>{name}: {photos(len(found))}</h2><ul class="photos">{items}</ul>{more}'


def show_photo(comparison, i):
    file, label = comparison.files[i], comparison.labels[i] or "none of the classes"
    return (
        f'<li><img src="{thumbnail(file)}" alt=""><b>{escape(label)}</b>'
        f"<span>old: {escape(comparison.old[i].verdict)}</span><span>new: {escape(comparison.new[i].verdict)}</span>"
        f"<code>{escape(f'{file.parent.name}/{file.name}')}</code>"
    )
