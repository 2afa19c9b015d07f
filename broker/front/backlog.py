"""Messages that wait for pages which do not read them: bounded in bytes for each page, and for all of them together.

What a page has sent and nobody has handled yet (``paced``) counts as well.

The page that is beyond a bound, or has most where all are, is cut off, and nothing more is kept for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from broker.front.context import Context


class Backlog:
    """The bytes that wait for all pages."""

    def __init__(self) -> None:
        self.bytes = 0
        self.queues: set[Outgoing] = set()


class Outgoing:
    """The messages that wait for one page. They are ASCII, so that a character is a byte."""

    def __init__(self, backlog: Backlog, context: Context, transport: asyncio.Transport | None) -> None:
        self.bytes = 0
        self.messages: deque[str] = deque()
        self._backlog = backlog
        self._context = context
        self._transport = transport
        self._filled = asyncio.Event()
        backlog.queues.add(self)

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken."""
        return self not in self._backlog.queues

    def push(self, message: str) -> None:
        """Add a message; nothing once closed. May close this queue or the longest of all."""
        if self.closed:
            return
        self.messages.append(message)
        self._filled.set()
        self.hold(len(message))

    def hold(self, size: int) -> None:
        """Count so many bytes more, or fewer, that wait. May close this queue or the longest of all."""
        if self.closed:
            return
        self._grow(size)
        limits = self._context.quotas.limits
        if 0 < limits.socket_queue < self.bytes and len(self.messages) > 1:  # one may be as large as it has to be
            self.cut_off("socket_queue", limits.socket_queue)
        elif 0 < limits.socket_queues < self._backlog.bytes:
            longest = max(self._backlog.queues, key=lambda queue: queue.bytes)
            longest.cut_off("socket_queues", limits.socket_queues)

    async def write(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send what comes, until cancelled or the connection breaks. ``send`` waits for a page that does not read."""
        with contextlib.suppress(ConnectionError):  # the reader sees it too
            while True:
                await self._filled.wait()
                self._filled.clear()
                while self.messages:
                    message = self.messages.popleft()
                    await send(message)
                    if not self.closed:
                        self._grow(-len(message))

    def close(self) -> None:
        """Drop what waits, and take nothing more; twice is fine."""
        self._backlog.queues.discard(self)
        self._grow(-self.bytes)
        self.messages.clear()

    def cut_off(self, setting: str, limit: int) -> None:
        """Close the queue and the connection of a page that is beyond ``limits.setting``."""
        self._context.counters["ws_slow_page"] += 1
        self._context.quiet.warning(
            "page does not read its messages, or sends more than is handled; cutting it off",
            setting=f"limits.{setting}",
            bytes=limit,
        )
        self.close()
        if self._transport is not None:
            self._transport.abort()

    def _grow(self, bytes: int) -> None:
        self.bytes += bytes
        self._backlog.bytes += bytes
