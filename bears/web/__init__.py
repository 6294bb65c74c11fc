"""The one front end of both pages: of app.py, which asks its server, and of the offline version."""
