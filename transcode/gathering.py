"""The sound of a process's conversions, worked on together: each ``GATHER`` seconds what has come until then.

A unit of sound takes 0.1 ms of the codecs' time, and as much again to wake a thread for it, to send what comes of it,
and to bring its code back into the processor's caches. So it waits for others, and is worked on in the event loop. What
is large, or takes long, goes to threads as pictures do: a conversion has ``SHARE`` of the loop's time and no more.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from common.bucket import TokenBucket

GATHER = 0.04  # seconds: two packets of Opus
SMALL = 8_192  # bytes that wait: so long takes no sound that comes as fast as it is heard
SHARE, BURST = 0.05, 0.02  # of the loop's time for each conversion, and seconds at once
SLICE = 0.005  # seconds until the loop's other work has its turn


class LoopTime:
    """One conversion's share of the loop's time, in seconds of CPU."""

    def __init__(self) -> None:
        self._budget = TokenBucket(BURST, SHARE)

    def left(self, now: float) -> bool:
        """Whether it may work in the loop."""
        return self._budget.fill(now) > 0.0

    def spent(self, began: float) -> None:
        """Count the work in the loop since ``began``, by ``time.thread_time``."""
        self._budget.spend(time.thread_time() - began)


class Gathering:
    """Calls, together and in order, what was added."""

    def __init__(self) -> None:
        self.wait = GATHER  # seconds; 0 where what is added comes together
        self._turns: deque[Callable[[float], None]] = deque()

    def add(self, turn: Callable[[float], None]) -> None:
        """Call it when the wait is over, with the loop's time."""
        if not self._turns:
            asyncio.get_running_loop().call_later(self.wait, self._go)
        self._turns.append(turn)

    def _go(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + SLICE
        while self._turns:
            now = loop.time()
            if now >= until:
                loop.call_soon(self._go)
                return
            self._turns.popleft()(now)
