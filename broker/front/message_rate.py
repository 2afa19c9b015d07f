"""How many messages a page may send by its WebSocket, and when it has said so much that nobody goes on listening.

Messages beyond the rate wait in the page's own buffers, but for what was read by then (``paced``). Reading stands still
meanwhile, so that not even the end of the connection is seen: the kernel is asked for it.
"""

from __future__ import annotations

import asyncio
import select
from math import inf

from common.bucket import TokenBucket

BURST_SECONDS = 40.0  # of messages that may come at once: a wall sends an offer and some candidates for each camera
PATIENCE = 10.0  # seconds beyond the rate until a page is given up
FORGIVEN = 2.0  # seconds without a message too many after which that begins anew
_ENDED = select.POLLRDHUP | select.POLLHUP | select.POLLERR if hasattr(select, "POLLRDHUP") else 0  # only Linux has it


class MessageRate:
    """The messages of one page, so many a second; 0 is no limit. Times are monotonic seconds."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._bucket = TokenBucket(max(1.0, BURST_SECONDS * rate) if rate else inf, rate)
        self._over_since = self._over_at = -inf

    @property
    def pause(self) -> float:
        """Seconds to wait behind a message too many."""
        return 1 / max(1.0, self.rate)

    def take(self, now: float) -> bool:
        """Whether one more may be handled."""
        if self._bucket.take(now):
            return True
        if now - self._over_at > FORGIVEN:
            self._over_since = now
        self._over_at = now
        return False

    def exhausted(self, now: float) -> bool:
        """Whether there were too many for so long that the page is to be given up."""
        return self._over_at == now and now - self._over_since > PATIENCE


def is_gone(transport: asyncio.Transport | None) -> bool:
    """Whether the page has hung up, also where that was not read yet."""
    if transport is None or transport.is_closing():
        return True
    connected = transport.get_extra_info("socket")
    if connected is None or not _ENDED:
        return False
    poll = select.poll()
    poll.register(connected.fileno(), _ENDED)
    return bool(poll.poll(0))
