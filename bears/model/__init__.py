"""Open a model and classify photos with it. Modules in this folder import no command and no server."""
