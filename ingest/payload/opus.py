"""Opus over RTP (RFC 7587): what a camera sends is what a browser wants; no I/O."""

from __future__ import annotations

from common.media import MAX_PAYLOAD, Kind, Track
from common.payload.output import Output

CLOCK_RATE = 48_000  # RFC 7587 4.1, whatever the encoder's rate


class Opus:
    """One camera's Opus track."""

    def __init__(self, output: Output) -> None:
        self.frames = 0  # packets
        self.keyframes = 0
        self.hindrance = ""
        self.unseen = False
        self.dropped = 0
        self.track = Track(Kind.AUDIO, "opus", CLOCK_RATE, 2)  # RFC 7587 7: always announced as two channels
        self._output = output

    def mark(self) -> None:
        """Sound has no use for markers."""

    def lost(self) -> None:
        """Packets are missing: the decoder conceals it."""

    def restart(self) -> None:
        """Begin another stream: nothing to do, as every packet stands for itself."""

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """The payload ``packet[start:end]``, in order; ``timestamp`` is extended."""
        if end - start > MAX_PAYLOAD:  # RFC 7587 4.2: it cannot be cut; 20 ms at 464 kbit/s fit
            self.dropped += 1
            return
        self.frames += 1
        self._output.send(packet[start:end], timestamp, arrival_ns)
