"""How players of three kinds are told of their session: a page over its WebSocket, WHEP with events, plain WHEP.

Each is a ``Signalling`` for one player, with what it was told since (``Told``): that its session's server process is
about to end, and a new session is to be made before this one is left, or that the session is over.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import aiohttp

from rigs.load import sdp
from rigs.load.engine import ConnectError, Engine
from rigs.load.signalling import Whep, parse, route_to
from rigs.load.viewer import Viewer

AGAIN = 0.1  # seconds until a connection that broke is made anew
ANSWER_TIMEOUT = 10.0  # seconds


@dataclass(slots=True)
class Told:
    """The sessions that a player was told of."""

    renew: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Plain(Whep):
    """A player that knows its session's address, and is told nothing."""

    told: Told = field(default_factory=Told)

    async def listen(self, http: aiohttp.ClientSession) -> None:
        """Do nothing: no events are told."""


@dataclass(slots=True)
class Events(Whep):
    """A player that reads the events of its sessions, from the address that the answer's ``Link`` names."""

    told: Told = field(default_factory=Told)
    _begun: asyncio.Queue[tuple[str, str]] = field(default_factory=lambda: asyncio.Queue(maxsize=16))

    async def join(self, http: aiohttp.ClientSession, engine: Engine, viewer: Viewer) -> str:
        session = await Whep.join(self, http, engine, viewer)  # super() does not know a class with slots
        self._begun.put_nowait((session, f"{session.partition('?')[0]}/events"))
        return session

    async def listen(self, http: aiohttp.ClientSession) -> None:
        """Read the events of every session that begins."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._read(http, *await self._begun.get()))

    async def _read(self, http: aiohttp.ClientSession, session: str, address: str) -> None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # it is over, or the broker is
            async with http.post(address, json=["reconnect"]) as answer:
                where = answer.headers.get("Location", "")
            async with http.get(urljoin(address, where), timeout=aiohttp.ClientTimeout(total=None)) as events:
                async for line in events.content:
                    if line.strip() == b"event: reconnect":
                        self.told.renew.add(session)


@dataclass(slots=True)
class Page:
    """A page's player: one WebSocket, made anew when it breaks, to which its sessions are attached again."""

    url: str  # of the WebSocket
    camera: str
    controlling: bool = True
    told: Told = field(default_factory=Told)
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _sessions: set[str] = field(default_factory=set)
    _answers: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _connecting: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=itertools.count)

    def local_address(self) -> str:
        """The address of ours by which the server is reached."""
        return route_to(f"http{self.url.removeprefix('ws')}")

    async def join(self, http: aiohttp.ClientSession, engine: Engine, viewer: Viewer) -> str:
        """Agree on a session and connect. Raises ``ConnectError``."""
        ours, id = viewer.describe("actpass"), str(next(self._ids))
        waiting = self._answers[id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._open.wait()
                await self._say(type="offer", id=id, camera=self.camera, sdp=sdp.offer(ours))
                answer = await waiting
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as exc:
            raise ConnectError(f"no answer to the offer: {exc!r}") from None
        finally:
            del self._answers[id]
        session: str = answer["session"]
        self._sessions.add(session)
        described = parse(answer["sdp"])
        connecting = engine.connect(viewer, described, we_are_server=described.setup == "active")
        task = self._connecting[session] = asyncio.ensure_future(connecting)
        try:
            await task
        except asyncio.CancelledError:
            if session not in self.told.over:
                raise
            raise ConnectError("its server process is gone") from None
        finally:
            del self._connecting[session]
        return session

    async def leave(self, http: aiohttp.ClientSession, session: str) -> None:
        """End the session at the server."""
        self._sessions.discard(session)
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            await self._say(type="close", session=session)

    async def listen(self, http: aiohttp.ClientSession) -> None:
        """Keep the connection up."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                async with http.ws_connect(self.url) as self._socket:
                    for session in self._sessions:
                        await self._say(type="attach", session=session)
                    self._open.set()
                    async for message in self._socket:
                        self._hear(json.loads(message.data))
            self._open.clear()
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError("the connection broke"))
            await asyncio.sleep(AGAIN)

    async def _say(self, **message: Any) -> None:
        if self._socket is not None:
            await self._socket.send_json(message)

    def _hear(self, message: dict[str, Any]) -> None:
        waiting = self._answers.get(message.get("id", ""))
        match message:
            case {"type": "answer"} if waiting is not None and not waiting.done():
                waiting.set_result(message)
            case {"type": "error", "message": str(problem)} if waiting is not None and not waiting.done():
                waiting.set_exception(ConnectionError(problem))
            case {"type": "renew", "session": str(session)}:
                self.told.renew.add(session)
            case {"type": "close", "session": str(session)} | {"type": "error", "session": str(session)}:
                self._sessions.discard(session)
                self.told.over.add(session)
                if (connecting := self._connecting.get(session)) is not None:
                    connecting.cancel()


Player = Plain | Events | Page
