"""A stranger behind a TURN server (RFC 8656): all that it sends, and all that it gets, goes by the server's relay."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from types import TracebackType
from typing import Self

from aioice.turn import TurnTransport, create_turn_endpoint

from rigs.stranger import Stranger

Address = tuple[str, int]
LASTS = 3_600  # seconds for which the password is good


class RelayedStranger(Stranger):
    """``turn`` is the server's HOST:PORT, ``secret`` that which passwords are made by (TURN REST)."""

    def __init__(self, whep: str, turn: str, secret: str) -> None:
        super().__init__(whep)
        self._turn, self._secret = turn, secret
        self._bridge = _Bridge()

    async def __aenter__(self) -> Self:
        host, _, port = self._turn.rpartition(":")
        user = f"{int(time.time()) + LASTS}:stranger"
        password = base64.b64encode(hmac.digest(self._secret.encode(), user.encode(), hashlib.sha1)).decode()
        self._bridge.relay, _ = await create_turn_endpoint(
            lambda: _Back(self._bridge), (host, int(port)), user, password
        )
        loop = asyncio.get_running_loop()
        self._bridge.local, _ = await loop.create_datagram_endpoint(lambda: self._bridge, local_addr=("127.0.0.1", 0))
        try:
            return await super().__aenter__()
        except BaseException:
            self._bridge.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, tb)
        self._bridge.close()

    def answered(self, sdp: str) -> None:
        """Take the server's answer to an offer, whose address is the relay's peer."""
        super().answered(sdp)
        self._bridge.peer = self._server
        self._server = self._bridge.local.get_extra_info("sockname")


class _Bridge(asyncio.DatagramProtocol):
    """From the stranger's socket to the relay."""

    local: asyncio.DatagramTransport
    relay: TurnTransport
    peer: Address
    stranger: Address | None = None

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.stranger = addr
        self.relay.sendto(data, self.peer)

    def close(self) -> None:
        self.local.close()
        self.relay.close()


class _Back(asyncio.DatagramProtocol):
    """From the relay to the stranger's socket."""

    def __init__(self, bridge: _Bridge) -> None:
        self._bridge = bridge

    def datagram_received(self, data: bytes, _addr: Address) -> None:
        if self._bridge.stranger is not None:
            self._bridge.local.sendto(data, self._bridge.stranger)
