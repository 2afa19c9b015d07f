"""The end of the way for packets that come though their track cannot be played; no I/O."""

from __future__ import annotations

from common.media import Track


class Unplayable:
    """Counts what it drops; its track says why."""

    def __init__(self, track: Track) -> None:
        self.frames = 0
        self.keyframes = 0
        self.hindrance = ""
        self.unseen = False
        self.dropped = 0  # packets
        self.track = track

    def mark(self) -> None:
        """Do nothing: the marker ends nothing here."""

    def lost(self) -> None:
        """Do nothing: the missing packets were of no use either."""

    def restart(self) -> None:
        """Do nothing: another stream is of no use either."""

    def receive(self, packet: bytes, start: int, end: int, timestamp: int, marker: bool, arrival_ns: int) -> None:
        """Drop it."""
        self.dropped += 1
