"""A viewer that reaches an egress by TCP (RFC 6544), made by hand from ``Browser``, aioice's STUN and a connection."""

from __future__ import annotations

import asyncio
import re
import struct
from types import TracebackType
from typing import Self

from aioice import stun

from egress.wire.ice import Credentials
from rigs.browser import PASSWORD, UFRAG, Browser
from rigs.ice import answer

PATIENCE = 20.0  # seconds

_length = struct.Struct("!H")


class TcpPeer:
    """An async context manager: inside it ``browser`` is connected, and reads. ``sdp`` is the answer to its offer."""

    def __init__(self, browser: Browser, sdp: str) -> None:
        self.browser = browser
        self.frames: list[bytes] = []  # everything that came
        self._ended = asyncio.Event()  # by the server
        self._sdp = sdp.replace("\r", "")

    async def __aenter__(self) -> Self:
        await self.connect()
        async with asyncio.timeout(PATIENCE):
            self.browser.start_dtls()
            while not self.browser.connected:
                self._flush()
                await asyncio.sleep(0.01)
        self._flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.disconnect()

    async def connect(self) -> None:
        """Open a connection, and send a check that nominates it."""
        host, port = self._found(r"a=candidate:\d+ 1 tcp \d+ (\S+ \d+) typ host tcptype passive").split()
        reader, self._writer = await asyncio.open_connection(host, int(port))
        self._task = asyncio.create_task(self._read(reader))
        self.check()

    async def disconnect(self) -> None:
        """Close the connection without a word."""
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._writer.close()

    def check(self, *, password: str | None = None) -> None:
        """Send a check that nominates the connection."""
        self.send(self.made_check(password=password))

    def made_check(self, *, password: str | None = None) -> bytes:
        """A check that nominates the way that it comes by."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{self._found('a=ice-ufrag:(.*)')}:{UFRAG}"
        request.attributes["PRIORITY"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity((password or self._found("a=ice-pwd:(.*)")).encode())
        return bytes(request)

    def send(self, datagram: bytes) -> None:
        """Send one frame."""
        self._writer.write(_length.pack(len(datagram)) + datagram)

    async def ends(self) -> None:
        """Wait until the server closes the connection."""
        async with asyncio.timeout(PATIENCE):
            await self._ended.wait()

    def _found(self, pattern: str) -> str:
        found = re.search(pattern, self._sdp)
        assert found is not None, pattern
        return found[1]

    def _flush(self) -> None:
        for datagram in self.browser.take():
            self.send(datagram)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                (size,) = _length.unpack(await reader.readexactly(2))
                frame = await reader.readexactly(size)
                self.frames.append(frame)
                if frame[:2] == b"\0\1":
                    self.send(answer(frame, Credentials(UFRAG, PASSWORD.encode())))
                elif frame[0] >= 20:
                    self.browser.receive(frame)
                    self._flush()
        except (asyncio.IncompleteReadError, ConnectionError):
            self._ended.set()
