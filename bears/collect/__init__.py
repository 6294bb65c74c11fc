"""Download photos of your own classes from Openverse, and list their authors and licences."""
