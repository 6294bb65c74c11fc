"""The parts of train.py: its options, the shipped photos, the evaluation, the report."""
