"""Build the offline version: static files that run the model in the browser, without a server or a network.

python3 -m bears offline --out site                             # put this folder on any host for static files
python3 -m bears offline --serve                                # build it and serve it on this computer
python3 -m bears offline --model my/export.pkl --data my_photos # your own classes
"""

from argparse import Namespace
from pathlib import Path

from bears.cli import STOP_SIGNALS, add_model, begin, command_parser, end_in_order, ends_in_words


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("offline", __doc__)
    add_model(parser)
    parser.add_argument("--out", type=Path, default=Path("site"), help="folder to write to (default: site)")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of more photos, to check that the offline version gives the same answers as the app",
    )
    parser.add_argument(
        "--serve", action="store_true", help="serve the folder of --out on this computer; stop with Ctrl-C"
    )
    parser.add_argument("--port", type=int, default=0, help="port for --serve (default: any free one)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    begin(parse_args)

from bears.errors import OfflineError
from bears.offline.folder import check_folder, write
from bears.offline.serve import serve
from bears.offline.site import build
from bears.photos import list_photos
from bears.text import print_line


def photos_in(folder):
    photos = list_photos(folder, tell=print_line) if folder else []
    if folder and not photos:
        raise OfflineError(f"There are no photos in {folder}. Choose another folder with --data.")
    return photos


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with ends_in_words("bears.offline"):
        check_folder(args.out)
        photos = photos_in(args.data)
        files = build(args.model, args.trust_model, photos, lambda words: print(words, flush=True))
        write(files, args.out)
        size = sum(map(len, files.values()))
        print_line(f"Wrote {len(files)} files to {args.out} ({size / 1e6:.1f} MB, all that a visitor downloads).")
        if args.serve:
            end_in_order(STOP_SIGNALS)
            serve(args.out, args.port)


if __name__ == "__main__":
    main()
