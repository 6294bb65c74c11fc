"""Open a model and classify photos with it. Nothing here imports a command or the server."""
