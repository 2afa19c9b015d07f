"""The end of the egress that comes: it reads what its predecessor sends, until that gives it everything.

Nothing is sent to a viewer, and no socket read, before ``go`` has returned. See the package's text for the rules.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import ProtocolError
from common.log import get_logger
from common.media import Kind, Rendition
from egress.media.feed import Feed, Source
from egress.media.streams import Streams
from egress.succession.channel import PATIENCE, Channel, GoneError, connect
from egress.succession.places import Place, Witness, place, reached, warm
from egress.succession.resuming import resume_feed
from egress.succession.states import (
    MAX_SESSIONS,
    VERSION,
    ConnectionState,
    FeedState,
    Go,
    Hello,
    Prelude,
    Ready,
    SessionState,
    Sockets,
    Told,
)

WARM_WITHIN = 3.0  # seconds for what flows to have come here too
REACHED_WITHIN = 0.25  # seconds for the last packets that the predecessor had: both read the same relay
LOOK = 0.005  # seconds between looks

log = get_logger()

_Track = tuple[str, Kind]


@dataclass(slots=True)
class Taken:
    """All that was told at last; the sockets are ours to close."""

    udp: list[socket.socket] = field(default_factory=list)
    tcp: list[socket.socket] = field(default_factory=list)
    connections: list[tuple[ConnectionState, socket.socket]] = field(default_factory=list)
    sessions: list[SessionState] = field(default_factory=list)
    since: float = 0.0  # monotonic seconds: nothing was sent from then on


class Successor:
    """Made by ``meet``."""

    def __init__(self, channel: Channel, prelude: Prelude) -> None:
        self.prelude = prelude
        self.sources = {kind: Source(ssrc, rtx, origin) for kind, ssrc, rtx, origin in prelude.sources}
        self._channel = channel
        self._before: dict[_Track, FeedState] = {}
        self._now: dict[_Track, FeedState] = {}
        self._witnesses: dict[_Track, tuple[Witness, Feed]] = {}
        self._held: list[Rendition] = []

    async def follow(self, streams: Streams, incarnation: str, ready: Callable[[], object]) -> Taken | None:
        """Read what the predecessor sends until it has told everything; ``None`` if it ends by itself.

        ``ready`` is called once it can do so.

        Raises ``GoneError`` or ``ProtocolError`` if it stops in the middle of that: nothing is ours then.
        """
        await self._read_along(streams, self.prelude.feeds)
        await self._channel.send(Ready(len(self._witnesses), incarnation))
        ready()
        taken = Taken()
        try:
            while True:
                message, sockets = await self._channel.receive()
                match message:
                    case Prelude(feeds=feeds):
                        await self._read_along(streams, feeds)
                        await self._channel.send(Ready(len(self._witnesses), incarnation))
                    case FeedState():
                        self._now[message.rendition, message.kind] = message
                    case Sockets(udp, tcp) if udp + tcp == len(sockets) and not taken.udp:
                        taken.udp, taken.tcp = sockets[:udp], sockets[udp:]
                        _check_kinds(taken)
                    case ConnectionState() if len(sockets) == 1:
                        taken.connections.append((message, sockets[0]))
                    case SessionState() if not sockets and len(taken.sessions) < MAX_SESSIONS:
                        taken.sessions.append(message)
                    case Told(feeds, sessions, since) if (feeds, sessions) == (len(self._now), len(taken.sessions)):
                        taken.since = since
                        return taken
                    case _:
                        raise ProtocolError("not what is said here")
        except GoneError:
            if not self._now:
                return None
            raise

    async def go(self, sessions: int) -> None:
        """Say that so many sessions were taken, and wait for the word that all is ours."""
        await self._channel.send(Ready(sessions))
        async with asyncio.timeout(PATIENCE):
            message, _ = await self._channel.receive()
        if not isinstance(message, Go):
            raise ProtocolError("not the last word")

    async def places(self) -> dict[_Track, Place | None]:
        """The way to the predecessor's packets, as soon as those that it had have come."""
        loop = asyncio.get_running_loop()
        until = loop.time() + REACHED_WITHIN
        tracks = [(now, self._witnesses[key]) for key, now in self._now.items() if key in self._witnesses]
        while not all(reached(now, witness) for now, (witness, _) in tracks) and loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(LOOK)  # what comes from the bus has no event
        return {
            key: place(self._before.get(key), now, *self._witnesses[key])
            for key, now in self._now.items()
            if key in self._witnesses
        }

    def end(self) -> None:
        """Say and hear nothing more."""
        self._channel.close()

    def close(self, streams: Streams) -> None:
        """Nothing more is to be done for the succession: keep no stream for it."""
        self.end()
        for witness, _ in self._witnesses.values():
            witness.end()
        for rendition in self._held:
            streams.release(streams.acquire(rendition), streams.acquire(rendition))
        self._held.clear()

    async def _read_along(self, streams: Streams, count: int) -> None:
        """Read tracks that are told of, and wait until what flows there flows here."""
        fresh: list[FeedState] = []
        for _ in range(count):
            async with asyncio.timeout(PATIENCE):
                message, _ = await self._channel.receive()
            if not isinstance(message, FeedState):
                raise ProtocolError("not a track")
            self._take_up(streams, message)
            fresh.append(message)
        until = asyncio.get_running_loop().time() + WARM_WITHIN
        while asyncio.get_running_loop().time() < until:
            if all(warm(state, self._witnesses[state.rendition, state.kind][0]) for state in fresh):
                return
            await asyncio.sleep(LOOK)

    def _take_up(self, streams: Streams, state: FeedState) -> None:
        key = state.rendition, state.kind
        if key in self._witnesses:
            return
        rendition = Rendition(state.rendition)
        stream = streams.acquire(rendition)
        if rendition in self._held:
            streams.release(stream)
        else:
            self._held.append(rendition)
        if state.key:
            streams.learn(rendition, state.key)
        feed = stream.feeds[state.kind]
        resume_feed(feed, state)
        self._before[key], self._witnesses[key] = state, (Witness(feed), feed)


async def meet(path: Path) -> Successor | None:
    """The predecessor that listens there; ``None`` if there is none, or it does not speak with us."""
    try:
        channel = connect(path)
    except PermissionError as exc:
        log.warning("no predecessor of ours", reason=str(exc))
        return None
    if channel is None:
        return None
    try:
        async with asyncio.timeout(PATIENCE):
            await channel.send(Hello(VERSION))
            message, _ = await channel.receive()
        return Successor(channel, _first(message))
    except (GoneError, ProtocolError, TimeoutError) as exc:
        log.warning("the predecessor does not speak with its successor", reason=str(exc) or "it did not answer")
        channel.close()
        return None


def _first(message: object) -> Prelude:
    if not isinstance(message, Prelude) or message.version != VERSION:
        raise ProtocolError("not the first word")
    return message


def _check_kinds(taken: Taken) -> None:
    """Raises ``ProtocolError`` for sockets that are none of a port's."""
    kinds = [(each, socket.SOCK_DGRAM) for each in taken.udp] + [(each, socket.SOCK_STREAM) for each in taken.tcp]
    for each, kind in kinds:
        if each.family not in (socket.AF_INET, socket.AF_INET6) or each.type != kind:
            raise ProtocolError("a socket of another kind")
