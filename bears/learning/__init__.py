"""Find photos, split them into folds, train heads, and calibrate probabilities, for `train`, `clean` and `compare`."""
