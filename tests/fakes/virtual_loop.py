"""An event loop whose time passes only while nothing is to be done: hours in seconds, and each run alike."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Real descriptors are looked at, and nobody waits for them: time goes on to the next timer at once."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Selector(self._pass))

    def time(self) -> float:
        """See ``asyncio.AbstractEventLoop``."""
        return self._now

    def _pass(self, seconds: float) -> None:
        self._now += seconds


class _Selector(selectors.DefaultSelector):
    def __init__(self, wait: Any) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found and timeout:
            self._wait(timeout)
        elif not found and timeout is None:
            raise RuntimeError("nothing will ever happen")
        return found
