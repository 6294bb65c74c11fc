"""Classify each animal that MegaDetector or the app's detector has found, and write MegaDetector's JSON format.

The format is described at https://lila.science/megadetector-output-format.
"""

import json
import math
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, islice

import numpy as np
from bears import __version__
from bears.errors import PredictError
from bears.files import fingerprint, version_of, whole
from bears.model import detector
from bears.model.answers import GROUP, NONE, SURE, find_group
from bears.model.metadata import read_facts
from bears.model.photo import SIDE, shrink
from bears.model.wording import group_name
from bears.predict.table import Photos, is_empty, open_or_stop
from bears.text import print_line
from PIL import Image

MIN_CONF = 0.2  # skip detections with a lower confidence, as MegaDetector 5 recommends; Timelapse may skip more
MARGIN = 0.25  # around a box, as a share of the box's longer side; animals fill boxes, but not the training photos

CUT_AHEAD = 16  # animals of a photo to crop before the model is free; other animals are cropped on demand
MAX_MEGABYTES, MAX_VALUES = 400, 30_000_000  # limits for a JSON file: about a million photos, which take 3 GB of memory


class Detections:
    """Classify the animals that MegaDetector found in the photos of a folder. Raises `PredictError`.

    The attribute `keys` has the positions of the photos with animals in MegaDetector's JSON file.
    """

    unit, detect = "photos with animals", False

    def __init__(self, file, folder):
        if not folder.is_dir():
            raise PredictError(f"There is no folder {folder}. Give the folder that MegaDetector searched.")
        self.folder, self.doc, self.about = folder, read_detections(file), {"detections": fingerprint(file)}
        self.animal = animal_categories(file, self.doc)
        self.keys = [i for i in range(len(self.doc["images"])) if self.animals(i)]
        if self.keys and self.are_gone():
            raise PredictError(
                f"None of the {len(self.keys):,} photos with animals in {file} is in {folder}. Give the folder"
                " that MegaDetector searched, or put the card or drive back."
            )

    def animals(self, i):
        """Return the detected animals of photo number `i` with a confidence of at least `MIN_CONF`."""
        detections = self.doc["images"][i].get("detections") or []
        return [d for d in detections if str(d["category"]) in self.animal and d["conf"] >= MIN_CONF]

    def photo(self, i):
        """Return the path of photo number `i`. In MegaDetector's file, names may have backslashes, as on Windows."""
        return self.folder / self.doc["images"][i]["file"].replace("\\", "/")

    def are_gone(self):
        return not any(os.path.isfile(self.photo(i)) for i in self.keys)

    def open(self, i):
        """Return a crop of each animal in photo number `i`."""
        boxes = [[min(max(-9, part), 9) for part in animal["bbox"]] for animal in self.animals(i)]
        return cut_out(self.photo(i), boxes, self.are_gone)

    def row(self, pictures, answers, facts, limits):
        return [[classifications(probs, certainty, limits.groups) for probs, certainty, *_ in answers]]

    def write(self, to, rows, model, file):
        """Add labels to MegaDetector's JSON and write it. Return the number of photos that couldn't be opened."""
        for detection in (d for image in self.doc["images"] for d in image.get("detections") or []):
            detection.pop("classifications", None)  # from another classifier
        failures = {}
        for i, found in rows:
            if isinstance(found, str):
                failures[self.doc["images"][i]["file"]] = found
                continue
            for animal, pairs in zip(self.animals(i), found):
                animal["classifications"] = pairs
        self.doc.pop("classification_category_descriptions", None)
        write_named(to, self.doc, model, file)
        # The format can't hold both detections and the reason of a failure, so keep the detections.
        for name, reason in failures.items():
            print_line(f"not labelled: {name} ({reason})")
        return len(failures)


class FoundAnimals(Photos):
    """Find and classify the animals in a folder's photos, or in one photo. The attribute `keys` has photo names."""

    detect, about = False, {"detector": detector.SHA256}

    def __init__(self, path):
        super().__init__(path)
        self.detector = detector.Detector()

    def open(self, name):
        [photo] = super().open(name)
        boxes, scores = self.detector.find_animals(photo)
        found = [[as_parts(box, photo.size), round(float(score), 3)] for box, score in zip(boxes, scores)]
        return Found(found, self.cut_out(name, [box for box, _ in found]) if found else [])

    def cut_out(self, name, boxes):
        photo = self.folder / name
        return cut_out(photo, boxes, lambda: is_empty(photo.parent))

    def row(self, found, answers, facts, limits):
        pairs = [classifications(probs, certainty, limits.groups) for probs, certainty, *_ in answers]
        return [[[*one, named] for one, named in zip(found.animals, pairs)]]

    def write(self, to, rows, model, file):
        """Write a file in MegaDetector's format. Return the number of photos that couldn't be opened."""
        images = [as_image(name, found) for name, found in rows]
        info = {"format_version": "1.5", "detector": "MegadetectorLite of zamba 2.7.2"}
        doc = {"info": info, "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"}, "images": images}
        write_named(to, doc, model, file)
        return sum("failure" in image for image in images)


@dataclass
class Found:
    """Hold the boxes and confidences of a photo's animals, and their crops."""

    animals: list
    pictures: Iterable[Image.Image]

    def __iter__(self):
        return iter(self.pictures)


