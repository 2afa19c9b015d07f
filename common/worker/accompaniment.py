"""Sound waits for the picture that comes next, where pictures come one soon after the other.

Each time that frames go out, each process that takes them wakes, which costs more than all that is done with a packet
of sound. So sound goes when a picture goes, ``LONGEST`` after it came at the latest: that is less than what receivers
keep of sound before they play it, and its timestamps say when it was heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from common.media import Rendition

LONGEST = 0.045  # seconds that sound waits: from one picture to the next it is 40 ms at 25 a second
MOST = 16  # packets of one rendition that wait: 45 ms of sound are some three


class Accompaniment:
    """The sound of all renditions that one process publishes. ``send`` is called with what no picture has come for."""

    def __init__(self, send: Callable[[Rendition, list[bytes]], object]) -> None:
        self._send = send
        self._pictures: dict[Rendition, tuple[float, float]] = {}  # when the last one went, and how long after another
        self._waiting: dict[Rendition, list[bytes]] = {}  # none is empty
        self._expiry: asyncio.TimerHandle | None = None  # while something waits

    def waits(self, rendition: Rendition, sound: list[bytes]) -> bool:
        """Keep sound for the next picture. ``False`` if none is to be expected, or enough waits."""
        loop = asyncio.get_running_loop()
        at, interval = self._pictures.get(rendition, _NEVER)
        if interval > LONGEST or loop.time() - at > LONGEST:
            return False
        waiting = self._waiting.setdefault(rendition, [])
        waiting += sound
        if self._expiry is None:
            self._expiry = loop.call_later(LONGEST, self._expire)
        if len(waiting) > MOST:
            self._expire()
        return True

    def pictured(self, rendition: Rendition) -> list[bytes]:
        """A picture goes now. Returns the sound that is to go before it."""
        now = asyncio.get_running_loop().time()
        self._pictures[rendition] = now, now - self._pictures.get(rendition, _NEVER)[0]
        if not self._waiting:
            return []
        waiting = self._waiting.pop(rendition, [])
        if not self._waiting:
            self.close()
        return waiting

    def forget(self, rendition: Rendition) -> None:
        """Keep nothing of a rendition that is over."""
        self._pictures.pop(rendition, None)
        self._waiting.pop(rendition, None)

    def close(self) -> None:
        """Send nothing any more that waits."""
        self._waiting.clear()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def _expire(self) -> None:
        waiting = self._waiting.copy()
        self.close()
        for rendition, sound in waiting.items():
            self._send(rendition, sound)


_NEVER = float("-inf"), float("inf")
