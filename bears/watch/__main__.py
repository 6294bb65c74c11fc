"""Watch a camera, a stream, a film or a folder, and raise an alarm when a real bear comes.

python3 -m bears watch 0                                   # a camera of this computer
python3 -m bears watch rtsp://user:password@192.168.1.20/stream1 --sound --until 07:00
python3 -m bears watch film.mp4 --out my_watch             # save each alarm with pictures in my_watch/events
python3 -m bears watch 0 --learn watched                   # no alarm for things like your false alarms
python3 -m bears watch --replay my_watch --threshold 0.3   # which alarms another threshold would have raised

This is a demo, not a safety device. Press Ctrl-C to stop.
"""

import argparse
import re
from argparse import Namespace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from bears.cli import STOP_SIGNALS, add_model, begin, command_parser, end_in_order, ends_in_words, labels


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("watch", __doc__)
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="?",
        help="camera (0), stream (rtsp://…, http://…), film, or folder into which photos arrive",
    )
    add_model(parser)
    parser.add_argument(
        "--alarm",
        type=labels,
        metavar="CLASSES",
        help="classes that raise the alarm, comma-separated (default: those in export.json, or all)",
    )
    parser.add_argument(
        "--threshold",
        type=share,
        help="how sure the model must be to raise an alarm, from 0 to 1 (default: 0.5, or 0.9 for a folder)",
    )
    parser.add_argument(
        "--ignore",
        type=zone,
        action="append",
        default=[],
        metavar="X,Y,W,H",
        help="ignore movement in a part of the picture: left, top, width and height, each from 0 to 1;"
        " repeat it for more parts",
    )
    parser.add_argument("--interval", type=positive, default=0.2, help="seconds between frames (default: 0.2)")
    parser.add_argument("--until", type=clock, metavar="HH:MM", help="time of day at which to stop (default: never)")
    parser.add_argument(
        "--hours",
        type=some_hours,
        metavar="HH:MM-HH:MM",
        help="watch only in these hours of each day (default: always)",
    )
    parser.add_argument(
        "--quiet-hours",
        type=hours,
        metavar="HH:MM-HH:MM",
        help="in these hours, record alarms without a sound or a webhook",
    )
    parser.add_argument(
        "--webhook",
        type=web_address,
        metavar="URL",
        help="address to which each alarm, and the end of each visit, is sent as JSON",
    )
    parser.add_argument("--sound", action="store_true", help="play a sound at an alarm")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("watched"),
        metavar="DIR",
        help="folder for scores and events (default: watched)",
    )
    parser.add_argument(
        "--learn",
        type=Path,
        metavar="DIR",
        help="folder of an earlier watch whose false alarms you marked with `clean DIR`: similar things raise no alarm",
    )
    parser.add_argument(
        "--max-gb",
        type=positive,
        default=1,
        help="gigabytes of recordings to keep at most; the oldest are deleted first (default: 1)",
    )
    parser.add_argument(
        "--replay",
        type=Path,
        metavar="DIR",
        help="folder of an earlier watch: explain its alarms, or those that another --threshold or --alarm would raise",
    )
    args = parser.parse_args(argv)
    if bool(args.source) == bool(args.replay):
        parser.error("give either a SOURCE to watch, or --replay DIR")
    if args.learn and args.replay:
        parser.error("--learn is for a new watch. Leave it out to replay one.")
    return args


def share(text):
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, not {text}")
    return value


def zone(text):
    """Parse a part of the picture such as `0,0,0.5,0.25` into four fractions: left, top, width and height."""
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a part of the picture; give one like 0,0,0.5,0.25") from None
    if not (0 <= x < 1 and 0 <= y < 1 and 0 < width <= 1 and 0 < height <= 1):
        raise argparse.ArgumentTypeError(f"{text} is not in the picture: all four numbers are fractions of its sides")
    return x, y, width, height


def positive(text):
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
    return value


