"""Where the access units of one track stand in the time that all tracks of this process share; pure.

A Media Source has one timeline for picture and sound, and what it is given twice replaces what was there. So times come
from those of capture, as lip sync does elsewhere, and only grow: the camera's own timestamps count on from one moment
of capture, until the two have come apart, because its session began anew, its clock was set or runs at another speed.
"""

from __future__ import annotations

TOLERANCE = 0.2  # seconds that a timestamp may be off its time of capture: more than a network's jitter
BEFORE_START = 3600.0  # seconds before the process's start that are no negative time: a cached picture is that old


class MediaClock:
    """The times of one track, in units of its ``rate``. ``origin_ns`` is the Unix time that is 0.

    One that follows another is given the ``seconds`` at which that one ended.
    """

    def __init__(self, rate: int, origin_ns: int, seconds: float = 0.0) -> None:
        self.rate = rate
        self._origin_ns = origin_ns
        self._offset: int | None = None
        self._last = int(seconds * rate) if seconds else -1
        self._step = max(1, rate // 1_000)  # two units never have one time

    def place(self, timestamp: int, capture_ns: int) -> int:
        """The time of what has this extended timestamp and was captured then: later than all before."""
        captured = max(0, (capture_ns - self._origin_ns) * self.rate // 1_000_000_000)
        if self._offset is None or abs(timestamp + self._offset - captured) > TOLERANCE * self.rate:
            self._offset = captured - timestamp
        self._last = max(timestamp + self._offset, self._last + self._step)
        return self._last
