"""Payload formats: what a camera's RTP packets carry, turned into the batches that travel on the bus.

One module for each codec, and ``registry``, which knows for every other codec why it cannot be played yet. What codecs
share: ``nal_format`` and ``nal_units`` (packets taken apart and made anew), ``fragmentation``, ``parameter_sets``,
``access_units`` (where a picture ends), ``keyframes`` (nothing after a loss until the next one), ``output`` (batches).
"""
