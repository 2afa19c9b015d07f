"""Ends of connections that are somebody's to read and to write, as a test has them."""

from __future__ import annotations

import asyncio


class Readable(asyncio.Transport):
    """Notes whether it is read."""

    reading, aborted = True, False

    def is_closing(self) -> bool:
        return self.aborted

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True


class Taking:
    """Takes what it is sent, as far as it has ``room``."""

    def __init__(self) -> None:
        self.room = 0  # bytes
        self.taken = bytearray()

    def send(self, data: bytes | bytearray | memoryview) -> int:
        if not self.room:
            raise BlockingIOError
        size = min(self.room, len(data))
        self.taken += data[:size]
        self.room -= size
        return size

    def sendmsg(self, parts: list[bytes]) -> int:
        return self.send(b"".join(parts))
