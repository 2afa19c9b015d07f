"""When workers' connections are tried: at once when one breaks, and again for as long as one is missing.

ZeroMQ says that a connection broke, not whose it was. So all are tried, which costs some microseconds each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LOOK_AGAIN = 0.2  # seconds: the director gives up what is missing for 0.15
MOST_OFTEN = 0.05  # seconds between two looks: strangers' connections break as well, as often as they like


class Probing:
    """``probe`` tries every connection, and returns whether one is missing. Belongs to the running loop."""

    def __init__(self, probe: Callable[[], bool]) -> None:
        self._probe = probe
        self._loop = asyncio.get_running_loop()
        self._looked = float("-inf")
        self._timer: asyncio.Handle | None = None
        self._due = float("inf")

    def soon(self) -> None:
        """Probe soon, as something was seen that may mean a death."""
        self._at(max(self._loop.time(), self._looked + MOST_OFTEN))

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _at(self, due: float) -> None:
        if due >= self._due:
            return
        self.stop()
        self._due = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._looked, self._due = self._loop.time(), float("inf")
        if self._probe():
            self._at(self._looked + LOOK_AGAIN)
