"""Sound that no browser takes by WebRTC, on its way to a converter: L16, G.726, MP2 and MP3; no I/O.

Each packet stands for itself and travels as it came, less the header of its payload format.
"""

from __future__ import annotations

from common.media import Track
from common.payload.output import Output, pieces
from ingest.payload.byte_order import ByteOrder
from ingest.payload.standalone import Standalone


class Sound(Standalone):
    """One camera's track. ``header`` is how many bytes stand before the sound in each packet, ``order`` that of the
    bytes of its samples, where it has some."""

    def __init__(self, track: Track, output: Output, *, header: int = 0, order: ByteOrder | None = None) -> None:
        super().__init__(track)
        self._output = output
        self._header = header
        self._order = order

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the payload ``packet[start:end]``, in order; ``timestamp`` is extended."""
        start += self._header
        if start >= end:
            self.dropped += 1
            return
        self.frames += 1
        sound = packet[start:end]
        if self._order is not None and not len(sound) % 2:
            sound = self._order.in_network_order(sound)
        self._output.send_unit(pieces(sound), timestamp, arrival_ns)