def as_parts(box, size):
    """Convert a box from left, top, right, bottom in pixels to x, y, width, height as shares of the photo."""
    left, top, right, bottom = box / np.tile(size, 2)
    return [round(float(part), 4) for part in (left, top, right - left, bottom - top)]


def as_image(name, found):
    """Return the entry for a photo in MegaDetector's format: the animals, or why the photo could not be opened."""
    if isinstance(found, str):
        return {"file": name, "detections": None, "failure": found}
    animals = [{"category": "1", "conf": conf, "bbox": box, "classifications": pairs} for box, conf, pairs in found]
    return {"file": name, "detections": animals}


def cut_out(file, boxes, are_gone):
    """Return an iterator of crops, one per box. If possible, a crop's shorter side has at least `SIDE` pixels."""
    smallest = max(0.001, min(max(box[2:]) for box in boxes))
    photo = open_or_stop(file, math.ceil(SIDE / smallest), are_gone)
    pictures = (shrink(photo.crop(around(box, photo.size)), SIDE) for box in boxes)
    return chain(list(islice(pictures, CUT_AHEAD)), pictures)


def write_named(to, doc, model, file):
    """Write MegaDetector's JSON to the file `to`, and add the names of the labels and of the model."""
    doc["classification_categories"] = dict(
        enumerate(categories(model.learn.dls.vocab, read_facts(file), model.limits.groups))
    )
    doc["info"]["classifier"] = f"bears {__version__}, {file.name} {version_of(file)}"
    with whole(to) as part, TextIOWrapper(part, "ascii") as text:
        json.dump(doc, text, indent=1)


def animal_categories(file, doc):
    """Return the keys of the category "animal" or "Animal". Raises `PredictError` without this category."""
    names = {str(key): str(name) for key, name in doc["detection_categories"].items()}
    if animal := {key for key, name in names.items() if name.strip().lower() == "animal"}:
        return animal
    there = ", ".join(names.values()) or "none at all"
    raise PredictError(f"{file} has no category “animal” ({there}). Give the JSON that MegaDetector wrote.")


def read_detections(file):
    """Read MegaDetector's JSON and check all parts that `Detections` uses. Raises `PredictError`."""
    try:
        doc = json.loads(read_text(file))
        doc["info"].get, doc["detection_categories"].items
        for image in doc["images"]:
            if not isinstance(image["file"], str):
                raise TypeError
            for detection in image.get("detections") or []:
                x, y, width, height = detection["bbox"]
                detection["category"]
                if not (detection["conf"] >= 0 and all(map(math.isfinite, (x, y, width, height)))):
                    raise ValueError
        return doc
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, RecursionError):
        raise PredictError(
            f"{file} is not in MegaDetector's format (https://lila.science/megadetector-output-format). Give the JSON"
            " that it wrote."
        ) from None


def read_text(file):
    """Return the text of a JSON file, even if names in it aren't UTF-8. Raises `PredictError` for a huge file."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise PredictError(f"{file} is not a file. Give the JSON that MegaDetector wrote.")
        too_large = os.path.getsize(file) > 1e6 * MAX_MEGABYTES
        data = b"" if too_large else file.read_bytes()
    except OSError as e:
        raise PredictError(f"{file} can't be read ({e.strerror}). Give the JSON that MegaDetector wrote.") from None
    if too_large or sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise PredictError(
            f"{file} has more than {MAX_MEGABYTES} MB or {MAX_VALUES:,} values. Split it by folders with MegaDetector's"
            " subset_json_detector_output."
        )
    return data.decode("utf-8-sig", "surrogateescape")


def around(box: Sequence[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the square around a box, cut off at the photo's edges: left, top, right, bottom in pixels.

    A box is x, y, width and height as shares of the upright photo, since MegaDetector turns photos by their EXIF data.
    """
    x, y, width, height = (part * side for part, side in zip(box, 2 * size))
    half = (0.5 + MARGIN) * max(width, height)
    starts = [center - half for center in (x + width / 2, y + height / 2)]
    left, top = (min(max(0, math.floor(start)), side - 1) for start, side in zip(starts, size))
    right, bottom = (min(math.ceil(start + 2 * half), side) for start, side in zip(starts, size))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def categories(classes, facts, groups):
    """Return all labels that an animal can get, such as `fox`, `possible fox`, `other animal` or a group's name."""
    possible = [f"possible {label}" for label in classes]
    return [*classes, *possible, "other animal", *(group_name(group, facts) for group in groups)]


def classifications(probs, certainty, groups):
    """Return pairs of a label's number and its probability, the likeliest first.

    The number is a string: the label's position in the list that `categories` returns.
    """
    none, first = 2 * len(probs), 0 if certainty == SURE else len(probs)
    if certainty == NONE:
        return [[str(none), 1.0]]
    pairs = [[str(i), round(prob, 4)] for i, prob in enumerate(probs.values(), first)]
    if certainty == GROUP:
        group = find_group(probs, certainty, groups)
        pairs = [[str(none + 1 + groups.index(group)), round(sum(probs[label] for label in group), 4)], *pairs]
    return sorted(pairs, key=lambda pair: -pair[1])
