"""Download photos of your own classes from Openverse, and list who made them."""
