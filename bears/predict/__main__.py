"""Classify all photos in a folder and write a table (CSV), or label each animal and write MegaDetector's JSON format.

python3 -m bears predict my_photos                                       # writes predictions.csv
python3 -m bears predict my_photos --model my_model/export.pkl           # your own classes
python3 -m bears predict my_photos --find-animals                        # writes predictions.json, for Timelapse
python3 -m bears predict my_photos --detections md.json --out named.json  # for Timelapse, AddaxAI …

If a run is interrupted, run the same command again to continue.
"""

import os
from argparse import Namespace
from pathlib import Path

from bears.cli import add_model, begin, command_parser, ends_in_words
from bears.predict.journal import KEPT


def parse_args(argv: list[str] | None = None) -> Namespace:
    parser = command_parser("predict", __doc__)
    parser.add_argument(
        "photos", metavar="PHOTOS", type=Path, help="folder of photos, searched with all its subfolders; or one photo"
    )
    add_model(parser, strictness=True)
    animals = parser.add_mutually_exclusive_group()
    animals.add_argument(
        "--find-animals", action="store_true", help="find the animals in each photo, and label each of them"
    )
    animals.add_argument(
        "--detections",
        metavar="JSON",
        type=Path,
        help="label the animals that MegaDetector found in PHOTOS; JSON is MegaDetector's output file",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        help="file to write (default: predictions.csv, or predictions.json when labelling animals)",
    )
    args = parser.parse_args(argv)
    wanted, other = (".json", ".csv") if args.detections or args.find_animals else (".csv", ".json")
    args.out = args.out or Path(f"predictions{wanted}")
    if args.out.suffix.lower() == other:
        labels = "Labels of animals are written as JSON" if wanted == ".json" else "A row per photo is written as CSV"
        parser.error(f"{labels}, so --out can't end in {other}. Choose a name that ends in {wanted}.")
    return args


if __name__ == "__main__":
    begin(parse_args)

if "LOCAL_WORLD_SIZE" in os.environ:  # several processes share the cores; joblib's `cpu_count` reads LOKY_MAX_CPU_COUNT
    cores = (os.cpu_count() or 1) // int(os.environ["LOCAL_WORLD_SIZE"])
    os.environ.setdefault("LOKY_MAX_CPU_COUNT", str(max(1, cores)))

from bears import __version__, distributed
from bears.errors import PredictError
from bears.files import check_writable, fingerprint
from bears.model.classifier import Classifier
from bears.model.runtime import CORES
from bears.predict.detections import Detections, FoundAnimals
from bears.predict.journal import Journal
from bears.predict.run import ask_all
from bears.predict.table import Photos
from bears.text import as_typed


def choose_task(args):
    if args.detections:
        return Detections(args.detections, args.photos)
    return FoundAnimals(args.photos) if args.find_animals else Photos(args.photos)


def run(args):
    if args.out.exists():
        raise PredictError(f"{args.out} already exists. Move it elsewhere, or choose another file with --out.")
    task = choose_task(args)
    check_writable(args.out.parent)
    model = Classifier(args.model, args.trust_model, task.detect, args.strictness, threads=CORES)
    about = {"version": __version__, "model": fingerprint(args.model), "strictness": args.strictness}
    journal = Journal(args.out, {**about, "photos": str(args.photos), **task.about})
    todo = distributed.from_rank0(journal.remaining, task.keys)
    if len(todo) < len(task.keys):
        print(f"Continuing: {len(task.keys) - len(todo):,} of {len(task.keys):,} {task.unit} are done", flush=True)
    if part := distributed.part_of(todo):
        ask_all(part, len(todo), task, model, args.model, journal)
    distributed.wait_for_all()
    if not distributed.RANK:
        if missing := journal.remaining(task.keys):
            raise PredictError(
                f"Results for {len(missing):,} of {len(task.keys):,} {task.unit} are missing next to {args.out}."
                " Choose a file with --out on a disk that all machines share, and run the command again."
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
