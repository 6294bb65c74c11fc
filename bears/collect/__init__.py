"""Photos of your own classes, and who made them: `photos.py` fills the folders, `openverse.py` is where it searches."""
