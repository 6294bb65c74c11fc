"""Animals that MegaDetector or the app's detector has found: each is cut out and named in MegaDetector's own JSON.

The format: https://lila.science/megadetector-output-format
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
from bears.files import whole
from bears.model import detector
from bears.model.answers import GROUP, NONE, SURE, find_group
from bears.model.metadata import read_facts
from bears.model.photo import SIDE, shrink
from bears.model.wording import group_name
from bears.predict.journal import digest
from bears.predict.photos import Photos, is_empty, open_or_stop
from bears.text import print_line
from PIL import Image

MIN_CONF = 0.2  # of a detection that is looked at, MegaDetector 5's own recommendation; Timelapse may ask for more
MARGIN = 0.25  # of a box's longer side, on all sides: boxes are tight, and the photos it has learnt from are not

CUT_AHEAD = 16  # animals of a photo that are cut out before the model is free; the others are cut out when it asks
MAX_MEGABYTES, MAX_VALUES = 400, 30_000_000  # of a JSON: those of a million photos or so, and 3 GB of memory


class Detections:
    """The photos in which MegaDetector has found animals; the keys are their positions in its file."""

    unit, detect = "photos with animals", False

    def __init__(self, file, folder):
        if not folder.is_dir():
            raise PredictError(f"There is no folder {folder}. Give the one that MegaDetector searched.")
        self.folder, self.doc, self.about = folder, read_detections(file), {"detections": digest(file)}
        self.animal = animal_categories(file, self.doc)
        self.keys = [i for i in range(len(self.doc["images"])) if self.animals(i)]
        if self.keys and self.are_gone():
            raise PredictError(
                f"None of the {len(self.keys):,} photos in which {file} has animals is in {folder}. Give the folder"
                " that MegaDetector searched, or put the card or drive back."
            )

    def animals(self, i):
        """Return the detections in an image that are looked at."""
        detections = self.doc["images"][i].get("detections") or []
        return [d for d in detections if str(d["category"]) in self.animal and d["conf"] >= MIN_CONF]

    def photo(self, i):
        """Return the path of a photo; cameras and Windows write names with backslashes."""
        return self.folder / self.doc["images"][i]["file"].replace("\\", "/")

    def are_gone(self):
        return not any(os.path.isfile(self.photo(i)) for i in self.keys)

    def open(self, i):
        """Return a picture of each animal, with as many pixels as the page's photos have, if the photo has them."""
        boxes = [[min(max(-9, part), 9) for part in animal["bbox"]] for animal in self.animals(i)]
        return cut_out(self.photo(i), boxes, self.are_gone)

    def row(self, pictures, answers, facts, limits):
        return [[classifications(probs, certainty, limits.groups) for probs, certainty, *_ in answers]]

    def write(self, to, rows, model, file):
        """Write what MegaDetector has written, with names; returns how many photos could not be opened."""
        for detection in (d for image in self.doc["images"] for d in image.get("detections") or []):
            detection.pop("classifications", None)  # of another classifier
        failures = {}
        for i, found in rows:
            if isinstance(found, str):
                failures[self.doc["images"][i]["file"]] = found
                continue
            for animal, pairs in zip(self.animals(i), found):
                animal["classifications"] = pairs
        self.doc.pop("classification_category_descriptions", None)
        write_named(to, self.doc, model, file)
        # The format has no place for the reason beside detections, which stay.
        for name, reason in failures.items():
            print_line(f"not labelled: {name} ({reason})")
        return len(failures)


class FoundAnimals(Photos):
    """The photos of a folder, or one photo, in which the app's detector finds the animals; their names are the keys."""

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
        """Write MegaDetector's JSON; returns how many photos could not be opened."""
        images = [as_image(name, found) for name, found in rows]
        info = {"format_version": "1.5", "detector": "MegadetectorLite of zamba 2.7.2"}
        doc = {"info": info, "detection_categories": {"1": "animal", "2": "person", "3": "vehicle"}, "images": images}
        write_named(to, doc, model, file)
        return sum("failure" in image for image in images)


