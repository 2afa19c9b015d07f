"""L16 over RTP (RFC 3551 4.5.11, RFC 2586): cut anew into packets of 20 ms, or of what one datagram holds; no I/O.

Cameras and intercoms send packets from 1 ms (AES67) to 4 kB, which only fragments of IP carry. Each is taken apart
between two samples of all channels, and our timestamps are counted; the camera's say when the count has to jump over a
gap. Samples go on as RFC 3551 has them: signed, most significant byte first, channels in turn.
"""

from __future__ import annotations

from common.media import MAX_PAYLOAD, Track
from common.payload.output import Output
from ingest.payload.byte_order import ByteOrder
from ingest.payload.standalone import Standalone

PACKET_MS = 20  # RFC 3551 4.2
MAX_DEVIATION_MS = 100  # a timestamp may be ahead of the count where no packet is missing; more is a gap


class L16(Standalone):
    """One camera's track."""

    def __init__(self, track: Track, output: Output, order: ByteOrder) -> None:
        super().__init__(track)
        self._output = output
        self._order = order
        self._sample = 2 * track.channels  # bytes, of all channels
        self._chunk = min(track.clock_rate * PACKET_MS // 1000, MAX_PAYLOAD // self._sample)  # samples in a packet
        self._most = track.clock_rate * MAX_DEVIATION_MS // 1000
        self._rest = b""
        self._timestamp: int | None = None  # of the first sample of the rest
        self._gap = False  # packets are missing before the next one

    def lost(self) -> None:
        """Note that packets are missing: the next timestamp shows how many."""
        self._gap = True

    def restart(self) -> None:
        """Begin another stream."""
        self._rest, self._timestamp = b"", None

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Take the payload ``packet[start:end]``, in order; ``timestamp`` is extended."""
        end -= (end - start) % self._sample  # a part of a sample would exchange bytes, and channels, of all that follow
        if start == end:
            self.dropped += 1
            return
        most, self._gap = 0 if self._gap else self._most, False
        if self._timestamp is None or timestamp - self._timestamp - len(self._rest) // self._sample > most:
            self._rest, self._timestamp = b"", timestamp
        samples = self._rest + self._order.in_network_order(packet[start:end])
        size = self._chunk * self._sample
        whole = len(samples) // size
        for number in range(whole):
            chunk = samples[number * size : (number + 1) * size]
            self._output.send(chunk, self._timestamp + number * self._chunk, arrival_ns)
        self.frames += whole
        self._rest = samples[whole * size :]
        self._timestamp += whole * self._chunk
