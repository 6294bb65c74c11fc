"""Classify all photos of a folder, as a table (CSV); or the animals in them, in MegaDetector's JSON.

python3 -m bears predict my_photos                                       # writes predictions.csv
python3 -m bears predict my_photos --model my_model/export.pkl           # your own classes
python3 -m bears predict my_photos --find-animals                        # writes predictions.json, for Timelapse
python3 -m bears predict my_photos --detections md.json --out named.json  # for Timelapse and its kin

The same command goes on where an earlier run was interrupted.
"""

import os
from argparse import Namespace
from pathlib import Path

from bears.cli import STRICTNESS, begin, command_parser, ends_in_words
from bears.files import MODEL, export_file
from bears.predict.journal import KEPT


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("predict", __doc__)
    parser.add_argument("photos", metavar="PHOTOS", type=Path, help="a folder, with all folders in it; or one photo")
    parser.add_argument("--model", type=export_file, default=MODEL, help="the export to ask")
    parser.add_argument("--trust-model", action="store_true", help="open any fastai export; it can run any code")
    parser.add_argument("--strictness", **STRICTNESS)
    animals = parser.add_mutually_exclusive_group()
    animals.add_argument("--find-animals", action="store_true", help="find the animals in each photo and name each")
    animals.add_argument("--detections", metavar="JSON", type=Path, help="what MegaDetector has found in that folder")
    parser.add_argument("--out", metavar="FILE", type=Path, help="what to write (default: predictions.csv or .json)")
    args = parser.parse_args(argv)
    args.out = args.out or Path("predictions.json" if args.detections or args.find_animals else "predictions.csv")
    return args


if __name__ == "__main__":
    begin(parse_args)

if "LOCAL_WORLD_SIZE" in os.environ:  # processes of one machine share its cores; joblib's `cpu_count` reads this
    cores = (os.cpu_count() or 1) // int(os.environ["LOCAL_WORLD_SIZE"])
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", str(max(1, cores)))

from bears import distributed
from bears.errors import PredictError
from bears.files import check_writable
from bears.model.classifier import Classifier
from bears.predict.detections import Detections, FoundAnimals
from bears.predict.journal import Journal, digest
from bears.predict.photos import Photos
from bears.predict.run import ask_all
from bears.text import as_typed


def choose_task(args):
    if args.detections:
        return Detections(args.detections, args.photos)
    return FoundAnimals(args.photos) if args.find_animals else Photos(args.photos)


def run(args):
    if args.out.exists():
        raise PredictError(f"{args.out} is there already: move it away, or name another file with --out.")
    task = choose_task(args)
    check_writable(args.out.parent)
    model = Classifier(args.model, args.trust_model, task.detect, args.strictness)
    journal = Journal(
        args.out, {"model": digest(args.model), "strictness": args.strictness, "photos": str(args.photos), **task.about}
    )
    todo = distributed.from_rank0(journal.remaining, task.keys)
    if len(todo) < len(task.keys):
        print(f"Going on: {len(task.keys) - len(todo):,} of {len(task.keys):,} {task.unit} are done", flush=True)
    if todo:
        distributed.split_between_processes(ask_all)(todo, len(todo), task, model, args.model, journal)
    if not distributed.RANK:
        if missing := journal.remaining(task.keys):
            raise PredictError(
                f"{len(missing):,} of {len(task.keys):,} {task.unit} have no row beside {args.out}: name a file with"
                " --out on a disk that all machines share, and start again."
            )
        failed = task.write(args.out, journal.rows(), model, args.model)
        journal.delete()
        print(f"{len(task.keys):,} {task.unit}, {failed:,} of which could not be opened, are in {as_typed(args.out)}")


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    with distributed.processes(), ends_in_words("bears.predict", KEPT):
        run(args)


if __name__ == "__main__":
    main()
