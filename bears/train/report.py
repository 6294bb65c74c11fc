"""Write the training report as one HTML page: the error rate to expect, the misclassified photos, and plots."""

import io
import json
import warnings
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from urllib.parse import quote

import matplotlib
import numpy as np
from bears.files import check_writable, write_whole
from bears.learning.data import folder_of
from bears.model.metadata import errors, estimate, too_uncertain, when_sure
from bears.model.photo import thumbnail
from bears.report_page import read_template
from bears.train import summary
from bears.train.evaluation import Result
from bears.train.ood_eval import find_backgrounds
from bears.train.shipped_model import ALARM
from fastai import interpret
from PIL import Image
from sklearn.metrics import confusion_matrix
from torch import Tensor
from torch.nn.functional import cross_entropy

matplotlib.use("Agg")  # no window: training also runs where there is no screen
from matplotlib import pyplot as plt

plt.rcParams["text.parse_math"] = False  # the name of a class may have $ or % in it

PAGE = read_template(__file__)
# Plots are transparent and black. The function `svg` replaces black with the colour of the page's text.
# "svg.fonttype" keeps text as text, so that it has the page's font.
STYLE = {
    "figure.figsize": (6.5, 3.5),
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "svg.fonttype": "none",
}
NO_NOTES = dict.fromkeys(["Creator", "Date", "Format", "Type"])
PICTURES = {
    "calibration": (
        "Are the probabilities right?",
        "Points on the dotted line are right: of all answers with a probability of 80%, four in five are correct."
        " On average, the probabilities are off by {calibration_error:.1%} (expected calibration error).",
    ),
    "scores": (
        "How the model tells that a photo shows none of the classes",
        "The model compares a photo with the training photos. For this plot, each training photo was compared with"
        " all others.",
    ),
    "learning_curve": ("Loss while training", "{loss}"),
    "confusion_matrix": (
        "The lesson's confusion matrix",
        "The same numbers as in the table above, drawn by `plot_confusion_matrix`.",
    ),
    "top_losses": (
        "The lesson's top losses",
        "The photos with the highest loss, drawn by `plot_top_losses`. Above each photo: the prediction, the actual"
        " class, the loss, and the probability of the prediction.",
    ),
    "batch": (
        "Some of the photos as the network sees them",
        "Above each photo is its class, which is the name of its folder.",
    ),
}
COLUMNS = {"photos": "Photos", "errors": "Wrong", "sure": "Called sure", "sure_wrong": "Sure and wrong"}
CLEAN = "http://127.0.0.1:7860/"  # the review page, if its port is free
BESIDE = "; the background counted most"
RISE = 1.1  # a loss has risen if it ends above this multiple of its lowest value
MANY, LONG = 8, 20  # with `MANY` classes, or a name of more than `LONG` letters, the matrix has vertical names


class ClassificationInterpretation(interpret.ClassificationInterpretation):
    """Draw fastai's plots for given predictions, without running the network again.

    `logits`, of the shape (photos, classes), are the predictions for `files`. `targets` are the actual classes.
    """

    def __init__(self, learn, files, logits, targets):
        dl = learn.dls.test_dl(files, with_labels=True, bs=16, num_workers=0)
        super().__init__(learn, dl, cross_entropy(logits, targets, reduction="none"))
        self.probs, self.targets = logits.softmax(dim=1), targets

    def __getitem__(self, idxs: Tensor) -> tuple:
        files = [self.dl.items[i] for i in idxs]
        photos, targets = self.learn.dls.test_dl(files, with_labels=True, bs=len(files), num_workers=0).one_batch()
        probs = self.probs[idxs]
        return photos, probs, targets, probs.argmax(dim=1), self.losses[idxs]

    def wrong(self) -> list[int]:
        """Return the positions of the photos that were mistaken for another class, the highest loss first."""
        guesses = self.probs.argmax(dim=1)
        return [i for i in self.top_losses()[1].tolist() if guesses[i] != self.targets[i]]

    def confusion_matrix(self) -> np.ndarray:
        return confusion_matrix(self.targets, self.probs.argmax(dim=1), labels=range(len(self.vocab)))


