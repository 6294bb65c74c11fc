"""Classify photos with an export. Each answer has probabilities, a certainty and an activation map."""

from collections.abc import Iterable
from pathlib import Path

import bears.model.late_imports  # noqa: F401 - before fastai is imported
import numpy as np
import torch
from bears.errors import ExportError
from bears.model import ood
from bears.model.answers import NO_LIMITS, NONE, Limits
from bears.model.export import open_export
from bears.model.heatmap import activation_map
from bears.model.optimize import FastBody, speed_up
from bears.model.runtime import THREADS
from bears.model.squares import Answer, create_squares, has_linear_head
from fastai.learner import Learner
from PIL import Image
from torch import nn


def limits_of(learn: Learner) -> Limits:
    """Return the `Limits` that training stored in a Learner."""
    fitted, vocab = getattr(learn, "ood", None) or {}, learn.dls.vocab
    groups = [[vocab[i] for i in group] for group in fitted.get("groups", ())]
    return Limits(fitted.get("earned", NO_LIMITS.earned), groups)


class Classifier:
    """Classify one or several photos at once with an export. Use each `Classifier` in one thread only (fastai #3385).

    If `detect` is true and the classes are animals, also classify the animals that the detector finds
    (`create_squares`). `strictness` multiplies the thresholds for "none of the classes" (`ood.stricter`). `threads` is
    the number of threads for ONNX Runtime. Raises `ExportError`.
    """

    def __init__(
        self, file: Path, trust: bool = False, detect: bool = True, strictness: float = 1.0, threads: int = THREADS
    ) -> None:
        self.false_alarms: torch.Tensor | None = None  # features of known false alarms, of the shape (photos, n)
        self.learn = open_export(file, trust)
        if not (isinstance(self.learn.model, nn.Sequential) and len(self.learn.model) == 2):
            raise ExportError(
                f"{file} is not a classifier of vision_learner: it has no body and head. Train one with train.py."
            )
        if fitted := getattr(self.learn, "ood", None):
            self.learn.ood = ood.in_single_precision(fitted)
        if strictness != 1:
            self.be_stricter(file, strictness)
        speed_up(self.learn.model.eval(), threads)
        # With a `FastBody`, torch only computes the head, for which one thread is enough. Otherwise, torch uses half of
        # the cores, and other processes open photos on the other half. With more threads, torch would often wait for
        # the slowest one.
        self.threads = 1 if isinstance(self.learn.model[0], FastBody) else THREADS
        self.try_out(file, detect, threads)

    def be_stricter(self, file: Path, strictness: float) -> None:
        """Multiply the thresholds of "none of the classes". Raises `ExportError` if the export has no thresholds."""
        if not (fitted := getattr(self.learn, "ood", None)):
            raise ExportError(f"{file} never says that a photo shows none of its classes. Leave out --strictness.")
        self.learn.ood = ood.stricter(fitted, strictness)

    def try_out(self, file: Path, detect: bool, threads: int) -> None:
        """Classify a blank photo. Raises `ExportError` if the network in the file fails."""
        try:
            self.explains, self.limits = has_linear_head(self.learn), limits_of(self.learn)
            self.squares = create_squares(self.learn, detect, threads)
            [answer] = self.squares.ask([Image.new("RGB", (320, 240))])
            self.explain(answer), self.certainty(answer)
        except Exception as e:  # layers can raise any exception
            raise ExportError(
                f"{file} failed on a test photo ({type(e).__name__}). Train it again with train.py."
            ) from None
        if answer.probs.shape != (len(self.learn.dls.vocab),) or not answer.probs.isfinite().all():
            raise ExportError(
                f"{file} doesn't give a probability for each of its classes. Train it again with train.py."
            )

    def ask(self, photos: list[Image.Image]) -> list[tuple]:
        """Classify RGB PIL images. Return a tuple (probs, certainty, map, square, animal, all) for each image.

        `probs` is a dict from class to probability. `certainty` is the kind of answer, as in bears/model/answers.py.
        `map` is the activation map of the top class, of the shape (h, w), or None if the head is not linear. `square`
        is the part of the image that was classified. `animal` is the box around the detected animal, or None if the
        answer is not about a detected animal. `square` and `animal` are (left, top, right, bottom) in pixels of the
        image. If several detected animals show a class, `all` has a tuple (box, probs, certainty) for each of them,
        starting with `animal`. Otherwise, `all` is empty.
        """
        torch.set_num_threads(self.threads)
        return [
            (self.probs(a), self.certainty(a), self.explain(a), a.box, a.animal, self.name_all(a))
            for a in self.squares.ask(photos)
        ]

    def learn_false_alarms(self, photos: Iterable[Image.Image]) -> None:
        """Learn known false alarms, so that the answer is `NONE` for photos that resemble one of these `photos`.

        Raises `ExportError` if the export has no gallery of training photos.
        """
        if not getattr(self.learn, "ood", None):
            raise ExportError("This model never says that a photo shows none of its classes. Leave out --learn.")
        self.false_alarms = torch.cat(
            [self.features(answer) for photo in photos for answer in self.squares.ask([photo])]
        )

    @torch.no_grad()
    def features(self, answer: Answer) -> torch.Tensor:
        """Return the features of the classified square: the input of the head's last layer, of the shape (1, n)."""
        return self.learn.model[1][:-1](torch.stack([answer.fmap]))

    def probs(self, answer: Answer) -> dict[str, float]:
        return dict(zip(self.learn.dls.vocab, answer.probs.tolist()))

    def name_all(self, first: Answer) -> list[tuple]:
        animals = [first, *first.others] if first.others else []
        return [(answer.animal, self.probs(answer), self.certainty(answer)) for answer in animals]

    def certainty(self, answer: Answer) -> str:
        """Return the kind of answer, chosen by `ood.certainty`. For photos like a known false alarm, return `NONE`."""
        if self.false_alarms is not None and ood.shows_known(self.learn.ood, self.features(answer), self.false_alarms):
            return NONE
        return ood.certainty(getattr(self.learn, "ood", None), answer.probs.tolist(), answer.score)

    def explain(self, answer: Answer) -> np.ndarray | None:
        """Return the activation map of the top class, of the shape (h, w), or None if the head is not linear."""
        return activation_map(answer.fmap, self.learn.model[1][-1], answer.probs.argmax()) if self.explains else None
