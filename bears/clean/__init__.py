"""Find photos that are probably wrong, and open the review page to correct them."""
