"""What train.py needs: photos and their folds, the network, calibrated probabilities, the report."""
