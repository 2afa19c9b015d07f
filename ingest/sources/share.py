"""A source's share of the machine: bytes, and a processor's time of the process that reads it.

Whoever sends as fast as the connection takes it keeps that process, and with it a core, as busy as the machine allows:
a niceness helps little where those beside it need their pictures within milliseconds. So the process stands still for a
while whenever it has taken more than its share, and the source waits, as TCP has it wait. What FFmpeg fetches itself
(RTMP, UDP) is held up between two access units alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ingest.budget import Budget

MAX_BUSY = 0.25  # of one processor: 4 Mbit/s take 0.02 on Zen 5, and 0.1 on a board that is five times slower


class Share:
    """The share of this process; ``bitrate`` is in Mbit/s. The functions are for tests."""

    def __init__(
        self,
        bitrate: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._clock, self._cpu, self._sleep = clock, cpu, sleep
        self._looked_at = clock()
        self._budget = Budget(bitrate, self._looked_at, cpu(), busy=MAX_BUSY)

    def take(self, size: int = 0) -> None:
        """Count so many bytes, and the processor's time since the last call; wait where that is too much."""
        now = self._clock()
        self._budget.spend(size, 0, 0, int((now - self._looked_at) * 1e9))
        self._looked_at = now
        if wait := self._budget.wait(now, self._cpu()):
            self._sleep(wait)
