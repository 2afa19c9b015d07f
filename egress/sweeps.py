"""When an egress looks after all that it has: one timer for the whole process, as often as some of it may need that.

What a sweep touches is in no cache of the processor where little else is to be done: with one viewer ten sweeps a
second took as long as its pictures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from common.moments import moment

SWEEP_INTERVAL = 0.1  # seconds
CALM_INTERVAL = 0.5  # … while a few watch, who have settled, or nobody; who comes, or needs more, ends that
FEW = 20  # viewers; what more of them are told in one sweep would keep a picture waiting


def pace(viewers: int, *, settled: bool) -> float:
    """Seconds until the next sweep."""
    return CALM_INTERVAL if settled and viewers <= FEW else SWEEP_INTERVAL


class Sweeps:
    """``sweep`` is called with the time and with when that was to be, on the loop's clock, and returns its ``pace``."""

    def __init__(self, sweep: Callable[[float, float], float]) -> None:
        self._sweep = sweep
        self._timer: asyncio.Handle | None = None  # uvloop's has no ``when()`` if it is due at once
        self._interval, self._due = SWEEP_INTERVAL, 0.0

    def begin(self) -> None:
        """Sweep now, and from now on."""
        now = asyncio.get_running_loop().time()
        due = now if self._timer is None else self._due
        interval = SWEEP_INTERVAL
        try:
            interval = self._sweep(now, due)
        finally:  # in any case: an egress that never sweeps again would keep viewers that have left
            self._at(now, interval)

    def hurry(self) -> None:
        """Be calm no longer: something is to be seen to soon."""
        if self._timer is not None and self._interval > SWEEP_INTERVAL:
            self._at(asyncio.get_running_loop().time(), SWEEP_INTERVAL)

    def close(self) -> None:
        """Sweep no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _at(self, now: float, interval: float) -> None:
        self.close()
        self._interval, self._due = interval, moment(now, interval)
        self._timer = asyncio.get_running_loop().call_at(self._due, self.begin)