def web_address(text):
    """Return `text` if it is an http or https URL. Don't quote `text` in an error, since it may contain a password."""
    try:
        parts = urlsplit(text)
        parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", text):
        raise argparse.ArgumentTypeError("this is not a web address; give one like https://example.org/events")
    return text


def clock(text):
    """Convert a time such as 07:30 to minutes since midnight."""
    try:
        time = datetime.strptime(text, "%H:%M")
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time; give one like 07:30") from None
    return 60 * time.hour + time.minute


def hours(text):
    begin, _, end = text.partition("-")
    return clock(begin), clock(end)


def some_hours(text):
    """Convert hours such as 21:00-07:00 to two times, in minutes since midnight. The times must differ."""
    begin, end = hours(text)
    if begin == end:
        raise argparse.ArgumentTypeError(f"{text} has the same time twice; give hours like 21:00-07:00")
    return begin, end


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
from bears.watch.engine import Frame, watch
from bears.watch.frames import open_source
from bears.watch.notify import Notifier, Progress, is_within, log
from bears.watch.record import Record
from bears.watch.replay import replay
from bears.watch.zones import leave_enough


def run(args):
    if args.replay:
        return replay(args.replay, args.alarm, args.threshold)
    if not leave_enough(args.ignore):
        raise WatchError("--ignore: some of the picture must be left to watch. Give smaller parts.")
    with closing(open_source(args.source, args.interval)) as source:
        check_writable(args.out)
        facts = read_facts(args.model)
        model = Classifier(args.model, args.trust_model, detect=source.whole_only)
        if args.learn:
            from bears.watch.learnt import learn  # only here, since it imports bears.clean, which takes seconds

            learn(model, args.learn, source)
        rule = PHOTO if source.whole_only else Rule()
        rule = replace(rule, threshold=args.threshold or rule.threshold)
        classes = list(model.learn.dls.vocab)
        about = {"source": source.name, "classes": classes, "alarm": which(args.alarm or facts.get("alarm"), classes)}
        about |= {"rule": asdict(rule), "live": source.live, "whole_only": source.whole_only, "ignore": args.ignore}
        with (
            closing(Record(args.out, args.max_gb, about)) as record,
            closing(Notifier(args.webhook, args.sound, args.quiet_hours, about, facts.get("subject"))) as notifier,
            closing(Progress()) as progress,
        ):
            only = f", only from {' to '.join(map(as_clock, args.hours))}" if args.hours else ""
            log(f"Watching {source.name} for {' or '.join(about['alarm'])}{only}. This is a demo, not a safety device.")
            frames = map(seen_in(args.hours), takewhile(not_yet(args.until), source.frames()))
            timer = monotonic if source.live else None  # a film waits for the model, so the model's speed has no effect
            settings = about["alarm"], rule, source.whole_only, timer, model.limits.groups, args.ignore
            for step in watch(frames, model, *settings):
                folder = record.add(step)
                for event in step.events:
                    notifier.notify(event, folder)
                progress.count(step)
    log(f"Scores and events are in {as_typed(args.out)}")


def which(labels, classes):
    """Return the classes that raise the alarm, by default all classes. Raises `WatchError` for an unknown class."""
    if unknown := set(labels or ()) - set(classes):
        raise WatchError(f"--alarm: there is no class {min(unknown)}. Choose from {', '.join(classes)}.")
    return labels or classes


def not_yet(minute):
    """Return a function that says at each frame whether to continue the watch.

    The watch ends at the time of day `minute` (minutes since midnight), or never if `minute` is None.
    """
    end = datetime.max if minute is None else next_time(minute, datetime.now())
    return lambda frame: datetime.now() < end


def seen_in(hours):
    """Return a function that removes the picture of a frame outside of `hours`. If `hours` is None, keep all."""

    def see(frame):
        return Frame(frame.seconds, None) if hours and not is_within(datetime.now(), *hours) else frame

    return see


def as_clock(minute):
    return f"{minute // 60:02}:{minute % 60:02}"


def next_time(minute, now):
    """Return the next date and time that is `minute` minutes after midnight."""
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
