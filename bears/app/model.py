"""What an export makes of photos: probabilities, whether they are of its distribution at all, and where it looked."""

import torch
from bears import ood
from bears.app.heatmap import activation_map, can_explain
from bears.errors import ExportError
from bears.export import open_export
from bears.speed_up import speed_up
from joblib import cpu_count
from PIL import Image
from torch import nn

CORES = cpu_count()  # what a container may use, not what its host has


class Model:
    """An export that answers for one photo or for several at once; not safe from two threads (fastai #3385)."""

    def __init__(self, file, trust=False):
        self.learn = open_export(file, trust)
        if not (isinstance(self.learn.model, nn.Sequential) and len(self.learn.model) == 2):
            raise ExportError(f"{file} is no image classifier of vision_learner: it has no body and head.")
        speed_up(self.learn.model.eval())
        self.learn.model[0].register_forward_hook(self.keep_features)
        self.try_out(file)

    def try_out(self, file):
        """Raises `ExportError` when the model cannot answer: a file may say what no photo fits."""
        try:
            probs = self.ask_many([Image.new("RGB", (320, 240))])
            self.in_distribution(), self.explain(probs)
        except Exception as e:  # as many kinds as there are layers
            raise ExportError(f"{file} cannot answer ({type(e).__name__}). Train it again with train.py.") from None
        if probs.shape != (1, len(self.learn.dls.vocab)) or not probs.isfinite().all():
            raise ExportError(f"{file} gives no probability of each of its classes. Train it again with train.py.")

    def keep_features(self, body, inputs, output):
        """Forward hook: what the body made of the latest batch, (photos, n, h, w)."""
        self.features = output

    def ask(self, photos, alone=True):
        """Triples (probs, in_distribution, cam) for a list of RGB PIL images; `alone`: nobody else is waiting."""
        rows = self.ask_one(*photos) if alone and len(photos) == 1 else self.ask_many(photos)
        probs = [dict(zip(self.learn.dls.vocab, row.tolist())) for row in rows]
        return list(zip(probs, self.in_distribution(), self.explain(rows)))

    def ask_one(self, photo):
        """The lesson's `learn.predict`, on all cores."""
        torch.set_num_threads(CORES)
        return self.learn.predict(photo)[2][None]

    def ask_many(self, photos):
        """What `learn.predict` does, for all photos at once, on half the cores: the others open the next photos."""
        torch.set_num_threads(max(1, CORES // 2))
        with torch.no_grad():
            [batch] = self.learn.dls.test_dl(photos, bs=len(photos), num_workers=0).one_batch()
            # A plain tensor: fastai's own would go through Python once more at every layer.
            return self.learn.loss_func.activation(self.learn.model(batch.as_subclass(torch.Tensor)))

    def in_distribution(self):
        """Whether each photo of the latest batch shows any class at all; taken for granted if nothing was fitted."""
        fitted = getattr(self.learn, "ood", None)
        if fitted is None:
            return [True] * len(self.features)
        return (ood.score(fitted, self.learn.model[1][:-1](self.features)) >= fitted["threshold"]).tolist()

    def explain(self, rows):
        """Activation map of the top class of each photo of the latest batch, or nothing if the head has none."""
        head = self.learn.model[1]
        if not can_explain(head):
            return [None] * len(rows)
        return [activation_map(fmap, head[-1], row.argmax()) for fmap, row in zip(self.features, rows)]
