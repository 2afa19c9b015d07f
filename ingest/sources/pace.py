"""The time of a source: made one line that never leaps, and held against ours so that nothing comes too early; no I/O.

Times of the source are nanoseconds, ours are monotonic seconds.
"""

from __future__ import annotations

BACK_NS = 5_000_000_000  # a timestamp that falls back this far begins another line: B-frames fall back less …
AHEAD_NS = 10_000_000_000  # … and so does one that leaps this far
STEP_NS = 40_000_000  # from the last timestamp of a line to the first of the next one

LATE = 0.1  # seconds behind after which what is paced is not caught up with: it goes on from there
LEAD = 5.0  # seconds that a live source may send at once: servers begin with the group of pictures that they keep
SPEED = 1.002  # of a source's clock against ours, that is followed: none is so fast, and none fills a buffer then


class Timeline:
    """Makes one line of a source's decoding times, which begin anew where a file is played again or a line wraps."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._last_ns = 0

    def offset_ns(self, decode_ns: int) -> int:
        """Nanoseconds to add to the times of what is decoded then."""
        if self._offset_ns is None:
            self._offset_ns = self._last_ns + (STEP_NS if self._last_ns else 0) - decode_ns
        at_ns = decode_ns + self._offset_ns
        if not -BACK_NS <= at_ns - self._last_ns <= AHEAD_NS:
            self._offset_ns = self._last_ns + STEP_NS - decode_ns
            at_ns = decode_ns + self._offset_ns
        self._last_ns = max(at_ns, self._last_ns)
        return self._offset_ns

    def restart(self) -> None:
        """Begin anew with the next time, which follows the last one."""
        self._offset_ns = None


class Pacer:
    """Says how long to wait before a source's next unit may leave.

    With a ``lead`` of 0 it leaves when its time has come: a file, or what comes a segment at a time. A live source
    paces itself, so that it is held only where it is ``lead`` seconds ahead of its time.
    """

    def __init__(self, lead: float = 0.0, speed: float = 1.0) -> None:
        self._lead = lead
        self._speed = speed
        self._zero: float | None = None  # of our time, at 0 of the source's

    def wait(self, at_ns: int, now: float) -> float:
        """Seconds to wait at ``now`` with what is at ``at_ns`` of the source's time."""
        due = at_ns / 1e9 / self._speed
        if self._zero is None:
            self._zero = now - due
        early = self._zero + due - now
        if early < -max(LATE, self._lead / 2):
            self._zero = now - due
            early = 0.0
        return max(early - self._lead, 0.0)
