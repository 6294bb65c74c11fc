"""Find photos, split them into folds, train heads, and calibrate probabilities, for `train`, `clean` and `compare`."""

import bears.model.late_imports  # noqa: F401 - before fastai is imported
