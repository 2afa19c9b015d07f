"""Clocks that do as they are told."""

from __future__ import annotations


class ArrivalClock:
    """Capture is arrival."""

    def capture_ns(self, timestamp: int, arrival_ns: int) -> int:
        """The time of arrival, for any timestamp."""
        return arrival_ns


class Clock:
    """Unix time that passes when a test says so: call it for the seconds, and set ``now`` to let time pass."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now
