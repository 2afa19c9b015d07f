"""Ticks of the broker's clock, as events of the director's: time passes, or has passed without us; pure."""

from __future__ import annotations

from collections.abc import Iterator

from broker.director.events import StoodStill, Tick

STALLED_AFTER = 1.0  # seconds between two ticks: the machine, or somebody with a debugger, held this process


class Ticks:
    """``now`` is in monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._stalled = False  # at the last tick

    def events(self, now: float) -> Iterator[StoodStill | Tick]:
        """The events of a tick. After the first stall reports that show who is alive are still to be read."""
        passed, self._last = now - self._last, now
        before, self._stalled = self._stalled, passed > STALLED_AFTER
        if self._stalled:
            yield StoodStill(passed)
        if not self._stalled or before:
            yield Tick()
