"""Open a model and classify photos with it. It imports no command and no server."""
