"""The pace at which viewers that are behind catch up: one timer for the process, and none while nobody is behind.

When many are behind at once (a relay came back, a hundred viewers joined), a step is done in slices, between which the
process hears its sockets.
"""

from __future__ import annotations

import asyncio

from common.media import Kind
from egress.media.outbox import SLICE
from egress.position import Position
from egress.sender import Sender

INTERVAL = 0.005  # seconds between steps


class CatchUp:
    """Holds the senders that are behind."""

    def __init__(self) -> None:
        self._behind: set[Sender] = set()
        self._turn: list[Sender] = []  # those whose turn in this step is still to come
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
        self._turn.clear()

    def _step(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        if not self._turn:  # taken from its end: sound comes first, as a picture takes all the room that there is
            self._turn = sorted(self._behind, key=lambda sender: sender.feed.kind is Kind.AUDIO)
        room = SLICE
        while self._turn and room > 0:
            sender = self._turn.pop()
            room -= sender.catch_up(loop.time())
            if sender.position is not Position.BEHIND:
                self._behind.discard(sender)
        if not self._behind:
            self._turn.clear()
        else:
            self._timer = loop.call_later(0 if self._turn else INTERVAL, self._step)
