"""RTSP 1.0 (RFC 2326) as cameras speak it: a core that does no I/O, and one thin module that drives the sockets."""
