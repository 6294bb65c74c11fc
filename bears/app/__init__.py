"""What app.py needs: the model, its process, what comes in, what the page says and how it looks."""
