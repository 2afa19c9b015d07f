"""Whether so much of what comes over TCP is no whole packet that pictures are lost with it; no I/O.

live555 before 2013 wrote half of a frame where the line was full, and went on with the next one. Others say of each
frame that it is longer than it is, and what comes after it is taken for a part of it. Servers that fill frames up with
bytes of no use lose nothing by it, and are not meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.control import TrackStats

PART = 0.05  # of what comes
LOOKS = 8  # for a source's number in one packet: a hostile one is full of it
_FRAME, _HEADER = 4, 12  # bytes of an interleaved frame's head (RFC 2326 10.12), and of RTP's

_MEND = "set transport to udp, or a lower bitrate in the camera"
JUNK = f"part of what it sends over TCP is neither packets nor RTSP, so pictures are lost; {_MEND}"
SHORT = f"what it sends over TCP is shorter than it says, so most packets are swallowed by others; {_MEND}"


class Garbled:
    """Judge of one session's frames; ``problem`` is what the last look found wrong, in words, or empty."""

    def __init__(self) -> None:
        self.problem = ""
        self._seen = 0, 0, 0  # bytes of packets, bytes of no use, and packets lost
        self._gaps = self._holding = 0  # since the last look: packets after a gap, and those that hold another

    def gap(self, packet: bytes) -> None:
        """Note that some packets are missing before this one."""
        self._gaps += 1
        self._holding += holds_another(packet)

    def look(self, tracks: Iterable[TrackStats], junk: int) -> None:
        """Compare with the last look, some seconds ago; ``junk`` are the bytes of no use so far."""
        stats = list(tracks)
        before = self._seen
        self._seen = sum(each.bytes for each in stats), junk, sum(each.lost for each in stats)
        used, unused, lost = (now - earlier for now, earlier in zip(self._seen, before, strict=True))
        self.problem = JUNK if lost > 0 and unused > PART * (used + unused) else ""
        if lost > 0 and self._holding > self._gaps / 2:
            self.problem = SHORT
        self._gaps = self._holding = 0


def holds_another(packet: bytes) -> bool:
    """Whether another packet of the same source stands in this one, behind the head of an interleaved frame."""
    source, at = packet[8:_HEADER], _HEADER
    for _ in range(LOOKS):
        at = packet.find(source, at + 1)
        if at < 0:
            return False
        start = at - 8 - _FRAME  # of the frame
        if start >= _HEADER and packet[start] == 0x24 and (packet[start + 5] ^ packet[1]) & 0x7F == 0:
            return True
    return False
