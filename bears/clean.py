"""Look through the photos that are probably wrong, and put them right: the lesson's `ImageClassifierCleaner`.

python -m bears.clean photos           # a page, for this machine only: keep, move to another class, set aside, undo
python -m bears.clean photos --list    # the 20 likeliest mistakes of each class, as text
"""

import argparse
import os
import sys
from functools import lru_cache, partial
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from bears.errors import DataError, WeightsError
from bears.moves import Moves
from bears.photo import open_photo
from bears.suspects import find_suspects
from fastprogress import fastprogress

BATCH = 9  # photos in the grid
INTRO = """# Which photos are wrong?
Those that most likely lie in the wrong class, show something else or are copies come first. Go on until they all look
right. Nothing is deleted: what you set aside lies in `{folder}/set-aside`, and every step can be undone.
"""
CSS = """
.gradio-container {width: 100% !important; max-width: 80rem !important; margin: 0 auto !important}
#opinion p {font-size: 1.2rem; overflow-wrap: anywhere}
#grid .grid-wrap {max-height: none}
#grid .caption-label {left: 0; right: 0; bottom: 0; max-width: none; white-space: normal; text-align: left}
@media (max-width: 40rem) {#grid .grid-container {grid-template-columns: 1fr 1fr !important}}
"""
THEME = gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]).set(
    color_accent="*primary_700",  # as in app.py: Gradio's own colours are too faint for many eyes (WCAG 2.2, AA)
    block_label_text_color="*primary_800",
    block_title_text_color="*primary_800",
)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder that holds one folder of photos per class")
    parser.add_argument("--list", nargs="?", const=20, type=int, metavar="N", help="print the first N of each class")
    parser.add_argument("--leave-out", metavar="CSV", help="photos not to look at, as for train.py")
    return parser.parse_args(argv)


def print_suspects(suspects, n):
    for ranked in suspects.values():
        for place, s in enumerate(ranked[:n], 1):
            print(f"{place:>3}. {s.name}  {s.opinion}")


class Review:
    """What is still to be looked at: the ranking of `find_suspects` without the photos that were decided about."""

    def __init__(self, folder, suspects):
        self.moves = Moves(folder)
        self.suspects = suspects

    def here(self, name):
        return (self.moves.folder / name).is_file()

    def waiting(self, label):
        """The photos of a class that nobody has decided about, the likeliest mistakes first."""
        seen = {step["to"] for step in self.moves.steps()}
        return [s for s in self.suspects[label] if s.name not in seen and self.here(s.name)]

    def place(self, label, name):
        """Where a photo stands among those that wait; the first place if it is not among them."""
        names = [s.name for s in self.waiting(label)]
        return names.index(name) if name in names else 0

    def picture(self, name, side=360):
        return thumbnail(self.moves.folder / name, side)


@lru_cache(maxsize=1000)
def thumbnail(file, side):
    return open_photo(file, side)


def show(review, label, place=0):
    """The whole page when the photo at `place` of a class is chosen, in the order of `create_page`'s outputs."""
    waiting = review.waiting(label)
    place = max(0, min(place, len(waiting) - 1))
    first = place - place % BATCH
    batch = waiting[first : first + BATCH]
    grid = gr.Gallery(
        [(review.picture(s.name, 180), s.opinion) for s in batch], selected_index=place - first if batch else None
    )
    count = f"Photos {first + 1} to {first + len(batch)} of {len(waiting)} in {label}" if batch else ""
    return label, grid, count, *show_photo(review, waiting[place] if batch else None), show_steps(review)


def show_photo(review, chosen):
    """The chosen photo, its twin, what is said of it, the class it could belong to, its name, the buttons."""
    buttons = [gr.Button(interactive=chosen is not None) for _ in ("keep", "set aside", "move")]
    if chosen is None:
        return None, gr.Image(visible=False), "Every photo of this class was looked at.", gr.Dropdown(), None, *buttons
    others = [label for label in review.suspects if label != chosen.label]
    twin = chosen.twin and review.here(chosen.twin)
    gone = ", which is no longer there" if chosen.twin and not twin else ""
    return (
        review.picture(chosen.name),
        gr.Image(review.picture(chosen.twin) if twin else None, visible=bool(twin)),
        f"**{chosen.name}**: {chosen.opinion}{gone}",
        gr.Dropdown(others, value=chosen.guess if chosen.guess in others else others[0]),
        chosen.name,
        *buttons,
    )


