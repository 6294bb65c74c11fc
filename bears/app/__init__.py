"""What app.py needs: the process of the model, the guard, uploads, connections, and how the page looks."""
