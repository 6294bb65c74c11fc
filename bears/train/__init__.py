"""Do the steps of train.py: parse options, download photos, evaluate the model, and write the training report."""
