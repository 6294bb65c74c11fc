"""Watch a camera, a stream, a film or a folder of photos, and raise an alarm when one of some classes comes."""
