"""Classify photos with an export: probabilities, the kind of answer, and the heatmap."""

from collections.abc import Iterable
from pathlib import Path

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
    """Classify one photo or several at once with an export. Use it from one thread only (fastai #3385).

    With `detect`, a model of animals also looks at the animals that the detector finds (`create_squares`).
    `strictness` multiplies the thresholds of "none of the classes" (`ood.stricter`). Networks that ONNX Runtime
    computes use `threads` threads. Raises `ExportError`.
    """

    def __init__(
        self, file: Path, trust: bool = False, detect: bool = True, strictness: float = 1.0, threads: int = THREADS
    ) -> None:
        self.false_alarms: torch.Tensor | None = None  # their features, (pictures, n)
        self.learn = open_export(file, trust)
        if not (isinstance(self.learn.model, nn.Sequential) and len(self.learn.model) == 2):
            raise ExportError(
                f"{file} is no image classifier of vision_learner: it has no body and head. Train one with train.py."
            )
        if fitted := getattr(self.learn, "ood", None):
            self.learn.ood = ood.in_single_precision(fitted)
        if strictness != 1:
            self.be_stricter(file, strictness)
        speed_up(self.learn.model.eval(), threads)
        # torch's threads wait for the slowest at each step. So they need cores of their own: the others open photos.
        self.threads = 1 if isinstance(self.learn.model[0], FastBody) else THREADS
        self.try_out(file, detect, threads)

    def be_stricter(self, file: Path, strictness: float) -> None:
        """Multiply the thresholds of "none of the classes". Raises `ExportError` if the export has none."""
        if not (fitted := getattr(self.learn, "ood", None)):
            raise ExportError(f"{file} never says that a photo shows none of its classes. Leave out --strictness.")
        self.learn.ood = ood.stricter(fitted, strictness)

    def try_out(self, file: Path, detect: bool, threads: int) -> None:
        """Classify a blank photo. Raises `ExportError` if that fails: a file can describe a network that can't run."""
        try:
            self.explains, self.limits = has_linear_head(self.learn), limits_of(self.learn)
            self.squares = create_squares(self.learn, detect, threads)
            [answer] = self.squares.ask([Image.new("RGB", (320, 240))])
            self.explain(answer), self.certainty(answer)
        except Exception as e:  # layers raise many kinds
            raise ExportError(
                f"{file} failed on a test photo ({type(e).__name__}). Train it again with train.py."
            ) from None
        if answer.probs.shape != (len(self.learn.dls.vocab),) or not answer.probs.isfinite().all():
            raise ExportError(
                f"{file} doesn't give a probability for each of its classes. Train it again with train.py."
            )

    def ask(self, photos: list[Image.Image]) -> list[tuple]:
        """Classify RGB PIL images; return a tuple (probs, certainty, map, square, animal, all) for each.

        `probs` is a dict from class to probability. `certainty` is the kind of answer, as in bears/model/answers.py.
        `map` is the activation map of the top class, (h, w), or None if the head has none. `square` is the part of the
        image that was classified: left, top, right, bottom in pixels. `animal` is the box of the animal in it, or None
        if the detector's crop did not decide. If the detector has found several animals that show a class, `all` has a
        tuple (box, probs, certainty) for each. The one in `animal` comes first. Otherwise it is empty.
        """
        torch.set_num_threads(self.threads)
        return [
            (self.probs(a), self.certainty(a), self.explain(a), a.box, a.animal, self.name_all(a))
            for a in self.squares.ask(photos)
        ]

    def learn_false_alarms(self, photos: Iterable[Image.Image]) -> None:
        """Answer `NONE` from now on for photos that resemble one of these more than the training photos.

        Raises `ExportError` if the export doesn't say what its training photos look like.
        """
        if not getattr(self.learn, "ood", None):
            raise ExportError("This model never says that a photo shows none of its classes. Leave out --learn.")
        self.false_alarms = torch.cat(
            [self.features(answer) for photo in photos for answer in self.squares.ask([photo])]
        )

    @torch.no_grad()
    def features(self, answer: Answer) -> torch.Tensor:
        """Return the features of the square that an answer is about: the input of the head's last layer, (1, n)."""
        return self.learn.model[1][:-1](torch.stack([answer.fmap]))

    def probs(self, answer: Answer) -> dict[str, float]:
        return dict(zip(self.learn.dls.vocab, answer.probs.tolist()))

    def name_all(self, first: Answer) -> list[tuple]:
        animals = [first, *first.others] if first.others else []
        return [(answer.animal, self.probs(answer), self.certainty(answer)) for answer in animals]

    def certainty(self, answer: Answer) -> str:
        """Return the kind of answer, one of four (`ood.certainty`). A known false alarm is `NONE`."""
        if self.false_alarms is not None and ood.shows_known(self.learn.ood, self.features(answer), self.false_alarms):
            return NONE
        return ood.certainty(getattr(self.learn, "ood", None), answer.probs.tolist(), answer.score)

    def explain(self, answer: Answer) -> np.ndarray | None:
        """Return the activation map of the top class, (h, w), or None if the head is not linear."""
        return activation_map(answer.fmap, self.learn.model[1][-1], answer.probs.argmax()) if self.explains else None
