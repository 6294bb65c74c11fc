"""Classify a folder with any number of photos, or the animals in them."""
