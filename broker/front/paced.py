"""Hands on what a page says by its WebSocket a little at a time: the rest waits as the bytes that it came in.

aiohttp makes messages of all that was read, and keeps up to four thousand of one page, which take a megabyte. Here no
more than ``AT_ONCE`` are neither handled nor still bytes. While bytes wait no more are read, so that they are what the
transport reads at once (256 kB) and what came with the handshake; they are given back in one piece. They count among
the bytes that may wait for all pages (``backlog``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from broker.front.frames import MAX_HEAD, Frames
from common.errors import ProtocolError

AT_ONCE = 64  # frames
_AGAIN = AT_ONCE // 2  # messages that may be left when the next are handed on
_PIECE = 64 << 10  # bytes handed on at once: less than aiohttp itself stops reading for


class Parser(Protocol):
    """A reader of the bytes: aiohttp's ``WebSocketReader`` is one."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes. Returns whether it wants no more of them, and those that are not its own."""

    def feed_eof(self) -> None:
        """Take nothing more."""


class Paced:
    """Stands between a connection and the parser of its WebSocket.

    ``grown`` hears by how many bytes what waits has grown. It may have the connection closed.
    """

    def __init__(self, transport: asyncio.Transport | None, grown: Callable[[int], None]) -> None:
        self._transport = transport
        self._grown = grown
        self._parser: Parser | None = None
        self._frames = Frames()
        self._waiting = bytearray()
        self._messages = 0  # handed on, and not handled
        self._handed_on = 0  # bytes, since there were none of these
        self._going_on = False  # at the loop's next turn
        self._ended = False  # the connection is over, and what waits is the last of it
        self._closed = False  # nothing is handed on any more

    def to(self, parser: Parser) -> Paced:
        """Hand on to this parser."""
        self._parser = parser
        return self

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take what has come."""
        if not self._closed:
            self._waiting += data
            self._grown(len(data))
            self._hand_on()
            self.keep_pace()
        return self._closed, b""

    def feed_eof(self) -> None:
        """Take nothing more. What waits is handed on all the same: the last of it may be a farewell."""
        self._ended = True
        if self._closed and self._parser is not None:
            self._parser.feed_eof()
        self._hand_on()

    def handled(self) -> None:
        """Count one message as handled."""
        self._messages -= 1
        if not self._messages:
            self._handed_on = 0
        self._hand_on()

    def keep_pace(self) -> None:
        """Have the connection read while nothing waits, and not otherwise."""
        transport, reading = self._transport, len(self._waiting) < MAX_HEAD
        if transport is None or transport.is_closing() or transport.is_reading() == reading:
            return
        if reading:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def close(self) -> None:
        """Drop what waits: nobody will handle it. Twice is fine."""
        self._closed = True
        self._grown(-len(self._waiting))
        self._waiting = bytearray()

    def _hand_on(self) -> None:
        if self._closed or self._going_on or self._messages > _AGAIN or (self._messages and self._handed_on >= _PIECE):
            return
        assert self._parser is not None
        try:
            size, broken = self._hand_on_to(self._parser)
        except ProtocolError:
            self.close()
            if self._transport is not None:
                self._transport.abort()
            return
        if broken:
            self.close()  # it cannot be read: what waits is of no use
            return
        if self._ended and not (size and self._waiting):
            self.close()
            self._parser.feed_eof()
            return
        self._going_on = bool(size and self._waiting and not self._messages)
        if self._going_on:  # what was handed on is a part of a message: nobody will say that it was handled
            asyncio.get_running_loop().call_soon(self._go_on)
        self.keep_pace()

    def _hand_on_to(self, parser: Parser) -> tuple[int, bool]:
        """Hand on so many bytes as hold few messages, which may be none. Raises ``ProtocolError``.

        Returns how many, and whether they are none that can be read.
        """
        broken = False
        size, messages = self._frames.take(self._waiting[:_PIECE], AT_ONCE - self._messages)
        if size:
            self._messages += messages
            self._handed_on += size
            piece = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._grown(-size)
            broken, _ = parser.feed_data(piece)
        return size, broken

    def _go_on(self) -> None:
        self._going_on = False
        self._hand_on()
