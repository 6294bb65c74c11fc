"""Which photos are probably wrong, and the page on which they are put right."""
