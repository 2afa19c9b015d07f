"""Whether so much of what comes over TCP is neither packets nor RTSP that pictures are lost with it; no I/O.

live555 before 2013 wrote half of a frame where the line was full, and went on with the next one. Servers that fill
frames up with bytes of no use lose nothing by it, and are not meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.control import TrackStats

PART = 0.05  # of what comes


class Garbled:
    """The share of one session that is of no use; ``now`` says whether the last look found too much."""

    def __init__(self) -> None:
        self.now = False
        self._seen = 0, 0, 0  # bytes of packets, bytes of no use, and packets lost

    def look(self, tracks: Iterable[TrackStats], junk: int) -> None:
        """Compare with the last look, some seconds ago; ``junk`` are the bytes of no use so far."""
        stats = list(tracks)
        before = self._seen
        self._seen = sum(each.bytes for each in stats), junk, sum(each.lost for each in stats)
        used, unused, lost = (now - earlier for now, earlier in zip(self._seen, before, strict=True))
        self.now = lost > 0 and unused > PART * (used + unused)
