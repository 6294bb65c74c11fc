"""Find likely mistakes in a folder of photos, and open the review page to correct them."""
