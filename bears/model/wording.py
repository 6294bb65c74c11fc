"""Write the app's sentences about a model and its answers, from the facts in its export.json."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

from bears.files import HOME
from bears.model.answers import GROUP, NO_LIMITS, NONE, UNSURE, Limits, either, find_group, likeliest
from bears.model.metadata import error_sentence
from bears.text import printable

PROMISE = (
    "While this page watches, it sends pictures to this site's server, even if nothing moves."
    " The server deletes them within an hour."
)
ALONE = "Your photos never leave this device."  # in the offline version
WATCHED_ALONE = "Pictures from your camera never leave this device. No network is needed."
EXAMPLES = HOME / "examples"  # examples of the shipped model; their licence differs from the code's
MANY = 5  # the most classes that a sentence names
LEANING = 3  # a group's likeliest class is called probable if it is at least this many times as likely as the second
PRIVACY = "Your photo is only used to answer you, and deleted within an hour. Programs can use [the API](?view=api)."
TAKE_ALONG = "\n\n**Use it offline:** [the offline version](offline/) runs in your browser and needs no network."


def page_title(facts: dict) -> str:
    """Return the app's title, such as `Black, grizzly or teddy bear?`, or `Which bear is it?` for many classes."""
    classes, subject = facts.get("classes") or ["What is this"], facts.get("subject")
    return f"Which {subject or 'one'} is it?" if len(classes) > MANY else full_name(either(classes), subject) + "?"


def heading(facts: dict, offline: int) -> str:
    """Return the top of the app in Markdown: its title and a link to the offline version.

    `offline` is the size of the offline version in megabytes, or 0 if there is none.
    """
    title = f"# {as_markdown(page_title(facts))}"
    return f"{title}\n\n[Save for offline ({offline} MB)](offline/)" if offline else title


def invitation(facts: dict) -> str:
    """Return a sentence that says what the app is for. Link previews show it."""
    classes, subject = facts.get("classes", ()), facts.get("subject")
    if not classes or len(classes) > MANY:
        return f"Upload a photo to see which {subject or 'kind of thing'} it shows, if any."
    name = full_name(either(classes), subject)
    return f"Upload a photo to see whether it shows {with_article(name)}, or none of these."


def full_name(label: str, subject: str | None) -> str:
    """Return the full name of a class, such as `Teddy bear` for the folder `teddy` and the subject `bear`."""
    name = label if not subject or subject.lower() in label.lower() else f"{label} {subject}"
    return name[:1].upper() + name[1:]


def as_markdown(text: str) -> str:
    """Escape Markdown and HTML, so that a class named `<b>` is shown as `<b>`."""
    return re.sub(r"[\\`*_~\[\]<>&$#|:!^=]", r"\\\g<0>", text)  # https://spec.commonmark.org/0.31.2/#backslash-escapes


def percent(prob: float, earned: float = 1) -> str:
    """Return a probability in percent, rounded down, such as `97%` for 0.978.

    The result is never above 99% or above `earned` (`Limits`).
    """
    return f"{int(100 * min(0.99, earned, prob))}%"


def headline(probs: dict[str, float], certainty: str, facts: dict, limits: Limits = NO_LIMITS) -> str:
    """Return the verdict, such as `Teddy bear, 97% sure`, `Not sure: perhaps a teddy bear` or `No bear here`."""
    if certainty == NONE:
        return f"No {facts['subject']} here" if facts.get("subject") else none_of(list(probs))
    if certainty == GROUP:
        return name_group(find_group(probs, certainty, limits.groups), probs, facts)
    label = likeliest(probs)
    name = full_name(label, facts.get("subject"))
    if certainty == UNSURE:
        return f"Not sure: perhaps {with_article(name)}"
    return f"{name}, {percent(probs[label], limits.earned)} sure"


def name_group(group: Sequence[str], probs: dict[str, float], facts: dict) -> str:
    """Return the verdict for a group, such as `A bear: black or grizzly, probably black` or `..., can't tell which`."""
    classes, name = either(group), group_name(group, facts)
    words = classes if name == classes else f"{with_article(name)}: {classes}"
    label = find_probable(group, probs)
    return f"{words[:1].upper()}{words[1:]}, " + (f"probably {label}" if label else "can't tell which")


