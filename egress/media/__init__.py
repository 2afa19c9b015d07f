"""One track, received once and sent once for all of its viewers."""
