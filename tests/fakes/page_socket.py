"""A page's end of the socket that it has to the server, played by a test."""

from __future__ import annotations

import asyncio
import json
from socket import SHUT_RDWR
from typing import Any

import aiohttp

from tests.fakes.workers import PATIENCE


class Page:
    """Sends messages and waits for others, with a bound."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send_json(message)

    async def next(self, *types: str) -> dict[str, Any]:
        """The next message, of one of these types if some are given; others are passed over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                parsed = json.loads(message.data)
                if not types or parsed["type"] in types:
                    return parsed

    async def closed(self) -> int | None:
        """The close code."""
        async with asyncio.timeout(PATIENCE):
            while (await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.socket.close_code

    def break_off(self) -> None:
        """Lose the connection without a farewell."""
        self.socket.get_extra_info("socket").shutdown(SHUT_RDWR)

    async def watch(self, camera: str = "door", sdp: str = "offer") -> str:
        await self.send(type="offer", camera=camera, sdp=sdp)
        return (await self.next("answer"))["session"]

    async def error(self) -> str:
        return (await self.next("error"))["code"]
