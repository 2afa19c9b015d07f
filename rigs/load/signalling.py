"""How a viewer comes to a server and leaves it: WHEP (RFC 9725) for most, Janus's own HTTP API for Janus."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp

from rigs.load import sdp
from rigs.load.engine import ConnectError, Engine
from rigs.load.viewer import Viewer

TIMEOUT = aiohttp.ClientTimeout(total=20)  # seconds for one request


class Signalling(Protocol):
    """A way to agree with a server on a session."""

    controlling: bool  # the side that offers controls ICE

    def local_address(self) -> str:
        """The address of ours by which the server is reached."""

    async def join(self, http: aiohttp.ClientSession, engine: Engine, viewer: Viewer) -> str:
        """Agree on a session and connect. Returns what ``leave`` needs; raises ``ConnectError``."""

    async def leave(self, http: aiohttp.ClientSession, session: str) -> None:
        """End the session at the server. Never raises: the server may be gone."""


@dataclass(slots=True)
class Whep:
    """Any WHEP server; one URL is one stream."""

    url: str
    controlling: bool = True

    def local_address(self) -> str:
        return route_to(self.url)

    async def join(self, http: aiohttp.ClientSession, engine: Engine, viewer: Viewer) -> str:
        ours = viewer.describe("actpass")
        offer = sdp.offer(ours, twcc=viewer.options.twcc)
        try:
            async with http.post(self.url, data=offer, headers={"Content-Type": "application/sdp"}) as response:
                body = await response.text()
                if response.status != 201:
                    raise ConnectError(f"the server answers {response.status}: {body[:200]}")
                location = response.headers.get("Location", "")
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise ConnectError(f"no answer to the offer: {exc!r}") from None
        answer = parse(body)
        # RFC 8842 5.3: the answerer decides; "active" starts the handshake, so we are the server.
        await engine.connect(viewer, answer, we_are_server=answer.setup == "active")
        return urljoin(self.url, location)

    async def leave(self, http: aiohttp.ClientSession, session: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with http.delete(session):
                pass


@dataclass(slots=True)
class Janus:
    """Janus's streaming plugin: Janus offers, we answer. ``url`` is that of its HTTP API."""

    url: str
    mountpoint: int
    address: str  # Janus gathers no loopback candidates: an address of another interface of this machine
    controlling: bool = False

    def local_address(self) -> str:
        return self.address

    async def join(self, http: aiohttp.ClientSession, engine: Engine, viewer: Viewer) -> str:
        session = f"{self.url}/{(await self._ask(http, self.url, janus='create'))['data']['id']}"
        attached = await self._ask(http, session, janus="attach", plugin="janus.plugin.streaming")
        handle = f"{session}/{attached['data']['id']}"
        await self._ask(http, handle, janus="message", body={"request": "watch", "id": self.mountpoint})
        jsep = await self._event(http, session, "jsep")
        ours = viewer.describe("active")
        offered = parse(jsep["sdp"])
        answer = {"type": "answer", "sdp": sdp.answer(ours, offered), "trickle": False}
        await self._ask(http, handle, janus="message", body={"request": "start"}, jsep=answer)
        await engine.connect(viewer, offered, we_are_server=False)
        return session

    async def leave(self, http: aiohttp.ClientSession, session: str) -> None:
        with contextlib.suppress(ConnectError):
            await self._ask(http, session, janus="destroy")

    async def _ask(self, http: aiohttp.ClientSession, url: str, **message: Any) -> dict[str, Any]:
        try:
            async with http.post(url, json={"transaction": secrets.token_hex(6), **message}) as response:
                reply: dict[str, Any] = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
            raise ConnectError(f"no answer from Janus: {exc!r}") from None
        if reply.get("janus") not in ("success", "ack"):
            raise ConnectError(f"Janus refuses: {reply.get('error', reply)}")
        return reply

    async def _event(self, http: aiohttp.ClientSession, session: str, wanted: str) -> dict[str, Any]:
        """Poll until an event has the field ``wanted``."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            try:
                async with http.get(session, params={"maxev": "1"}) as response:
                    event = await response.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
                raise ConnectError(f"no event from Janus: {exc!r}") from None
            if isinstance(event, list):
                event = event[0] if event else {}
            if wanted in event:
                found: dict[str, Any] = event[wanted]
                return found
            error = event.get("plugindata", {}).get("data", {}).get("error")
            if error:
                raise ConnectError(f"Janus refuses: {error}")
        raise ConnectError(f"Janus sent no {wanted}")


def route_to(url: str) -> str:
    """The local address from which packets to the host of ``url`` leave."""
    parts = urlsplit(url)
    found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_DGRAM)[0]
    with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
        probe.connect(found[4])  # sends nothing
        address: str = probe.getsockname()[0]
        return address


def parse(text: str) -> sdp.Session:
    """A server's description. Raises ``ConnectError``."""
    try:
        return sdp.parse(text)
    except (ValueError, IndexError) as exc:
        raise ConnectError(f"the server's description is not usable: {exc}") from None
