"""Measures what a camera sends: its rate, and the bursts that are too large for a thin path; pure."""

from __future__ import annotations

from egress.path.quality import thin_rate

WINDOW = 4.0  # seconds over which a camera's rate is taken: two groups of pictures, as a rule


class Meter:
    """Measures one track.

    Time is media time, so pictures that arrive all at once from a cache count at their original rate.
    """

    __slots__ = ("_at", "_known", "_largest", "_leak", "_since", "_size", "burst", "rate")

    def __init__(self) -> None:
        self.rate, self._leak = 0.0, thin_rate(0.0)  # bytes/s, of the track and of a thin path
        self.burst = 0.0  # bytes in a bucket that leaks at the rate of a thin path …
        self._largest = [0.0, 0.0]  # … and the most that were in it, in the window before and in this one
        self._known = False  # whether a whole window has been measured
        self._size = 0  # bytes in this window
        self._since: float | None = None
        self._at = 0.0

    def add(self, size: int, now: float) -> None:
        """Count ``size`` bytes at the moment ``now``, in seconds of media time."""
        if self._since is None or not 0 <= now - self._at < WINDOW:
            self._since = self._at = now
        self.burst = max(0.0, self.burst - (now - self._at) * self._leak) + size
        if self.burst > self._largest[1]:
            self._largest[1] = self.burst
        self._size += size
        self._at = now
        passed = now - self._since
        if passed >= WINDOW:
            current = self._size / passed
            self._note((self.rate + current) / 2 if self._known else current)
            self._known = True
            self._size, self._since = 0, now
            self._largest = [self._largest[1], 0.0]
        elif not self._known:
            self._note(self._size / max(passed, 1.0))

    @property
    def largest(self) -> float:
        """The largest recent burst, in bytes: usually the size of a keyframe."""
        return max(self._largest)

    def _note(self, rate: float) -> None:
        self.rate, self._leak = rate, thin_rate(rate)
