"""Compare two models on the same labelled photos: python3 -m bears compare."""
