"""Classify a folder of photos, of any size, or the animals in them."""
