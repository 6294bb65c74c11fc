"""Collect openly licensed photos of your own classes from Openverse, ready for train.py.

python3 -m bears collect "grizzly bear" "black bear" "teddy bear" --out my_photos

Each search gets a folder of photos. attribution.csv has the licence, author and source page of every photo.
If a run is interrupted, run the same command again to continue. The photos come from https://openverse.org.
"""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bears.cli import begin, command_parser, ends_in_words
from bears.collect.openverse import MAX_RESULTS, openverse

KEPT = "Downloaded photos are kept; run the same command again to continue."


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("collect", __doc__)
    parser.add_argument(
        "queries", metavar="QUERY", nargs="+", help="search term for one class; it is also the name of the class"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="output folder; each class gets a subfolder"
    )
    parser.add_argument(
        "--per-class",
        type=int,
        metavar="N",
        default=150,
        help=f"number of photos of each class, {MAX_RESULTS} at most (default: 150)",
    )
    args = parser.parse_args(argv)
    if not 1 <= args.per_class <= MAX_RESULTS:
        parser.error(f"--per-class must be between 1 and {MAX_RESULTS}, the most that Openverse gives")
    return args


if __name__ == "__main__":
    begin(parse_args)

from bears.collect.photos import collect
from bears.errors import DownloadError


def main(argv: list[str] | None = None, search: Callable = openverse, **kwargs: Any) -> None:
    args = parse_args(argv)
    with ends_in_words("bears.collect", KEPT):
        try:
            collect(args.queries, args.out, args.per_class, search=search, **kwargs)
        except DownloadError as e:
            raise DownloadError(f"the search failed ({e}). {KEPT}") from None


if __name__ == "__main__":
    main()
