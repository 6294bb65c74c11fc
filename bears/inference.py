"""What an export makes of photos: probabilities, whether it knows such photos at all, and where it looked."""

from bears import ood
from bears.export import open_export
from bears.heatmap import activation_map, can_explain


class Model:
    """An export that answers for one photo or for several at once; not safe from two threads (fastai #3385)."""

    def __init__(self, file, trust=False):
        self.learn = open_export(file, trust)
        self.learn.model[0].register_forward_hook(self.keep_features)

    def keep_features(self, body, inputs, output):
        """Forward hook: what the body made of the latest batch, (photos, n, h, w)."""
        self.features = output

    def ask(self, photos):
        """Triples (probs, known, cam) for a list of RGB PIL images, as `Predictor.predict` returns them."""
        learn = self.learn
        if len(photos) == 1:
            rows = [learn.predict(photos[0])[2]]
        else:  # the same transforms and the same network, once
            rows, _ = learn.get_preds(dl=learn.dls.test_dl(photos, bs=len(photos), num_workers=0))
        probs = [dict(zip(learn.dls.vocab, row.tolist())) for row in rows]
        return list(zip(probs, self.are_known(), self.explain(rows)))

    def are_known(self):
        """Whether each photo of the latest batch shows any class at all; taken for granted if nothing was fitted."""
        fitted = getattr(self.learn, "ood", None)
        if fitted is None:
            return [True] * len(self.features)
        pooled = self.learn.model[1][:-1](self.features)
        return (ood.score(fitted, pooled) >= fitted["threshold"]).tolist()

    def explain(self, rows):
        """Activation map of the top class of each photo of the latest batch, or nothing if the head has none."""
        head = self.learn.model[1]
        if not can_explain(head):
            return [None] * len(rows)
        return [activation_map(fmap, head[-1], row.argmax()) for fmap, row in zip(self.features, rows)]
