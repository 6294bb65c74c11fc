"""Check whether your model is as sure about visitors' photos as about photos that you know (domain shift).

python3 -m bears report feedback my_photos --model my_model/export.pkl    # writes drift.html

feedback is the folder of `app --feedback`. my_photos is a folder of photos that you know.
"""

from argparse import Namespace
from pathlib import Path

from bears.cli import begin, command_parser, ends_in_words
from bears.files import MODEL, export_file


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("report", __doc__)
    parser.add_argument("log", metavar="LOG", type=Path, help="folder of `app --feedback`, or the counts.csv in it")
    parser.add_argument(
        "photos", metavar="PHOTOS", type=Path, help="folder of photos like those that the model was made for"
    )
    parser.add_argument(
        "--model",
        type=export_file,
        default=MODEL,
        help="the export that the app serves (default: the bears' export.pkl)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", default=Path("drift.html"), help="report to write (default: drift.html)"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    begin(parse_args)

from bears.files import check_writable, write_whole
from bears.report import drift, page
from bears.text import as_typed, print_line


def run(args):
    check_writable(args.out.parent)
    visitors = drift.read_counts(args.log, args.model)
    known = drift.ask(args.model, args.photos)
    found = drift.compare(known, visitors)
    write_whole(args.out, page.create(found, known, visitors).encode())
    for line in (*page.say_days(visitors), page.effect(found), page.verdict(found)):
        print_line(line)
    print_line(f"The report, with plots: {as_typed(args.out)}")


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with ends_in_words("bears.report"):
        run(args)


if __name__ == "__main__":
    main()
