"""The lesson's pictures of a training run, as PNG files and one HTML page that shows them with the figures."""

import html
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from bears.errors import ExportError
from bears.facts import errors, too_uncertain
from bears.files import write_whole
from fastai import interpret
from sklearn.metrics import confusion_matrix
from torch import Tensor
from torch.nn.functional import cross_entropy

matplotlib.use("Agg")  # no window: training also runs where there is no screen
from matplotlib import pyplot as plt

plt.rcParams["text.parse_math"] = False  # a class may be called US$ or 5%

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
  h1, h2 {{ line-height: 1.2 }} h2 {{ margin-top: 2.5rem }}
  img {{ max-width: 100%; height: auto }}
  .figure {{ font-size: 2.5rem; font-weight: 700 }}
  table {{ border-collapse: collapse }} td, th {{ padding: .3rem 1rem .3rem 0; text-align: left; vertical-align: top }}
  pre {{ background: #f4f4f4; padding: 1rem; overflow-x: auto; font-size: 13px }}
  @media (prefers-color-scheme: dark) {{
    body {{ background: #1b1b1b; color: #eee }} pre {{ background: #2a2a2a }} img {{ background: #fff }}
  }}
</style>
<h1>{title}</h1>
{estimates}
<table><tr><th>Class<th>Photos</tr>{counts}</table>
{pictures}
<h2>Left out</h2>
{dropped}
<h2>All figures</h2>
<pre>{facts}</pre>
</html>
"""
PICTURES = {
    "batch": "A batch of photos, with their classes",
    "learning_curve": "Loss while training",
    "confusion_matrix": "Which class is taken for which",
    "top_losses": "The photos with the highest loss",
    "calibration": "Do its probabilities mean what they say",
    "scores": "How it tells that a photo shows none of the classes",
}


class ClassificationInterpretation(interpret.ClassificationInterpretation):
    """fastai's, from what networks have said already of photos that they had never seen.

    `logits` is (photos, classes), `targets` is (photos,), `files` are the photos.
    """

    def __init__(self, learn, files, logits, targets):
        dl = learn.dls.test_dl(files, with_labels=True, bs=16, num_workers=0)
        super().__init__(learn, dl, cross_entropy(logits, targets, reduction="none"))
        self.probs, self.targets = logits.softmax(dim=1), targets

    def __getitem__(self, idxs):
        files = [self.dl.items[i] for i in idxs]
        inputs, _ = self.learn.dls.test_dl(files, with_labels=True, bs=len(files), num_workers=0).one_batch()
        probs = self.probs[idxs]
        return inputs.cpu(), probs, self.targets[idxs], probs.argmax(dim=1), self.losses[idxs]

    def confusion_matrix(self) -> np.ndarray:
        return confusion_matrix(self.targets, self.probs.argmax(dim=1), labels=range(len(self.vocab)))


@contextmanager
def pictures(folder: Path) -> Iterator[Callable]:
    """Make the report's `folder` ready for the `PICTURES`; gives a function that saves the current plot by its name.

    Matplotlib warns of letters that its font lacks and of curves of one point: a student can do nothing about it.
    Raises `ExportError` when the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in PICTURES:
            (folder / f"{name}.png").unlink(missing_ok=True)
        with warnings.catch_warnings():
            for message in ("Glyph .* missing", "Attempting to set identical", "Matplotlib currently does not support"):
                warnings.filterwarnings("ignore", message)
            yield lambda name: save(folder / f"{name}.png")
    except OSError as e:
        raise ExportError(f"The report in {folder} cannot be written ({e.strerror}); nothing was exported.") from None


def write(folder: Path, facts: dict) -> None:
    """Write `index.html`, which shows the pictures in `folder` and the dict `facts`. Raises `ExportError`."""
    write_whole(folder / "index.html", page(folder, facts).encode())


def plot_trust(save: Callable, probs: Tensor, targets: Tensor, scores: np.ndarray, threshold: float, others=()) -> None:
    """Plot `calibration`, of out-of-fold `probs` (photos, classes), and `scores` of all photos and of other things."""
    confidence, guess = probs.max(dim=1)
    right = (guess == targets).float().numpy()
    edges = np.linspace(0, 1, 11)
    bins = np.digitize(confidence.numpy(), edges[1:-1])
    found = np.unique(bins)
    _, ax = plt.subplots(figsize=(5, 5))
    ax.plot([0, 1], [0, 1], color="grey", linestyle="dotted")
    means = [[values[bins == b].mean() for b in found] for values in (confidence.numpy(), right)]
    ax.plot(*means, marker="o")
    for b, x, y in zip(found, *means):
        ax.annotate((bins == b).sum(), (x, y), xytext=(0, -16), textcoords="offset points", ha="center")
    ax.set(xlabel="How sure it is (below each point: photos)", ylabel="How often it is right")
    ax.set(xlim=(0, 1.03), ylim=(0, 1.03))
    save("calibration")

    _, ax = plt.subplots(figsize=(8, 4))
    edges = np.linspace(0, 1, 51)
    ax.hist(scores, edges, label=f"{len(scores)} photos of the classes", alpha=0.7)
    if len(others):
        ax.hist(others, edges, label=f"{len(others)} photos of other things", alpha=0.7)
    ax.axvline(threshold, color="black", linestyle="dashed", label=f"below {threshold:.2f}: none of the classes")
    ax.set(xlabel="Score (bears/ood.py)", ylabel="Photos", yscale="log")
    ax.yaxis.set_major_formatter("{x:g}")  # powers of ten would be TeX, which is off: names of photos are none
    ax.yaxis.set_minor_formatter("")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    save("scores")


def save(file):
    plt.savefig(file, bbox_inches="tight", dpi=100)
    plt.close("all")


def page(folder, facts):
    rows = "".join(f"<tr><td>{html.escape(label)}<td>{n}</tr>" for label, n in facts["counts"].items())
    left = "".join(f"<tr><td>{html.escape(f)}<td>{html.escape(why)}</tr>" for f, why in facts["dropped"].items())
    return PAGE.format(
        title=html.escape("Training report: " + ", ".join(facts["classes"])),
        estimates=describe(facts),
        counts=rows,
        pictures="".join(
            f'<h2>{text}</h2><img src="{name}.png" alt="{text}">'
            for name, text in PICTURES.items()
            if (folder / f"{name}.png").exists()
        ),
        dropped=f"<table>{left}</table>" if left else "<p>Nothing.</p>",
        facts=html.escape(json.dumps(facts, indent=2)),
    )


def describe(facts):
    """The estimates as paragraphs: those of every recipe, then those that only the default one has."""
    cv, none_of_them = facts.get("cross_validation"), facts.get("none_of_them")
    lines = [figure(facts["validation"], "validation error")] if "validation" in facts else []
    if cv:
        lines.append(figure(cv, f"error over {cv['folds']} folds, by networks that never saw the photos they judged"))
    if none_of_them:
        lines.append("What was exported has learnt from all photos, so nothing here is its own answer about them.")
        lines.append(
            "A photo shows none of the classes when its likeness to the training photos is below"
            f" {none_of_them['threshold']}; {none_of_them['photos_that_pass']:.1%} of them pass, each compared with all"
            " others."
        )
        lines.append(f"Expected calibration error of the probabilities: {cv['calibration_error']}.")
    if others := (none_of_them or {}).get("others"):
        names = html.escape(", ".join(others["passed"]))
        lines.append(f"Of {others['photos']} photos of other things, {others['errors']} pass{names and ': '}{names}")
    return "".join(f"<p>{line}</p>" for line in lines)


def figure(estimate, what):
    """An `error_summary` in large print, with its interval."""
    if too_uncertain(estimate):
        return f'<span class="figure">?</span> {what}: it {errors(estimate)}'
    low, high = estimate["interval_95"]
    return (
        f'<span class="figure">{estimate["error_rate"]:.1%}</span> {what}: {estimate["errors"]} of '
        f"{estimate['photos']} photos (95% interval {low:.1%} to {high:.1%})"
    )
