"""Photos of your own classes, from Openverse or any other source, and who made them."""
