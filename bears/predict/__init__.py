"""Classify all photos in a folder, or each animal in the photos."""
