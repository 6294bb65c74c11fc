"""The same model in the browser alone: a folder of static files from an export."""