# Pictures


@contextmanager
def pictures() -> Iterator[None]:
    """Set a Matplotlib style that suits light and dark pages.

    Silence Matplotlib's warnings about letters that its font doesn't have, and about curves with a single point.
    """
    with warnings.catch_warnings(), plt.rc_context(STYLE):
        for message in ("Glyph .* missing", "Attempting to set identical", "Matplotlib currently does not support"):
            warnings.filterwarnings("ignore", message)
        yield


def svg(draw: Callable | None = None, *args, **kwargs) -> str:
    """Return the plot that `draw` makes (default: the current plot) as an SVG element.

    Black parts of the plot get the colour of the page's text.
    """
    if draw:
        draw(*args, **kwargs)
    file = io.StringIO()
    plt.gcf().savefig(file, format="svg", bbox_inches="tight", dpi=144, metadata=NO_NOTES)
    plt.close("all")
    text = file.getvalue()
    return text[text.find("<svg") :].replace("#000000", "currentColor")


def plot_trust(probs: Tensor, targets: Tensor, scores: np.ndarray, threshold: float, others=()) -> dict[str, str]:
    """Return two plots as SVG: the calibration of `probs`, and a histogram of `scores` and `others`.

    `probs` has the shape (photos, classes). `scores` and `others` are results of `ood.score`: `scores` for photos of
    the classes, and `others` for negatives. A photo is rejected if its score is below `threshold`.
    """
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
    ax.set(xlabel="How sure the model is (below each point: number of photos)", ylabel="How often the model is right")
    ax.set(xlim=(0, 1.03), ylim=(0, 1.03))
    calibration = svg()

    _, ax = plt.subplots(figsize=(6.5, 3.5))
    edges = np.linspace(0, 1, 51)
    ax.hist(scores, edges, histtype="stepfilled", label=f"{len(scores)} photos of the classes", alpha=0.7)
    if len(others):
        ax.hist(others, edges, histtype="stepfilled", label=f"{len(others)} photos of other things", alpha=0.7)
    ax.axvline(threshold, color="black", linestyle="dashed", label=f"below {threshold:.2f}: none of the classes")
    ax.set(xlabel="Score (bears/model/ood.py)", ylabel="Photos", yscale="log")
    ax.yaxis.set_major_formatter("{x:g}")  # the default writes powers of ten in TeX, which is turned off
    ax.yaxis.set_minor_formatter("")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1))
    return {"calibration": calibration, "scores": svg()}


# The page


def write(
    args: Namespace, facts: dict, result: Result, interp: ClassificationInterpretation, plots: dict[str, str]
) -> None:
    """Write `reports/index.html` as a single file. `plots` is a dict from name to SVG. Raises `ExportError`."""
    notes = {**facts.get("cross_validation", {}), "loss": describe_loss(result.loss_recorder)}
    sections = [
        reason(facts),
        "<p>Try it:</p>" + command(summary.app_command(args)),
        show_wrong(args, result, interp, find_backgrounds(result.learn, guesses_of_wrong(result, interp))),
        show_turned_away(args, result),
        show_others(facts, result),
        show_watch(facts),
        show_confusion(interp),
        *(
            show_plot(name, plots[name], title, note.format(**notes))
            for name, (title, note) in PICTURES.items()
            if plots.get(name)
        ),
        show_rest(facts),
    ]
    page = PAGE.substitute(
        title=escape(f"Training report: {', '.join(facts['classes'])}"),
        classes=escape(", ".join(facts["classes"])),
        headline=headline(estimate(facts), "from a new source" if "by_source" in facts else "like yours"),
        sections="\n".join(sections),
    )
    check_writable(args.out / "reports")
    write_whole(args.out / "reports" / "index.html", page.encode())


def headline(estimate: dict, which: str) -> str:
    """Return the headline for an `error_summary`.

    `which` completes the headline, for example with `like yours`: `Expect 1.5% errors on photos like yours`.
    """
    if too_uncertain(estimate):
        return "Too few photos to estimate the error rate"
    if not estimate["errors"]:
        return f"Expect fewer than {estimate['interval_95'][1]:.1%} errors on photos {which}"
    return f"Expect {estimate['error_rate']:.1%} errors on photos {which}"


