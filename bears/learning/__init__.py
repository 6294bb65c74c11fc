"""The parts that train and clean share: photos and folds, the network, calibrated probabilities."""
