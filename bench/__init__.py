"""The benchmark: a load of real WebRTC viewers, what servers spend on them, and how far that is from the floor."""
