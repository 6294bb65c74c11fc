"""Collect openly licensed photos of your own classes from Openverse, ready for train.py.

python3 -m bears collect "grizzly bear" "black bear" "teddy bear" --out my_photos

Makes one folder of photos per search, and attribution.csv, which names the licence, author and source page of each.
The same command goes on where an earlier run was interrupted. https://openverse.org
"""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bears.cli import begin, command_parser, ends_in_words
from bears.collect.openverse import MAX_RESULTS, openverse

KEPT = "What has come is kept; the same command goes on from here."


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("collect", __doc__)
    parser.add_argument("queries", metavar="QUERY", nargs="+", help="what to search for; the name of its class, too")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for one folder per class")
    parser.add_argument(
        "--per-class", type=int, metavar="N", default=150, help=f"photos, {MAX_RESULTS} at most (default: 150)"
    )
    args = parser.parse_args(argv)
    if not 1 <= args.per_class <= MAX_RESULTS:
        parser.error(f"--per-class is a number from 1 to {MAX_RESULTS}, which is all that Openverse gives")
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
