"""Classify photos with an export: probabilities, whether they show any of the classes, and the heatmap."""

from pathlib import Path

import numpy as np
import torch
from bears.errors import ExportError
from bears.model import ood
from bears.model.answers import NO_LIMITS, Limits
from bears.model.export import open_export
from bears.model.heatmap import activation_map
from bears.model.optimize import speed_up
from bears.model.squares import Answer, create_squares, has_linear_head
from fastai.learner import Learner
from joblib import cpu_count
from PIL import Image
from torch import nn

CORES = cpu_count()  # what a container may use, not what its host has


def limits_of(learn: Learner) -> Limits:
    """Return what may be said of the answers of a Learner."""
    fitted, vocab = getattr(learn, "ood", None) or {}, learn.dls.vocab
    groups = [[vocab[i] for i in group] for group in fitted.get("groups", ())]
    return Limits(fitted.get("earned", NO_LIMITS.earned), groups)


class Classifier:
    """An export that answers for one photo or for several at once; not safe from two threads (fastai #3385).

    `detect` is for `create_squares`: whether to cut out animals, if its classes are animals. `strictness` is for
    `ood.stricter`.
    """

    def __init__(self, file: Path, trust: bool = False, detect: bool = True, strictness: float = 1.0) -> None:
        self.detect = detect
        self.learn = open_export(file, trust)
        if not (isinstance(self.learn.model, nn.Sequential) and len(self.learn.model) == 2):
            raise ExportError(f"{file} is not an image classifier of vision_learner: it has no body and head.")
        if strictness != 1:
            self.be_stricter(file, strictness)
        speed_up(self.learn.model.eval())
        self.try_out(file)

    def be_stricter(self, file: Path, strictness: float) -> None:
        """Change how much a photo must be like the training photos. Raises `ExportError` if the export cannot say."""
        if not (fitted := getattr(self.learn, "ood", None)):
            raise ExportError(f"{file} never says that a photo shows none of its classes: leave out --strictness.")
        self.learn.ood = ood.stricter(fitted, strictness)

    def try_out(self, file: Path) -> None:
        """Look through the model; raises `ExportError` when it cannot answer: a file may say what no photo fits."""
        try:
            self.explains, self.limits = has_linear_head(self.learn), limits_of(self.learn)
            self.squares = create_squares(self.learn, self.detect)
            [answer] = self.squares.ask([Image.new("RGB", (320, 240))])
            self.explain(answer), self.certainty(answer)
        except Exception as e:  # as many kinds as there are layers
            raise ExportError(
                f"{file} failed on a test photo ({type(e).__name__}). Train it again with train.py."
            ) from None
        if answer.probs.shape != (len(self.learn.dls.vocab),) or not answer.probs.isfinite().all():
            raise ExportError(
                f"{file} doesn't give a probability for each of its classes. Train it again with train.py."
            )

    def ask(self, photos: list[Image.Image], alone: bool = True) -> list[tuple]:
        """Classify RGB PIL images; `alone` says that nobody else is waiting. Returns a tuple for each image.

        It has the probability of each class, a dict; one of the answers of bears/model/answers.py; and the activation
        map of the top class, (h, w), or None. The fourth value is the square that this is about: left, top, right,
        bottom in pixels. The last is the box of the animal in it, or None if the detector's crop did not decide.
        """
        torch.set_num_threads(CORES if alone else max(1, CORES // 2))  # the others open the next photos
        return [
            (dict(zip(self.learn.dls.vocab, a.probs.tolist())), self.certainty(a), self.explain(a), a.box, a.animal)
            for a in self.squares.ask(photos)
        ]

    def certainty(self, answer: Answer) -> str:
        """Return which of the four answers it is, as `ood.certainty`."""
        return ood.certainty(getattr(self.learn, "ood", None), answer.probs.tolist(), answer.score)

    def explain(self, answer: Answer) -> np.ndarray | None:
        """Return the activation map of the top class, or nothing if the head has none."""
        return activation_map(answer.fmap, self.learn.model[1][-1], answer.probs.argmax()) if self.explains else None
