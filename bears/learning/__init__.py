"""What train and clean share: photos and their folds, the network that learns, calibrated probabilities."""
