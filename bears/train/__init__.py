"""What only train.py needs: its options, the shipped photos, the evaluation, the report."""
