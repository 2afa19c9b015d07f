"""The end of the way for packets that come though their track cannot be played; no I/O."""

from __future__ import annotations

from ingest.payload.standalone import Standalone


class Unplayable(Standalone):
    """Counts what it drops; its track says why."""

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Drop it."""
        self.dropped += 1
