"""Build the offline version: a folder of static files from an export, with the model in the browser alone."""