def show_steps(review):
    """The latest steps, newest first, in Markdown."""
    return "\n".join(f"- {step['action']} `{step['from']}`" for step in review.moves.steps()[:-11:-1])


def act(review, step, label, name, goal):
    """Take a step on the chosen photo and show the one after it."""
    place = review.place(label, name)
    try:
        step(name, goal)
    except DataError as e:
        raise gr.Error(str(e), print_exception=False) from None
    return show(review, label, place)


def undo(review, label):
    """Take back the latest step and show its photo."""
    try:
        step = review.moves.undo()
    except DataError as e:
        raise gr.Error(str(e), print_exception=False) from None
    if not step:
        raise gr.Error("There is nothing to undo.", print_exception=False)
    label = Path(step["from"]).parent.name
    return show(review, label, review.place(label, step["from"]))


def create_page(folder, suspects):
    """The page, as a `gr.Blocks`, on the ranking of `find_suspects`."""
    review = Review(folder, suspects)
    labels = list(suspects)
    with gr.Blocks(title="Which photos are wrong?") as page:
        gr.Markdown(INTRO.format(folder=folder))
        label = gr.Radio(labels, value=labels[0], label="Class")
        name = gr.State()
        with gr.Row():
            with gr.Column():
                with gr.Row():
                    photo = gr.Image(
                        label="Photo",
                        alt_text="The chosen photo",
                        height=360,
                        interactive=False,
                        buttons=[],
                        format="jpeg",
                    )
                    twin = gr.Image(
                        label="Nearly the same",
                        alt_text="Its copy",
                        height=360,
                        interactive=False,
                        buttons=[],
                        format="jpeg",
                    )
                opinion = gr.Markdown(elem_id="opinion")
                with gr.Row():
                    keep = gr.Button("Keep", variant="primary", min_width=100)
                    aside = gr.Button("Set aside", variant="stop", min_width=100)
                with gr.Row():
                    move = gr.Button("Move to", min_width=100)
                    goal = gr.Dropdown(labels, label="Class to move it to", container=False, min_width=100)
                back = gr.Button("Undo")
                steps = gr.Markdown()
            with gr.Column():
                count = gr.Markdown()
                grid = gr.Gallery(
                    show_label=False,
                    columns=3,
                    height="auto",
                    allow_preview=False,
                    interactive=False,
                    format="jpeg",
                    buttons=[],
                    elem_id="grid",
                )
                with gr.Row():
                    previous = gr.Button("‹ Previous", min_width=100)
                    following = gr.Button("Next ›", min_width=100)
        outputs = [label, grid, count, photo, twin, opinion, goal, name, keep, aside, move, steps]

        def choose(label, name, event: gr.SelectData):
            place = review.place(label, name)
            return show(review, label, place - place % BATCH + event.index)

        def turn(pages, label, name):
            return show(review, label, review.place(label, name) // BATCH * BATCH + pages * BATCH)

        page.load(partial(show, review), label, outputs)
        label.input(partial(show, review), label, outputs)
        grid.select(choose, [label, name], outputs)
        previous.click(partial(turn, -1), [label, name], outputs)
        following.click(partial(turn, 1), [label, name], outputs)
        chosen = [label, name, goal]
        keep.click(partial(act, review, lambda name, _: review.moves.keep(name)), chosen, outputs)
        aside.click(partial(act, review, lambda name, _: review.moves.set_aside(name)), chosen, outputs)
        move.click(partial(act, review, review.moves.move), chosen, outputs)
        back.click(partial(undo, review), label, outputs)
    return page


def run(args):
    suspects, dropped = find_suspects(args.data, args.leave_out)
    for name, reason in dropped.items():
        print(f"left out {name}: {reason}")
    if args.list:
        print_suspects(suspects, args.list)
    else:
        serve(create_page(args.data, suspects))


def serve(page):
    """Show the page to this machine and nobody else, since it moves files."""
    page.launch(
        server_name="127.0.0.1",
        share=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        css=CSS,
        theme=THEME,
        prevent_thread_lock=True,
        quiet=True,
    )
    print(f"The page is at {page.local_url}", flush=True)
    page.block_thread()


def main(argv=None):
    fastprogress.NO_BAR = not sys.stdout.isatty()  # in a log, a bar is one long line of noise
    try:
        run(parse_args(argv))
    except (DataError, WeightsError) as e:
        sys.exit(f"bears.clean: {e}")


if __name__ == "__main__":
    main()
