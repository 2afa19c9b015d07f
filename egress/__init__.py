"""Egress: subscribe to the streams that viewers watch and fan them out over WebRTC."""
