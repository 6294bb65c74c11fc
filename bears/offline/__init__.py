"""Build the offline version: static files from an export that run the model in the browser."""