def find_probable(group: Sequence[str], probs: dict[str, float]) -> str | None:
    """Return a group's likeliest class if it is at least `LEANING` times as likely as the second, or None."""
    first, second = sorted(group, key=lambda label: -probs[label])[:2]
    return first if probs[first] >= LEANING * probs[second] else None


def group_name(group: Sequence[str], facts: dict) -> str:
    """Return a group's name in export.json, such as `bear`, or join its classes to `black or grizzly`."""
    names = facts.get("groups", {}).items()
    return next((name for name, labels in names if set(labels) == set(group)), either(group))


def shown_probs(probs: dict[str, float], certainty: str, limits: Limits) -> dict[str, float]:
    """Return the probabilities to show as bars. Each is at most `limits.earned`.

    For a `GROUP` answer, the sum of the group's probabilities comes first. The bars of its classes add up to this sum.
    """
    shown = {label: min(limits.earned, prob) for label, prob in probs.items()}
    if group := find_group(probs, certainty, limits.groups):
        whole = sum(probs[label] for label in group)
        most = min(limits.earned, whole)
        return {either(group): most, **shown, **{label: probs[label] * most / whole for label in group}}
    return shown


def frame_answer(probs: dict[str, float], certainty: str, facts: dict, limits: Limits) -> dict:
    """Return the answer about a camera frame as a dict for the browser. `group` has the classes of a `GROUP` answer."""
    verdict, group = headline(probs, certainty, facts, limits), find_group(probs, certainty, limits.groups)
    return {"probs": probs, "certainty": certainty, "verdict": verdict, "group": group, "earned": limits.earned}


def name_each(animals: Sequence[tuple], facts: dict, limits: Limits) -> list[dict]:
    """Return a dict with the box, verdict and certainty of each animal, for the app's Photo tab."""
    return [
        {"box": box, "verdict": headline(probs, certainty, facts, limits), "certainty": certainty}
        for box, probs, certainty in animals
    ]


def log_line(verdict: str, start: float) -> str:
    """Return a line for the log: the time, the verdict, and the seconds since `start` (`time.monotonic`)."""
    return printable(f"{time.strftime('%X')} {verdict} in {time.monotonic() - start:.3f} s")


def none_of(labels: Sequence[str]) -> str:
    """Return the verdict for a photo that shows none of the classes, such as `No disc or square here`.

    For more than `MANY` classes, the verdict is `None of them`.
    """
    return "None of them" if len(labels) > MANY else f"No {either(labels)} here"


def unseen(facts: dict) -> str:
    """Return the sentence for a photo that shows none of the classes, such as `I don't see a bear`."""
    labels, subject = list(facts.get("classes", ())), facts.get("subject")
    if not subject and (not labels or len(labels) > MANY):
        return "I don't see anything that I know"
    return f"I don't see {with_article(subject or either(labels))}"


def photo_words(facts: dict, strictness: float = 1.0, offline: int = 0) -> dict:
    """Return the words that the Photo tab needs from the start.

    `device` is the size in megabytes of the offline version that may answer instead of the server, or 0. The offline
    version doesn't know `--strictness`.
    """
    device = offline if strictness == 1 else 0
    marks = facts.get("marks") or {}
    return {"none": unseen(facts), "names": names(facts), "hints": hints(facts), "marks": marks, "device": device}


def names(facts: dict) -> dict[str, str]:
    """Return the names of the bars, as a dict from a class or a group (`either`) to its name, such as `Black bear`.

    Without a subject, the classes' own names are shown, and the dict is empty.
    """
    subject = facts.get("subject")
    if not subject:
        return {}
    groups = [either(labels) for labels in facts.get("groups", {}).values()]
    return {
        **{label: full_name(label, subject) for label in facts.get("classes", [])},
        **{label: full_name(label, None) for label in groups},
    }


def hints(facts: dict) -> dict[str, dict[str, str]]:
    """Return hints that help people check each answer, as a dict from an answer to its hints.

    An answer is a class, or a group as `either` names it. Its hints are a dict from class to sentence.
    """
    own, groups = facts.get("hints") or {}, facts.get("groups", {}).values()
    answers = {label: [label] for label in own} | {either(labels): labels for labels in groups}
    return {answer: {label: own[label] for label in labels if label in own} for answer, labels in answers.items()}


