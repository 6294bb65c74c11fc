"""Make a page of static files from an export: the model runs in the browser, without a server, without a network.

python3 -m bears offline --out site                             # for any host of static files
python3 -m bears offline --serve                                # look at it on this machine
python3 -m bears offline --model my/export.pkl --data my_photos # your own classes, compared on your own photos
"""

from argparse import Namespace
from pathlib import Path

from bears.cli import STOP_SIGNALS, begin, command_parser, end_in_order, ends_in_words
from bears.files import MODEL, export_file


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("offline", __doc__)
    parser.add_argument("--model", type=export_file, default=MODEL, help="the export to make it from")
    parser.add_argument("--trust-model", action="store_true", help="open any fastai export; it can run any code")
    parser.add_argument("--out", type=Path, default=Path("site"), help="the folder of the page (default: site)")
    parser.add_argument("--data", type=Path, help="a folder of photos on which graph and model are compared, too")
    parser.add_argument("--serve", action="store_true", help="serve the folder on this machine; Ctrl-C ends it")
    parser.add_argument("--port", type=int, default=0, help="port for --serve (default: any that is free)")
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
        raise OfflineError(f"There are no photos in {folder}: name another folder with --data.")
    return photos


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with ends_in_words("bears.offline"):
        check_folder(args.out)
        photos = photos_in(args.data)
        files = build(args.model, args.trust_model, photos, lambda words: print(words, flush=True))
        write(files, args.out)
        size = sum(map(len, files.values()))
        together = f"{len(files)} files of {size / 1e6:.1f} MB together"
        print_line(f"{args.out} has {together}, which is all that a visitor loads.")
        if args.serve:
            end_in_order(STOP_SIGNALS)
            serve(args.out, args.port)


if __name__ == "__main__":
    main()
