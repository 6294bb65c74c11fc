"""Watch a camera, a stream, a film or a folder that photos come into, and raise an alarm when a real bear comes.

python3 -m bears watch 0                                   # a camera of this machine
python3 -m bears watch rtsp://user:password@192.168.1.20/stream1 --sound --until 07:00
python3 -m bears watch film.mp4 --out my_watch             # my_watch/events: why, with pictures and clips
python3 -m bears watch --replay my_watch --threshold 0.3   # the rule again, with other settings

It is a demonstration, and no safety device. Ctrl-C ends it.
"""

import argparse
import re
from argparse import Namespace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from bears.cli import STOP_SIGNALS, begin, command_parser, end_in_order, ends_in_words, labels
from bears.files import MODEL, export_file


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("watch", __doc__)
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="a film, a folder, a camera, or a stream's address")
    parser.add_argument("--model", type=export_file, default=MODEL, help="the export to ask")
    parser.add_argument("--trust-model", action="store_true", help="open any fastai export; it can run any code")
    parser.add_argument("--alarm", type=labels, metavar="CLASSES", help="which to wake for: black,grizzly")
    parser.add_argument("--threshold", type=share, help="how sure of it, 0 to 1 (default: 0.5; a folder: 0.9)")
    parser.add_argument("--interval", type=positive, default=0.2, help="seconds between frames (default: 0.2)")
    parser.add_argument("--until", type=clock, metavar="HH:MM", help="when to stop")
    parser.add_argument("--quiet-hours", type=hours, metavar="HH:MM-HH:MM", help="keep alarms, but tell nobody")
    parser.add_argument("--webhook", type=web_address, metavar="URL", help="where to send each event, as JSON")
    parser.add_argument("--sound", action="store_true", help="make a sound at an alarm")
    parser.add_argument(
        "--out", type=Path, default=Path("watched"), metavar="DIR", help="for scores and events (watched)"
    )
    parser.add_argument("--max-gb", type=positive, default=1, help="GB of recordings to keep, the newest (default: 1)")
    parser.add_argument("--replay", type=Path, metavar="DIR", help="the rule again, over the scores in that folder")
    args = parser.parse_args(argv)
    if bool(args.source) == bool(args.replay):
        parser.error("name what to watch, or a folder to --replay")
    return args


def share(text):
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def positive(text):
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def web_address(text):
    """An http address with a host; the message does not repeat it, since it may hold a password."""
    try:
        parts = urlsplit(text)
        parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text):
        raise argparse.ArgumentTypeError("that is no address such as https://example.org/events")
    return text


def clock(text):
    """Minutes since midnight."""
    try:
        time = datetime.strptime(text, "%H:%M")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time: 07:30") from None
    return 60 * time.hour + time.minute


def hours(text):
    begin, _, end = text.partition("-")
    return clock(begin), clock(end)


if __name__ == "__main__":
    begin(parse_args)

from contextlib import closing
from dataclasses import asdict, replace
from itertools import takewhile
from time import monotonic

from bears.errors import WatchError
from bears.files import check_writable
from bears.model.classifier import Classifier
from bears.model.metadata import read_facts
from bears.text import as_typed
from bears.watch.alarm import PHOTO, Rule
from bears.watch.engine import watch
from bears.watch.frames import open_source
from bears.watch.notify import Notifier, Progress, log
from bears.watch.record import Record
from bears.watch.replay import replay


def run(args):
    if args.replay:
        return replay(args.replay, args.alarm, args.threshold)
    with closing(open_source(args.source, args.interval)) as source:
        check_writable(args.out)
        facts = read_facts(args.model)
        model = Classifier(args.model, args.trust_model, detect=source.whole_only)
        rule = PHOTO if source.whole_only else Rule()
        rule = replace(rule, threshold=args.threshold or rule.threshold)
        classes = list(model.learn.dls.vocab)
        about = {"source": source.name, "classes": classes, "alarm": which(args.alarm or facts.get("alarm"), classes)}
        about |= {"rule": asdict(rule), "live": source.live, "whole_only": source.whole_only}
        with (
            closing(Record(args.out, args.max_gb, about)) as record,
            closing(Notifier(args.webhook, args.sound, args.quiet_hours, about, facts.get("subject"))) as notifier,
            closing(Progress()) as progress,
        ):
            log(f"Watching {source.name} for {' or '.join(about['alarm'])}. A demonstration, no safety device.")
            frames = takewhile(not_yet(args.until), source.frames())
            timer = monotonic if source.live else None  # a film waits for the model
            for step in watch(frames, model, about["alarm"], rule, source.whole_only, timer, model.limits.groups):
                folder = record.add(step)
                for event in step.events:
                    notifier.notify(event, folder)
                progress.count(step)
    log(f"Scores and events are in {as_typed(args.out)}")


def which(labels, classes):
    """The classes that alarm is asked for: all, if nobody says."""
    if unknown := set(labels or ()) - set(classes):
        raise WatchError(f"The model knows no {min(unknown)}: name some of {', '.join(classes)} with --alarm.")
    return labels or classes


def not_yet(minute):
    """A function that says, at each frame, whether it is before that minute of the day, if there is one."""
    end = datetime.max if minute is None else next_time(minute, datetime.now())
    return lambda frame: datetime.now() < end


def next_time(minute, now):
    """When it is that minute of the day: today or else tomorrow."""
    end = now.replace(hour=minute // 60, minute=minute % 60, second=0, microsecond=0)
    return end if end > now else end + timedelta(days=1)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    kept = "" if args.replay else f"Scores and events are in {as_typed(args.out)}"
    with ends_in_words("bears.watch", kept):
        end_in_order(STOP_SIGNALS)
        run(args)


if __name__ == "__main__":
    main()