def with_article(name: str) -> str:
    """Return `a teddy bear` for `Teddy bear`.

    Abbreviations such as `TV` keep their capitals. Names that don't begin with a Latin letter get no article.
    """
    name = name if name[1:2].isupper() else name[:1].lower() + name[1:]
    first = normalize("NFD", name)[:1].lower()  # e for é
    article = "an " if first in "aeiou" else "a "
    return f"{article if first.isascii() and first.isalpha() else ''}{name}"


def camera_words(facts: dict, promise: str = PROMISE) -> dict:
    """Return a dict for bears/web/camera.js: classes, classes that raise an alarm, and the Camera tab's sentences."""
    classes, subject = facts.get("classes", []), facts.get("subject")
    checking = f"Looks like {with_article(subject) if subject else 'a match'}: checking…"
    words = {
        "promise": promise,
        "checking": checking,
        "misses": f"The model often misses {with_article(subject or 'thing')} that is far away or in the dark.",
        "right": f"It was {with_article(subject) if subject else 'right'}",
    }
    return {"classes": classes, "names": names(facts), "alarm": facts.get("alarm", classes), **words}


def example_name(file: Path, facts: dict) -> str:
    """Return the caption of an example, such as `Teddy bear` for `teddy.jpg` or `No bear` for `none.jpg`."""
    subject = facts.get("subject")
    if file.stem == "none" and "none" not in facts.get("classes", ()):
        return f"No {subject or 'match'}"
    return full_name(file.stem, subject)


def about(facts: dict, privacy: str = PRIVACY, offline: int = 0) -> str:
    """Return Markdown about the model: how often it is wrong, what it is not for, and what happens to photos.

    `privacy` is the text about what happens to photos. If `offline` is not 0, link to the offline version.
    """
    lines = []
    if "arch" in facts:
        photos = sum(facts["counts"].values())
        classes = as_markdown(", ".join(facts["classes"]))
        lines.append(f"The model was trained on {photos} photos to tell these classes apart: {classes}.")
    if {"cross_validation", "validation"} & facts.keys():
        lines.append(error_sentence(facts))
    if "none_of_them" in facts:
        lines.append("An answer that a photo shows none of these classes can be wrong, too.")
    lines.append(
        "“Why?” outlines the part of the photo that the model classified. The glow shows what counted most.\n\n"
        "**Never rely on it for anyone’s safety.** Photos taken at night, distant animals and unusual things can"
        f" fool the model.\n\n{privacy}"
    )
    if offline:
        lines.append(TAKE_ALONG)
    return "## About this model\n" + " ".join(lines)


def find_examples(model: Path, facts: dict) -> list[Path]:
    """Return the photos in `examples/` next to the export that are named after a class or `none`, as sorted Paths.

    If `examples/` has a README.md, it lists the example photos of the shipped model. If the export lacks the class of
    one of these photos, leave out all of them.
    """
    folder, classes = model.parent / "examples", set(facts.get("classes", ()))
    listed = listed_examples(folder)
    others = set() if listed - {"none"} <= classes else listed
    named = [f for f in sorted(folder.glob("*.jpg")) if f.stem in {*classes, "none"} or not facts]
    return [f for f in named if f.stem not in others]


def listed_examples(folder: Path) -> set[str]:
    """Return the set of names, without `.jpg`, of the photos that README.md in `folder` lists."""
    try:
        return set(re.findall(r"`([^`]+)\.jpg`", (folder / "README.md").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return set()


def examples_to_send(model: Path, facts: dict) -> dict[str, Path]:
    """Return the example files to publish, as a dict from path on the site to local Path.

    The shipped examples include README.md, which states their licence.
    """
    photos = find_examples(model, facts)
    ours = (model.parent / "examples").resolve() == EXAMPLES
    if ours and {f.stem for f in photos} & listed_examples(EXAMPLES):
        photos.append(EXAMPLES / "README.md")
    return {f"examples/{f.name}": f for f in photos}
