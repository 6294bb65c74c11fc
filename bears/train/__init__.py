"""Help train.py: parse its options, download the photos, evaluate the model, and write the training report."""
