"""Classify a folder of photos, of any size, or the animals that MegaDetector has found in them."""
