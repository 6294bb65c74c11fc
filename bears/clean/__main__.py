"""Review likely mistakes in your photos, in your browser, like the lesson's `ImageClassifierCleaner`.

python3 -m bears clean photos           # opens the review page: keep, move to another class, set aside, undo
python3 -m bears clean photos --list    # the 20 likeliest mistakes of each class, as text
python3 -m bears clean feedback         # what visitors have sent to `app --feedback feedback`
python3 -m bears clean watched          # the alarms of `watch`: which were right, and which were false
"""

import sys
from argparse import Namespace
from collections import Counter
from pathlib import Path

from bears.cli import NO_VISIT, STOP_SIGNALS, begin, command_parser, end_in_order, ends_in_words, prepare_gradio

LISTED = 20  # photos of each class that `--list` prints


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("clean", __doc__)
    parser.add_argument(
        "data",
        metavar="DIR",
        help="folder with one subfolder of photos per class, or the folder of `app --feedback` or of `watch`",
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help=f"print the {LISTED} likeliest mistakes of each class, and don't open the review page",
    )
    parser.add_argument(
        "--exclude", metavar="CSV", help="table of photos to leave out, with the columns “file” and “reason”"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    begin(parse_args)

prepare_gradio("bears.clean")

from bears.clean.checks import CHECKS
from bears.clean.decisions import Decisions
from bears.clean.events import FALSE_ALARM, Alarms, find_events, rank_events
from bears.clean.feedback import NEGATIVES, REVIEWED, Reviewed, find_tables, rank_feedback
from bears.clean.page import Review, create_page
from bears.clean.ranking import DISAGREE, MAY_BE_FALSE, rank_folder
from bears.learning.data import check_folder
from bears.learning.learner import no_progress_bar_in_logs
from bears.text import as_typed, print_line
from bears.web.theme import THEME


def print_ranking(review):
    for label in review.ranking:
        for place, s in enumerate(review.waiting(label)[:LISTED], 1):
            print_line(f"{place:>3}. {s.name}  {s.opinion}")


def sum_up(review):
    """Return a sentence with the number of photos to review, in total and for each reason."""
    waiting = [photo for label in review.ranking for photo in review.waiting(label)]
    checks = [
        check for check in (DISAGREE, MAY_BE_FALSE) if any(check in photo.found_by for photo in waiting)
    ] or CHECKS
    counts = [f"{sum(check in photo.found_by for photo in waiting)} {check}" for check in checks]
    return f"{len(waiting)} photos to review: {', '.join(counts)}."


def sum_up_steps(before, after):
    """Return a sentence about your decisions in this run.

    `before` is the list of steps at the start of the run, and `after` the list at its end. Neither list
    has steps that you undid.
    """
    new = Counter(tuple(step.items()) for step in after) - Counter(tuple(step.items()) for step in before)
    done = Counter(dict(step)["action"] for step in new.elements())
    if not done:
        return "You made no new decisions."
    if done[FALSE_ALARM]:
        return f"Alarms that you marked as right: {done['keep']}, as false: {done[FALSE_ALARM]}."
    return (
        f"You have kept {done['keep']}, moved {done['move']} and set aside {done['set aside']}."
        " You can undo each step on the review page, today or later."
    )


def typed(args):
    """Return the folder and the option --exclude as you would type them in a command."""
    photos = as_typed(args.data)
    return f"{photos} --exclude {as_typed(args.exclude)}" if args.exclude else photos


def train_command(args):
    if find_tables(Path(args.data)):
        folder = Path(args.data)
        reviewed, negatives = as_typed(folder / REVIEWED), as_typed(folder / NEGATIVES)
        return f"python3 -m bears train --data my_photos --data {reviewed} --negatives {negatives} --out new_model"
    return f"python3 -m bears train --data {typed(args)} --out my_model"


def print_next_commands(args):
    print(f"{'Next, review them' if args.list else 'To continue'}: python3 -m bears clean {typed(args)}")
    if not find_events(Path(args.data)):
        print(f"To train on these photos (--out can be any folder): {train_command(args)}", flush=True)


def serve(review):
    """Start the review page and return its `gr.Blocks`.

    Only this machine can open the page, since everybody who opens it can move files.
    """
    page, wanted = create_page(review)
    begin()  # or Ctrl-C would show a traceback while Gradio starts its threads
    try:
        page.launch(
            server_name="127.0.0.1",
            share=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            theme=THEME,
            prevent_thread_lock=True,
            quiet=True,
            **NO_VISIT,
            **wanted,
        )
    except OSError:  # Gradio tries the ports from 7860, or only the port in GRADIO_SERVER_PORT
        sys.exit("bears.clean: There is no free port for the review page. Stop another app and start again.")
    end_in_order(STOP_SIGNALS)
    print(f"The review page is at {page.local_url}", flush=True)
    return page


def kind_of(folder):
    """Return the Python class that logs your decisions on a folder, and the function that ranks the folder's photos.

    The class is `Decisions` for training photos, `Reviewed` for visitors' feedback, and `Alarms` for alarms. The
    function is None for training photos, since `rank_folder` must score them first.
    """
    if find_tables(folder):
        return Reviewed, rank_feedback
    if find_events(folder):
        return Alarms, rank_events
    return Decisions, None


def run(args):
    check_folder(Path(args.data))
    steps_of, ranking_of = kind_of(Path(args.data))
    decisions = steps_of(args.data)
    before = decisions.steps()  # report a damaged log now, since scoring the photos takes long
    review = Review(decisions, train_command=train_command(args))
    page = None if args.list else serve(review)
    if ranking_of:
        review.ranking, dropped = ranking_of(Path(args.data)), {}
    else:
        print("Scoring the photos. This takes about as long as training", flush=True)
        review.ranking, dropped = rank_folder(args.data, args.exclude, progress=review.note)
    if sys.stdout.isatty():
        print()  # fastprogress doesn't end the line of its bar
    for name, reason in dropped.items():
        print_line(f"excluded {name}: {reason}")
    if args.list:
        print_ranking(review)
    print(sum_up(review), flush=True)
    if page:
        page.block_thread()
        print(sum_up_steps(before, decisions.steps()))
    print_next_commands(args)


def main(argv: list[str] | None = None) -> None:
    no_progress_bar_in_logs()
    with ends_in_words("bears.clean", "Your decisions are kept."):
        run(parse_args(argv))


if __name__ == "__main__":
    main()