def reason(facts):
    """Return the paragraphs below the headline: the 95% interval, and how far to trust the error rate."""
    cv, validation = facts.get("cross_validation"), facts.get("validation")
    lines = [f'<p class="effect">{interval(estimate(facts))}</p>']
    if "by_source" in facts:
        lines.append(
            "<p><b>Why you can trust this figure:</b> each source was tested once, with a model that had not seen any"
            f" of its photos.{when_sure(facts)} In tests on photos like yours:"
            f" {summary.share_of_errors(cv)}.</p>" + show_sources(facts["by_source"])
        )
    elif cv:
        lines.append(
            f"<p><b>Why you can trust this figure:</b> each photo was tested once (folds: {cv['folds']}), by a"
            " model that had not seen this photo or a near-duplicate. The model in export.pkl"
            f" was trained in the same way{', on all photos' if 'none_of_them' in facts else ''}."
            f" The figure holds for photos like yours. {summary.ELSEWHERE}</p>"
        )
    else:
        lines.append(
            "<p><b>Treat this figure with care:</b> the test photos were picked at random, so near-duplicates of them"
            " may have been used for training. Train with <code>--folds 5</code> for a figure from all photos.</p>"
        )
    if cv and validation:
        lines.append(f"<p>On the photos that the lesson's random split held out, the model {errors(validation)}</p>")
    return "\n".join(lines)


def show_sources(by_source):
    """Return a table of the sources, sorted by error rate, the highest first."""
    rows = sorted(by_source["sources"].items(), key=lambda row: -row[1]["errors"] / row[1]["photos"])
    body = "".join(
        f'<tr><th scope="row">{escape(name)}' + "".join(f"<td>{row[column]}" for column in COLUMNS)
        for name, row in rows
    )
    head = "".join(f'<th scope="col">{title}' for title in ("Source", *COLUMNS.values()))
    table = f"<table><thead><tr>{head}</thead><tbody>{body}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="Errors by source">{table}</div>'


def interval(estimate):
    if too_uncertain(estimate):
        return f"The model {errors(estimate)}"
    low, high = estimate["interval_95"]
    cases = f"{estimate['errors']} of {estimate['photos']} photos were mistaken for another class"
    return f"Most likely between {low:.1%} and {high:.1%} (the 95% interval): {cases}."


def guesses_of_wrong(result: Result, interp: ClassificationInterpretation) -> list[tuple[Path, int]]:
    """Return pairs of a misclassified photo and the number of its predicted class, the highest loss first."""
    return [(result.files[i], int(interp.probs[i].argmax())) for i in interp.wrong()]


def show_wrong(args, result, interp, backgrounds=None):
    """Return the section with all misclassified photos, grouped by actual and predicted class, largest group first.

    `backgrounds` is from `find_backgrounds`.
    """
    wrong, vocab, pairs = interp.wrong(), interp.vocab, defaultdict(list)
    for i in wrong:
        pairs[f"{vocab[interp.targets[i]]}, mistaken for {vocab[interp.probs[i].argmax()]}"].append(i)
    title = f"<h2>Photos that the model got wrong: {len(wrong)} of {len(result.files)}</h2>"
    shown = [
        show_pair(args, pair, {result.files[i]: interp.probs[i].max() for i in some}, backgrounds or {})
        for pair, some in sorted(pairs.items(), key=lambda item: -len(item[1]))
    ]
    return title + show_remedy(args, result, wrong) + explain_backgrounds(backgrounds, wrong) + "".join(shown)


def show_pair(args, pair, probs, backgrounds):
    """Return the HTML for the photos of one class that were mistaken for another class.

    `pair` names both classes. `probs` is a dict from each photo to the probability of the wrong class.
    """
    pictures = [backgrounds.get(f, f) for f in probs]
    captions = [f"{pair}, {min(p, 0.99):.0%} sure{BESIDE * (f in backgrounds)}" for f, p in probs.items()]
    photos = thumbnails(pictures, links(probs, args), captions)
    return f"<h3>{escape(pair)}: {len(probs)}</h3>{photos}"


