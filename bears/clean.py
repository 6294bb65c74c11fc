"""Look through the photos that are probably wrong, and put them right: the lesson's `ImageClassifierCleaner`.

python -m bears.clean photos           # a page, for this machine only: keep, move to another class, set aside, undo
python -m bears.clean photos --list    # the 20 likeliest mistakes of each class, as text
"""

import argparse
import os
import sys
from functools import lru_cache
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from bears.errors import DataError, PhotoError, WeightsError
from bears.moves import Moves
from bears.photo import open_photo
from bears.suspects import find_suspects
from fastprogress import fastprogress

PAGE = 12  # photos in the grid


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


def create_page(folder, suspects):
    """The page, as a `gr.Blocks`, on the ranking of `find_suspects`."""
    moves = Moves(folder)
    labels = list(suspects)

    @lru_cache(maxsize=1000)
    def thumbnail(name, side=160):
        try:
            return open_photo(moves.folder / name, side)
        except PhotoError:
            return None

    def waiting(label):
        """The photos of a class that nobody has decided about, worst first."""
        seen = {step["to"] for step in moves.steps()}
        return [s for s in suspects[label] if s.name not in seen and (moves.folder / s.name).is_file()]

    def show(label, at=0):
        """What the page shows of a class when the photo at position `at` is chosen: a dict of updates."""
        left = waiting(label)
        at = max(0, min(at, len(left) - 1))
        start = at - at % PAGE
        chosen = left[at] if left else None
        others = [other for other in labels if other != label]
        steps = moves.steps()
        return {
            grid: gr.Gallery(
                [(thumbnail(s.name), s.opinion) for s in left[start : start + PAGE]],
                selected_index=at - start if left else None,
                label=f"{start + 1} to {min(start + PAGE, len(left))} of {len(left)}, the likeliest mistakes first",
            ),
            photo: chosen and open_photo(moves.folder / chosen.name),
            opinion: f"{chosen.opinion}" if chosen else f"Every photo of {label} has been looked at.",
            current: chosen and chosen.name,
            target: gr.Dropdown(others, value=chosen.guess if chosen and chosen.guess in others else others[0]),
            twin: gr.Image(
                chosen and chosen.twin and open_photo(moves.folder / chosen.twin),
                visible=bool(chosen and chosen.twin),
            ),
            history: "\n".join(f"- {s['time']} {s['action']} `{s['from']}`" for s in steps[:-11:-1]),
        }

    def act(step):
        def handler(label, name, goal):
            names = [s.name for s in waiting(label)]
            try:
                step(name, goal)
            except DataError as e:
                raise gr.Error(str(e), print_exception=False) from None
            return show(label, names.index(name))

        return handler

    def choose(label, name, event: gr.SelectData):
        names = [s.name for s in waiting(label)]
        at = names.index(name)
        return show(label, at - at % PAGE + event.index)

    def turn(pages):
        def handler(label, name):
            names = [s.name for s in waiting(label)]
            at = names.index(name)
            return show(label, at - at % PAGE + pages * PAGE)

        return handler

    def undo():
        step = moves.undo()
        label = Path(step["from"]).parent.name
        names = [s.name for s in waiting(label)]
        return {klass: label, **show(label, names.index(step["from"]))}

    with gr.Blocks(title="Which photos are wrong?") as page:
        gr.Markdown("# Which photos are wrong?\nStop when they all look right.")
        klass = gr.Radio(labels, value=labels[0], label="Class")
        current = gr.State()
        with gr.Row():
            with gr.Column():
                with gr.Row():
                    photo = gr.Image(label="Photo", height=320, interactive=False, buttons=["fullscreen"], format="jpeg")
                    twin = gr.Image(label="The same photo?", height=320, interactive=False, buttons=[], format="jpeg")
                opinion = gr.Markdown()
                with gr.Row():
                    keep = gr.Button("Keep", variant="primary")
                    aside = gr.Button("Set aside", variant="stop")
                with gr.Row():
                    target = gr.Dropdown(labels, label="Another class")
                    move = gr.Button("Move")
                back = gr.Button("Undo")
                history = gr.Markdown()
            with gr.Column():
                grid = gr.Gallery(columns=4, allow_preview=False, interactive=False, format="jpeg", buttons=[])
                with gr.Row():
                    previous = gr.Button("‹ Back")
                    following = gr.Button("More ›")
        outputs = [grid, photo, opinion, current, target, twin, history, klass]
        page.load(show, klass, outputs)
        klass.input(show, klass, outputs)
        keep.click(act(lambda name, _: moves.keep(name)), [klass, current, target], outputs)
        aside.click(act(lambda name, _: moves.set_aside(name)), [klass, current, target], outputs)
        move.click(act(moves.move), [klass, current, target], outputs)
        back.click(undo, None, outputs)
        grid.select(choose, [klass, current], outputs)
        previous.click(turn(-1), [klass, current], outputs)
        following.click(turn(1), [klass, current], outputs)
    return page


def run(args):
    suspects, dropped = find_suspects(args.data, args.leave_out)
    for name, reason in dropped.items():
        print(f"left out {name}: {reason}")
    if args.list:
        print_suspects(suspects, args.list)
    else:
        create_page(args.data, suspects).launch(server_name="127.0.0.1", share=False)


def main(argv=None):
    fastprogress.NO_BAR = not sys.stdout.isatty()  # in a log, a bar is one long line of noise
    try:
        run(parse_args(argv))
    except (DataError, WeightsError) as e:
        sys.exit(f"bears.clean: {e}")


if __name__ == "__main__":
    main()
