"""Payload formats: what a camera's RTP packets carry, turned into the batches that travel on the bus.

One module for each codec, and ``registry``, which knows for every other codec why it cannot be played yet.
"""
