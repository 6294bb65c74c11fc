"""Open a model and classify photos with it. This is the core, and imports only errors, files and text of bears."""
