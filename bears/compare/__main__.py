"""Test two models on the same labelled photos, and say whether the new one is better.

python3 -m bears compare old/export.pkl new/export.pkl test_photos                  # writes comparison.html
python3 -m bears compare old/export.pkl new/export.pkl test_photos --fail-if-worse  # for CI

test_photos has one subfolder of photos per class. Neither model may have been trained on the photos in test_photos.
"""

import sys
from argparse import Namespace
from pathlib import Path

from bears.cli import add_trust, begin, command_parser, ends_in_words
from bears.files import export_file


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("compare", __doc__)
    parser.add_argument("old", metavar="OLD.pkl", type=export_file, help="the model that you have")
    parser.add_argument("new", metavar="NEW.pkl", type=export_file, help="the model that may replace it")
    parser.add_argument("photos", metavar="PHOTOS", type=Path, help="folder with one subfolder of photos per class")
    parser.add_argument(
        "--negatives",
        metavar="DIR",
        type=Path,
        help="folder of photos that show none of the classes, to count how many each model mistakes for a class",
    )
    parser.add_argument(
        "--out",
        default=Path("comparison.html"),
        type=Path,
        metavar="FILE",
        help="report to write (default: comparison.html)",
    )
    parser.add_argument("--fail-if-worse", action="store_true", help="end with status 1 if the new model is worse")
    add_trust(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    begin(parse_args)

from bears.compare import report
from bears.compare.judge import compare
from bears.files import check_writable, write_whole
from bears.text import as_typed, print_line


def run(args):
    """Write the report, print its verdict, and return the `Comparison`."""
    check_writable(args.out.parent)
    comparison = compare(args.old, args.new, args.photos, args.negatives, args.trust_model)
    write_whole(args.out, report.page(comparison, args).encode())
    for line in report.summary(comparison):
        print_line(line)
    print_line(f"The photos on which they differ: {as_typed(args.out)}")
    return comparison


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with ends_in_words("bears.compare"):
        if run(args).verdict == "worse" and args.fail_if_worse:
            sys.exit("bears.compare: the new model is worse.")


if __name__ == "__main__":
    main()
