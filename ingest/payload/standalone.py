"""The base of payload formats of which each packet stands for itself; no I/O."""

from __future__ import annotations

from common.media import Track


class Standalone:
    """One camera's track: what ``PayloadFormat`` counts, and nothing to do where packets are missing or begin anew."""

    as_it_comes = False  # each packet's payload goes out by itself, unchanged, with its timestamp

    def __init__(self, track: Track) -> None:
        self.frames = 0  # packets that were sent on
        self.keyframes = 0
        self.hindrance = ""
        self.unseen = False
        self.dropped = 0  # packets
        self.track = track

    def mark(self) -> None:
        """Do nothing: no packet waits for a marker."""

    def lost(self) -> None:
        """Do nothing: the timestamps show that packets are missing, and no other packet needs them."""

    def restart(self) -> None:
        """Do nothing: of the stream before nothing is kept."""
