"""Share code between `train` and `clean`: photos and folds, the network, calibrated probabilities."""
