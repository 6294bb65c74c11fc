"""Photos of your own classes, in one folder per search, from Openverse or any other source, and who made them."""
