"""A simulated camera: a real RTSP server that loops a minute of H.264 with a clock in it, and sound."""
