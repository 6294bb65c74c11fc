"""Build the offline version from an export: static files that run the model in the browser."""
