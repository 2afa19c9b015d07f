"""Viewers' ends: of a crowd that leaves at once, a few in each turn of the event loop, so that pictures come between.

One takes 0.2 to 0.5 ms. Three hundred whose connections closed in one turn kept everybody's picture for 0.17 s.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from egress.mse.viewer import MseViewer

IN_A_TURN = 8  # a frame's time of a picture is 17 to 40 ms


class Departures:
    """Sees viewers off by ``end``. The first of a turn do not wait."""

    def __init__(self, end: Callable[[MseViewer], None]) -> None:
        self._end = end
        self._waiting: deque[MseViewer] = deque()
        self._seen_off = 0  # in this turn
        self._turning = False  # whether the next turn is to be told of

    def see_off(self, viewer: MseViewer) -> None:
        """End one, at once or in one of the next turns."""
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)
        if self._seen_off < IN_A_TURN and not self._waiting:
            self._seen_off += 1
            self._end(viewer)
        else:
            self._waiting.append(viewer)

    def _turn(self) -> None:
        self._turning, self._seen_off = False, 0
        if self._waiting:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)
        while self._waiting and self._seen_off < IN_A_TURN:
            self._seen_off += 1
            self._end(self._waiting.popleft())
