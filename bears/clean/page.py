"""The page of `bears.clean`: one photo to decide about, and a grid of those that come next."""

from functools import lru_cache, partial, wraps
from pathlib import Path

import gradio as gr
from bears.errors import DataError, PhotoError
from bears.photo import SIDE, open_photo

BATCH = 12  # photos in the grid
TITLE = "Which photos are wrong?"
INTRO = """# {title}
Those that most likely lie in the wrong class, show something else or are near-duplicates come first. Go on until they
all look right. Nothing is deleted: what you set aside lies in `{folder}`, and every step can be undone.
"""
CSS = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


@lru_cache(maxsize=64)
def decoded(path, side, changed, size):
    return open_photo(path, side)


def picture(path, side=SIDE):
    """`open_photo`, but a file that has not changed is decoded once."""
    stat = path.stat()
    return decoded(path, side, stat.st_mtime_ns, stat.st_size)


class Review:
    """What is still to be looked at: the ranking of `rank_folder` without the photos that `Decisions` knows of."""

    def __init__(self, decisions, ranking):
        self.decisions = decisions
        self.ranking = ranking

    def path(self, name):
        """The path of a photo of the ranking, or nothing if it is no longer there."""
        path = self.decisions.folder / name
        return path if path.is_file() else None

    def waiting(self, label):
        """The photos of a class that nobody has decided about, the likeliest mistakes first."""
        seen = {step["to"] for step in self.decisions.steps()}
        return [s for s in self.ranking[label] if s.name not in seen and self.path(s.name)]

    def place(self, label, name):
        """Where a photo stands among those that wait; the first place if it is not among them."""
        names = [s.name for s in self.waiting(label)]
        return names.index(name) if name in names else 0


# What the page shows, in the order of its outputs


def show(review, label, place=0):
    """The whole page when the photo at `place` of a class is chosen."""
    waiting = review.waiting(label)
    place = max(0, min(place, len(waiting) - 1))
    first = place - place % BATCH
    batch = waiting[first : first + BATCH]
    grid = [(picture(review.decisions.folder / s.name, 180), s.opinion) for s in batch]
    return (
        label,
        *show_photo(review, waiting[place] if waiting else None),
        "\n".join(f"- {step['action']} `{step['from']}`" for step in review.decisions.steps()[:-11:-1]),
        f"Photos {first + 1} to {first + len(batch)} of {len(waiting)} in {label}" if waiting else "",
        gr.Gallery(grid, selected_index=place - first if waiting else None),
    )


def show_photo(review, chosen):
    """The chosen photo: name, picture, near-duplicate, what is to be said of it, class to move it to, buttons."""
    buttons = [gr.Button(interactive=chosen is not None) for _ in ("keep", "set aside", "move")]
    if chosen is None:
        return None, None, gr.Image(visible=False), "Every photo of this class was looked at.", gr.Dropdown(), *buttons
    others = [label for label in review.ranking if label != chosen.label]
    other = chosen.near_duplicate and review.path(chosen.near_duplicate)
    gone = " (That photo is no longer there.)" if chosen.near_duplicate and not other else ""
    return (
        chosen.name,
        picture(review.decisions.folder / chosen.name),
        gr.Image(other and picture(other), visible=bool(other)),
        f"**{chosen.name}**: {chosen.opinion}{gone}",
        gr.Dropdown(others, value=chosen.guess if chosen.guess in others else others[0]),
        *buttons,
    )


# What can be done


def explained(handler):
    """`handler`, but what goes wrong is said on the page."""

    @wraps(handler)
    def explain(*args):
        try:
            return handler(*args)
        except DataError as e:
            raise gr.Error(str(e), print_exception=False) from None
        except PhotoError as e:
            raise gr.Error(f"{e.reason}.", print_exception=False) from None
        except FileNotFoundError:
            raise gr.Error("A photo was moved at this moment: reload the page.", print_exception=False) from None

    return explain


def act(review, step, label, name, goal):
    """Take a step with the chosen photo and show the one after it."""
    place = review.place(label, name)
    step(name, goal)
    return show(review, label, place)


def undo(review, label):
    """Take back the latest step and show its photo."""
    step = review.decisions.undo()
    if not step:
        gr.Info("There is nothing to undo.")
        return show(review, label)
    gr.Info(f"{step['from']} is back.")
    old = Path(step["from"]).parent.name
    label = old if old in review.ranking else label
    return show(review, label, review.place(label, step["from"]))


def turn(review, pages, label, name):
    """Choose the first photo of another batch."""
    return show(review, label, (review.place(label, name) // BATCH + pages) * BATCH)


# The page


def create_page(review):
    """The page, as a `gr.Blocks`, on a `Review`."""
    decisions, labels = review.decisions, list(review.ranking)
    with gr.Blocks(title=TITLE) as page:
        gr.Markdown(INTRO.format(title=TITLE, folder=decisions.log.parent))
        label = gr.Radio(labels, value=labels[0], label="Class")
        name = gr.State()
        with gr.Row():
            with gr.Column():
                *shown, goal, keep, aside, move, back, steps = create_desk(labels)
            with gr.Column():
                count, grid, previous, following = create_grid()
        outputs = [label, name, *shown, goal, keep, aside, move, steps, count, grid]

        def choose(label, name, event: gr.SelectData):
            place = review.place(label, name)
            return show(review, label, place - place % BATCH + event.index)

        for event, handler, inputs in (
            (page.load, partial(show, review), [label]),
            (label.input, partial(show, review), [label]),
            (grid.select, choose, [label, name]),
            (previous.click, partial(turn, review, -1), [label, name]),
            (following.click, partial(turn, review, 1), [label, name]),
            (keep.click, partial(act, review, lambda name, _: decisions.keep(name)), [label, name, goal]),
            (aside.click, partial(act, review, lambda name, _: decisions.set_aside(name)), [label, name, goal]),
            (move.click, partial(act, review, decisions.move), [label, name, goal]),
            (back.click, partial(undo, review), [label]),
        ):
            event(explained(handler), inputs, outputs, api_visibility="private")
    return page


def create_desk(labels):
    """The chosen photo and what can be done with it."""
    plain = dict(height=360, interactive=False, buttons=[], format="jpeg")
    with gr.Row():
        photo = gr.Image(label="Photo", alt_text="The chosen photo", **plain)
        other = gr.Image(label="Nearly the same", alt_text="Its near-duplicate", visible=False, **plain)
    opinion = gr.Markdown(elem_id="opinion")
    with gr.Row():
        keep = gr.Button("Keep", variant="primary", min_width=100)
        aside = gr.Button("Set aside", min_width=100)
    with gr.Row():
        move = gr.Button("Move to", min_width=100)
        goal = gr.Dropdown(labels, label="Class to move it to", container=False, min_width=100)
    back = gr.Button("Undo")
    steps = gr.Markdown()
    return photo, other, opinion, goal, keep, aside, move, back, steps


def create_grid():
    """The batch of photos that the chosen one is part of."""
    count = gr.Markdown()
    plain = dict(show_label=False, interactive=False, allow_preview=False, buttons=[], format="jpeg")
    grid = gr.Gallery(columns=4, height="auto", elem_id="grid", **plain)
    with gr.Row():
        previous = gr.Button("‹ Previous", min_width=100)
        following = gr.Button("Next ›", min_width=100)
    return count, grid, previous, following