def explain_backgrounds(backgrounds, wrong):
    if not backgrounds:
        return ""
    return (
        f"<p><b>The background may be to blame for {len(backgrounds)} of these {len(wrong)}:</b> the part that counted"
        " most for the wrong class is not on the animal. These photos have the heatmap of the wrong class over them,"
        " and a line around the animal that the detector found. If most photos of a class have the same background,"
        " the network learns the background. Add photos of the class with other backgrounds.</p>"
    )


def show_remedy(args, result, wrong):
    """Return advice on how to correct labels, or "" if no photo was misclassified or rejected."""
    if not wrong and not result.turned_away:
        return ""
    advice = (
        "<p>If a photo is in the wrong folder, or shows something else, correct this with the command below."
        " While the command runs, click the name of a photo below to open it on the review page:</p>"
    )
    return advice + "".join(map(command, summary.clean_commands(args)))


def show_others(facts, result):
    """Return the section with the negatives that were mistaken for a class.

    The section is empty if the model can't reject photos, as with `--lesson`.
    """
    if "none_of_them" not in facts:
        return ""
    others = facts["none_of_them"].get("others")
    if not others:
        return (
            "<h2>Other things mistaken for one of your classes: not tested</h2><p>Train with"
            " <code>--negatives DIR</code>, a folder of photos of anything else, to see which of them"
            " the model mistakes for a class.</p>"
        )
    title = f"<h2>Other things mistaken for one of your classes: {others['errors']} of {others['photos']}</h2>"
    captions = [f"mistaken for {label}" for _, label in result.passed]
    return title + thumbnails([f for f, _ in result.passed], map(escape, others["passed"]), captions)


def show_watch(facts):
    """Return the section that says how to test the camera's alarm, since training doesn't test it.

    The section is empty unless the alarm is for the shipped model's classes, black and grizzly.
    """
    if facts.get("alarm") != ALARM:
        return ""
    return (
        f"<h2>As an alarm for {escape(' and '.join(facts['alarm']))}: not tested</h2><p>To count missed visits and"
        " false alarms per hour, run the camera benchmark. It takes about an hour, and needs photos of animals,"
        " which it turns into clips:</p>" + command(".venv/bin/python benchmarks/watch.py")
    )


def show_turned_away(args, result):
    """Return the section with the training photos that the app would reject as none of the classes."""
    if not (files := result.turned_away):
        return ""
    note = "<p>These photos don't resemble your other photos. If one of them is correct, add more photos like it.</p>"
    captions = [f"{f.parent.name}, rejected" for f in files]
    title = f"<h2>Your photos rejected as none of the classes: {len(files)}</h2>"
    return title + note + thumbnails(files, links(files, args), captions)


def links(files, args):
    """Return a link for each photo that opens it on the review page."""
    names = [f.relative_to(folder_of(f, args.data)).as_posix() for f in files]
    return [f'<a href="{CLEAN}#{quote(name)}">{escape(name)}</a>' for name in names]


def thumbnails(files: Iterable[Path | Image.Image], names: Iterable[str], captions: Iterable[str]) -> str:
    """Return a grid of thumbnails with captions and file names. Names are HTML, and captions are plain text."""
    items = "".join(
        f'<li><img src="{thumbnail(file)}" alt=""><b>{escape(caption)}</b><code>{name}</code>'
        for file, name, caption in zip(files, names, captions)
    )
    return f'<ul class="photos">{items}</ul>' if items else ""