@dataclass
class Found:
    """The boxes and confidences of a photo's animals, and their pictures."""

    animals: list
    pictures: Iterable[Image.Image]

    def __iter__(self):
        return iter(self.pictures)


def as_parts(box, size):
    """Return the box left, top, right, bottom in pixels as x, y, width and height, parts of the photo."""
    left, top, right, bottom = box / np.tile(size, 2)
    return [round(float(part), 4) for part in (left, top, right - left, bottom - top)]


def as_image(name, found):
    """Return MegaDetector's JSON about a photo: the animals, or why it could not be opened."""
    if isinstance(found, str):
        return {"file": name, "detections": None, "failure": found}
    animals = [{"category": "1", "conf": conf, "bbox": box, "classifications": pairs} for box, conf, pairs in found]
    return {"file": name, "detections": animals}


def cut_out(file, boxes, are_gone):
    """A picture of what is in each box of a photo, with as many pixels as the page's photos have, if it has them."""
    smallest = max(0.001, min(max(box[2:]) for box in boxes))
    photo = open_or_stop(file, math.ceil(SIDE / smallest), are_gone)
    pictures = (shrink(photo.crop(around(box, photo.size)), SIDE) for box in boxes)
    return chain(list(islice(pictures, CUT_AHEAD)), pictures)


def write_named(to, doc, model, file):
    """Write MegaDetector's JSON, in which animals have classifications; says which classes and model those are of."""
    doc["classification_categories"] = dict(
        enumerate(categories(model.learn.dls.vocab, read_facts(file), model.limits.groups))
    )
    doc["info"]["classifier"] = f"bears {__version__}, {file.name} {digest(file)}"
    with whole(to) as part, TextIOWrapper(part, "ascii") as text:
        json.dump(doc, text, indent=1)


def animal_categories(file, doc):
    """Return the keys of the category "animal" as text; some programs write "Animal"."""
    names = {str(key): str(name) for key, name in doc["detection_categories"].items()}
    if animal := {key for key, name in names.items() if name.strip().lower() == "animal"}:
        return animal
    there = ", ".join(names.values()) or "none at all"
    raise PredictError(f"{file} has no category “animal” ({there}). Give the JSON that MegaDetector wrote.")


def read_detections(file):
    """Return MegaDetector's JSON, a dict in which everything is that `Detections` takes for granted."""
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
    """Return the text of a JSON, if it is not too large; names in it need not be UTF-8."""
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
    """Return the square around a box, as far as it fits into a photo of `size`: left, top, right, bottom in pixels.

    A box is x, y, width and height as parts of the upright photo: MegaDetector turns photos as their EXIF data say.
    """
    x, y, width, height = (part * side for part, side in zip(box, 2 * size))
    half = (0.5 + MARGIN) * max(width, height)
    starts = [center - half for center in (x + width / 2, y + height / 2)]
    left, top = (min(max(0, math.floor(start)), side - 1) for start, side in zip(starts, size))
    right, bottom = (min(math.ceil(start + 2 * half), side) for start, side in zip(starts, size))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def categories(classes, facts, groups):
    """Return all names for an animal: a class, possibly a class, another animal, or one of a group."""
    possible = [f"possible {label}" for label in classes]
    return [*classes, *possible, "other animal", *(group_name(group, facts) for group in groups)]


def classifications(probs, certainty, groups):
    """Return the positions of `categories`, as text, with a probability of each, the largest first."""
    none, first = 2 * len(probs), 0 if certainty == SURE else len(probs)
    if certainty == NONE:
        return [[str(none), 1.0]]
    pairs = [[str(i), round(prob, 4)] for i, prob in enumerate(probs.values(), first)]
    if certainty == GROUP:
        group = find_group(probs, certainty, groups)
        pairs = [[str(none + 1 + groups.index(group)), round(sum(probs[label] for label in group), 4)], *pairs]
    return sorted(pairs, key=lambda pair: -pair[1])
