"""Hold the front end of the app and of the offline version."""