def show_confusion(interp):
    """Return the section with the confusion matrix. Each row starts with the recall and precision of its class."""
    matrix, labels = interp.confusion_matrix(), [escape(label) for label in interp.vocab]
    right, actual, taken = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    upright = len(labels) >= MANY or max(map(len, interp.vocab)) > LONG
    head = "".join(f'<th scope="col" class="class"><span>{label}</span>' for label in labels)
    rows = "".join(
        f'<tr><th scope="row">{label}<td>{actual[i]}<td>{share(right[i], actual[i])}<td>{share(right[i], taken[i])}'
        + "".join(cell(n, n / max(1, actual[i]), i == j) for j, n in enumerate(matrix[i]))
        for i, label in enumerate(labels)
    )
    return (
        "<h2>Which classes are mixed up</h2>"
        "<p><b>Recall</b>: of the photos of a class, how many are recognised. <b>Precision</b>: of the photos"
        " classified as a class, how many show this class.</p>"
        '<div class="wide" tabindex="0" role="region" aria-label="Confusion matrix">'
        f'<table class="confusion{" many" * upright}"><thead>'
        f'<tr><td colspan="4"><th scope="colgroup" colspan="{len(labels)}">were classified as'
        '<tr><th scope="col">Photos of<td><th scope="col"><span>Recall</span><th scope="col"><span>Precision</span>'
        f"{head}</thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def cell(n, part, right):
    """Return a cell of the confusion matrix. The larger a cell's share of its row, the stronger its colour."""
    if not n:
        return '<td class="n none">0'
    return f'<td class="n" style="--hue: var(--{"blue" if right else "red"}); --share: {0.3 + 0.7 * part:.2f}">{n}'


def share(part, whole):
    return f"{part / whole:.1%}" if whole else "–"


def describe_loss(recorder) -> str:
    """Return sentences that say how a fastai `Recorder`'s training and validation losses changed."""
    column = recorder.metric_names.index("valid_loss") - 1  # `metric_names` begin with the epoch, `values` don't
    held_out = [row[column] for row in recorder.values if row[column] is not None]
    if not len(recorder.losses):  # no batch was trained on
        return ""
    said = f"On the training photos, the loss {describe_course(recorder.losses)}."
    if not held_out:
        return said
    said += f" On the validation photos, the loss {describe_course(held_out)}."
    if min(held_out) * RISE < held_out[-1]:
        said += " A validation loss that rises is a sign of overfitting: try fewer epochs, or more photos."
    return said


def describe_course(losses: Iterable[float]) -> str:
    """Describe how the losses change, such as `falls from 1.10 to 0.05`."""
    first, *_, last = values = [float(loss) for loss in losses] * (1 if len(losses) > 1 else 2)
    lowest = min(values)
    if not np.isfinite(values).all():
        return "is not a number at some point: lower the learning rate"
    if lowest * RISE < min(first, last):
        return f"falls from {first:.2f} to {lowest:.2f}, then rises to {last:.2f}"
    if first * RISE < last:
        return f"rises from {first:.2f} to {last:.2f}"
    return f"falls from {first:.2f} to {last:.2f}" if last * RISE < first else f"stays at about {last:.2f}"


def show_plot(name, plot, title, note):
    plot = plot.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
    return f'<h2>{title}</h2><p class="note">{note}</p><figure class="{name}">{plot}</figure>'


def command(line):
    """Return a command with a button that copies it."""
    return f'<div class="command"><code>{escape(line)}</code><button type="button">Copy</button></div>'


def show_rest(facts):
    """Return the section with three lists that open with a click: excluded photos, near-duplicates and all figures."""
    counts = ", ".join(f"{n} {label}" for label, n in facts["counts"].items())
    left = "".join(f"<tr><td>{escape(f)}<td>{escape(why)}" for f, why in facts["dropped"].items())
    alike = "".join(f"<tr><td>{escape(', '.join(group))}" for group in facts["near_duplicates"])
    folded = {
        f"Photos excluded: {len(facts['dropped'])}": f"<table>{left}</table>",
        f"Groups of photos that show nearly the same: {len(facts['near_duplicates'])}": f"<table>{alike}</table>",
        "All figures, as in export.json": f'<pre tabindex="0">{escape(json.dumps(facts, indent=2))}</pre>',
    }
    details = "".join(f"<details><summary>{title}</summary>{text}</details>" for title, text in folded.items())
    return f"<h2>The photos</h2><p>{escape(counts)}.</p>{details}"
