"""How long frames took from the camera to the viewers, by a timeline that knows when each left the camera."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable
from typing import Protocol

from rigs.load.viewer import Viewer

SETTLED_NS = 100_000_000  # a frame that arrived so long ago is known to the tap too


class Timeline(Protocol):
    """A record of when each frame left the camera; see ``tap``."""

    def recognise(self, tail: bytes) -> int | None:
        """The camera's RTP timestamp of the frame whose last payload ends so; ``None`` if it is not known (yet)."""

    def sent_ns(self, timestamp: int) -> int | None:
        """Unix time at which the last packet of the frame with that timestamp of the camera's left the camera."""


class Delays:
    """Delays of the frames that ``marks`` name, once the timeline knows them; without one, none."""

    def __init__(self) -> None:
        self.timeline: Timeline | None = None
        self.seconds = array("d")  # one for each frame of each viewer
        self.marks: list[tuple[Viewer, int, int]] = []  # ends of frames: viewer, RTP timestamp, arrival

    def restart(self, viewers: Iterable[Viewer]) -> None:
        """Forget what was measured so far."""
        self.resolve(viewers)
        del self.seconds[:]

    def resolve(self, viewers: Iterable[Viewer]) -> None:
        """Look up when the frames that arrived had left the camera; not the latest ones, for it may tell us late."""
        timeline, settled = self.timeline, time.time_ns() - SETTLED_NS
        if timeline is None:
            return
        for viewer in viewers:
            while viewer.tails and viewer.tails[0][2] < time.monotonic() - SETTLED_NS / 1e9:
                tail, timestamp, _ = viewer.tails.pop(0)
                origin = timeline.recognise(tail)
                if origin is not None:
                    viewer.shift = (timestamp - origin) & 0xFFFFFFFF
        marks, self.marks = self.marks, []
        for mark in marks:
            viewer, timestamp, at = mark
            if at > settled:
                self.marks.append(mark)
            elif viewer.shift is not None:
                sent = timeline.sent_ns((timestamp - viewer.shift) & 0xFFFFFFFF)
                if sent is not None:
                    self.seconds.append((at - sent) / 1e9)
