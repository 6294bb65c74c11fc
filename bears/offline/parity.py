"""Check that the ONNX graph gives the same answers as the app. If the answers differ, write no offline version."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from bears.errors import OfflineError
from bears.model.answers import GROUP, NONE
from bears.model.classifier import Classifier
from bears.model.photo import open_or_none
from bears.model.runtime import open_network
from bears.model.squares import Answer, Grid, WholePhotos, find_corners, middle
from PIL import Image

CLOSE = 1e-3  # the largest allowed difference between the app's and the graph's probability of a class


class GraphSquares(WholePhotos):
    """Classify photos with the ONNX graph, in Python, as bears/web/offline/squares.js does in a browser.

    `shape` is from `find_shape`. If `shape["whole"]` is false, only the middle square of a photo is classified.
    """

    def __init__(self, graph: bytes, names: list[str], shape: dict, fitted: dict | None):
        super().__init__(fitted, Grid(shape["size"], shape["side"]))
        self.session = open_network(graph, threads=1)
        self.names, self.in_whole = names, shape["whole"]

    def ask(self, photos):
        return super().ask(photos) if self.in_whole else [self.ask_middle(photo) for photo in photos]

    def run(self, photos, size, stride=None):
        return [self.run_one(photo, size, stride) for photo in photos]

    def run_one(self, photo, size, stride):
        picture = self.grid.resized(photo, size)
        shape = [n // self.grid.cell for n in picture.size[::-1]]
        found = self.outputs(picture)
        corners = find_corners(shape, self.grid.side, stride)
        squares = [y * (shape[1] - self.grid.side + 1) + x for y, x in corners]
        best = int(np.argmax(found["score"][squares]))
        box = self.grid.box(photo.size, picture.size, corners[best])
        return Answer(torch.from_numpy(found["probs"][squares[best]]), box, float(found["score"][squares[best]]))

    def ask_middle(self, photo):
        box, size = middle(photo.size), (self.grid.size, self.grid.size)
        found = self.outputs(photo.crop(box).resize(size, Image.Resampling.BILINEAR))
        return Answer(torch.from_numpy(found["probs"][0]), box, float(found["score"][0]) if "score" in found else None)

    def outputs(self, picture):
        """Run the graph on a picture. Return a dict from the name of each output to an array."""
        return dict(zip(self.names, self.session.run(self.names, {"photo": np.asarray(picture)[None]})))


def check(model: Classifier, graph: GraphSquares, files: Iterable[Path]) -> tuple[int, float]:
    """Compare the app's model and the graph on photos and their halves.

    Returns the number of pictures, and the largest difference between the probabilities of the model and the graph.
    Raises `OfflineError` if the model and the graph disagree about a picture.
    """
    count, largest = 0, 0.0
    for file in files:
        if (photo := open_or_none(file)) is None:
            continue
        for part in (photo, *halves(photo)):
            same, apart = compare(model, graph, part)
            if not same or not apart <= CLOSE:
                raise OfflineError(
                    f"The exported model and the original disagree about {file} (by {apart:.4f}), so nothing was"
                    " written. Please report this with your versions of torch and onnx."
                )
            count, largest = count + 1, max(largest, apart)
    return count, largest


def halves(photo):
    """Return the upper and the left half of a photo, to test the graph with photos of several shapes."""
    width, height = photo.size
    return photo.crop((0, 0, width, -(-height // 2))), photo.crop((0, 0, -(-width // 2), height))


def compare(model, graph, photo):
    """Return whether the model and the ONNX graph agree, and the largest difference between their probabilities."""
    [(probs, certainty, *_)], [answer] = model.ask([photo]), graph.ask([photo])
    theirs, ours = np.array(list(probs.values())), answer.probs.numpy()
    same = model.certainty(answer) == certainty and (certainty in (NONE, GROUP) or theirs.argmax() == ours.argmax())
    return same, float(np.abs(theirs - ours).max())
