"""The core: what a model is, and what it says about a photo. Of bears it imports only errors, files and text."""
