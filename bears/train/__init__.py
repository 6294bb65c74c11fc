"""Read train.py's options, download the shipped photos, evaluate, and write the report."""
