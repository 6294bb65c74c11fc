"""Open a model and classify photos with it. Modules in this folder don't import commands or the app."""
