"""Hold the front end of both the app, which asks its server, and the offline version."""
