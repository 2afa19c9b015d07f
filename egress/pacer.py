"""The pace at which viewers that are behind catch up: one timer for the process, and none while nobody is behind."""

from __future__ import annotations

import asyncio

from common.log import get_logger
from egress.sender import Place, Sender

INTERVAL = 0.005  # seconds between steps

log = get_logger()


class Pacer:
    """Holds the senders that are behind."""

    def __init__(self) -> None:
        self._behind: set[Sender] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, sender: Sender) -> None:
        """Let a sender catch up from the next step on."""
        self._behind.add(sender)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0, self._step)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._behind.clear()

    def _step(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for sender in tuple(self._behind):
            sender.catch_up(now)
            if sender.place is not Place.BEHIND:
                self._behind.discard(sender)
        if self._behind:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._step)
