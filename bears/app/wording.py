"""What the page says and shows follows the model: classes, subject and error come from export.json beside it."""

import re
from pathlib import Path

from bears.facts import error_sentence

NONE, UNSURE, SURE = "none", "unsure", "sure"  # whether a photo shows any of the classes


def page_title(facts: dict) -> str:
    """`Black, grizzly or teddy bear?`"""
    return full_name(either(facts.get("classes") or ["What is it"]), facts.get("subject")) + "?"


def either(labels):
    """`black, grizzly or teddy`."""
    *others, last = labels
    return f"{', '.join(others)} or {last}" if others else last


def full_name(label, subject):
    """`Teddy bear` for `teddy` when the subject is bears; folders are seldom named in full."""
    name = label if not subject or subject.lower() in label.lower() else f"{label} {subject}"
    return name[:1].upper() + name[1:]


def percent(prob: float) -> str:
    """`99%` for 0.998: the verdict is rounded down, and never 100%, since no model is ever that sure."""
    return f"{min(99, int(100 * prob))}%"


def headline(probs: dict[str, float], certainty: str, facts: dict) -> str:
    """The verdict in words: `Teddy bear, 99% sure`, `Not sure: perhaps a teddy bear` or `No bear here`."""
    if certainty == NONE:
        return f"No {facts.get('subject') or either(list(probs))} here"
    label = max(probs, key=probs.get)
    name = full_name(label, facts.get("subject"))
    if certainty == UNSURE:
        return f"Not sure: perhaps {with_article(name)}"
    return f"{name}, {percent(probs[label])} sure"


def with_article(name):
    """`a teddy bear` for `Teddy bear`; what is written in capitals stays so."""
    name = name if name[1:2].isupper() else name[:1].lower() + name[1:]
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def about(facts: dict) -> str:
    """What the model is, how often it errs and what it is not for, in Markdown."""
    lines = []
    if "arch" in facts:
        photos = sum(facts["counts"].values())
        lines.append(f"A neural network, built from {photos} photos to tell apart: {', '.join(facts['classes'])}.")
    if {"cross_validation", "validation"} & facts.keys():
        lines.append(error_sentence(facts))
    if "none_of_them" in facts:
        lines.append(
            "It also says when a photo shows none of them, or when it is not sure, and can be wrong there, too."
        )
    lines.append(
        "The answer is about the coloured square of “Where it looked”. Its bright places spoke for the class at the top"
        " of the list, even when the answer is that it is none of them.\n\n"
        "**Do not trust it with anybody’s safety.** A photo by night, from afar or of something it has never seen can"
        " fool it.\n\n"
        "Your photo is used for this answer only and deleted within two hours."
        " Programs can ask as well: see [the API](?view=api)."
    )
    return "## What answers here\n" + " ".join(lines)


def find_examples(model: Path, facts: dict) -> list[Path]:
    """Photos in `examples/` beside the export that are named for one of its classes, or `none`; sorted Paths.

    Those that the README there lists belong together: a model that does not know all of their classes gets none.
    """
    folder, classes = model.parent / "examples", set(facts.get("classes", ()))
    listed = listed_examples(folder)
    others = set() if listed - {"none"} <= classes else listed
    named = [f for f in sorted(folder.glob("*.jpg")) if f.stem in {*classes, "none"} or not facts]
    return [f for f in named if f.stem not in others]


def listed_examples(folder: Path) -> set[str]:
    """The names, without `.jpg`, that README.md in `folder` has for photos there, as the bears' does; a set."""
    try:
        return set(re.findall(r"`([^`]+)\.jpg`", (folder / "README.md").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return set()
