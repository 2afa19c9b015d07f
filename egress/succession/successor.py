"""The end of the egress that comes: it reads what its predecessor sends, until that gives it everything.

Nothing is sent to a viewer, and no socket read, before ``go`` has returned. See the package's text for the rules.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.errors import ProtocolError
from common.log import get_logger
from common.media import Kind, Rendition, camera_of
from egress.media.feed import Feed, Source
from egress.media.streams import Streams
from egress.succession import states, words
from egress.succession.advance import changed
from egress.succession.channel import Channel, GoneError, close_all, connect
from egress.succession.places import Place, Witness, place, reached, warm
from egress.succession.resuming import discarded, resume_feed
from egress.viewer import Viewer

WARM_WITHIN = 3.0  # seconds for what flows to have come here too
REACHED_WITHIN = 0.25  # seconds for the last packets that the predecessor had: both read the same relay

log = get_logger()

_Track = tuple[str, Kind]
Prepare = Callable[[states.SessionState], Viewer | None]
"""Makes a viewer of a session that is told in advance; ``None`` if none can be made of that."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as it is at last, and if it was told in advance, what was, and what was made of that."""

    state: states.SessionState
    before: states.SessionState | None = None
    viewer: Viewer | None = None


@dataclass(slots=True)
class Taken:
    """All that was told at last; the sockets are ours to close. ``None`` is a session that cannot be read, or made."""

    udp: list[socket.socket] = field(default_factory=list)
    tcp: list[socket.socket] = field(default_factory=list)
    connections: list[tuple[states.ConnectionState, socket.socket]] = field(default_factory=list)
    ahead: list[Session | None] = field(default_factory=list)  # told in advance, and not told of since
    sessions: list[Session | None] = field(default_factory=list)
    since: float = 0.0  # monotonic seconds: nothing was sent from then on

    def close(self) -> None:
        """Close all of the sockets, as none is used."""
        close_all([*self.udp, *self.tcp, *(sock for _, sock in self.connections)])

    def discard(self) -> None:
        """Give back what was made of sessions that were told in advance, and not told of since."""
        for each in self.ahead:
            if each is not None and each.viewer is not None:
                discarded(each.viewer)


@dataclass(frozen=True, slots=True)
class Met:
    """The ``process`` that listened, 0 if none did; with no ``heir`` it does not speak with us."""

    process: int = 0
    heir: Successor | None = None


class Successor:
    """Made by ``meet``."""

    def __init__(self, channel: Channel, prelude: words.Prelude) -> None:
        self.prelude = prelude
        self.sources = {kind: Source(ssrc, rtx, origin) for kind, ssrc, rtx, origin in prelude.sources}
        self._channel = channel
        self._before: dict[_Track, states.FeedState] = {}
        self._now: dict[_Track, states.FeedState] = {}
        self._witnesses: dict[_Track, tuple[Witness, Feed]] = {}
        self._held: list[Rendition] = []
        self._seen = asyncio.Event()  # something of a track

    async def follow(
        self, streams: Streams, incarnation: str, ready: Callable[[], object], prepare: Prepare
    ) -> Taken | None:
        """Read what the predecessor sends until it has told everything; ``None`` if it ends by itself.

        ``ready`` is called once it can do so, and ``prepare`` with each session that is told in advance.

        Raises ``GoneError`` or ``ProtocolError`` if it stops in the middle of that: nothing is ours then.
        """
        await self._read_along(streams, self.prelude.feeds)
        await self._channel.send(words.Ready(len(self._witnesses), incarnation))
        ready()
        taken = Taken()
        try:
            while not await self._take(taken, streams, incarnation, prepare):
                pass
        except GoneError:
            taken.close()
            if not self._now:
                taken.discard()
                return None
            raise
        except BaseException:
            taken.close()
            raise
        return taken

    async def _take(self, taken: Taken, streams: Streams, incarnation: str, prepare: Prepare) -> bool:
        """Take the next word. Whether it was the last."""
        try:
            message, sockets = await self._channel.receive()
        except ProtocolError:
            told = taken.sessions if taken.udp else taken.ahead
            if bool(self._now) != bool(taken.udp) or len(told) >= words.MAX_SESSIONS:
                raise
            told.append(None)  # a session, if the count is right at last
            return False
        try:
            if (
                not taken.udp
                and not self._now
                and not sockets
                and isinstance(message, states.SessionState | words.Ahead)
            ):
                await self._prepare(message, taken, incarnation, prepare)
                return False
            return await self._believe(message, sockets, taken, streams, incarnation)
        except BaseException:
            close_all(sockets)
            raise

    async def _believe(
        self, message: words.Message, sockets: list[socket.socket], taken: Taken, streams: Streams, incarnation: str
    ) -> bool:
        """Take a word that was read. Raises ``ProtocolError`` if it is not the time for it."""
        match message:
            case words.Prelude(feeds=feeds) if not self._now and not sockets:
                await self._read_along(streams, feeds)
                await self._channel.send(words.Ready(len(self._witnesses), incarnation))
            case states.FeedState() if not sockets and len(self._now) < words.MAX_FEEDS:
                self._now[message.rendition, message.kind] = message
                streams.renew({camera_of(Rendition(message.rendition)): message.revision})
            case words.Sockets(udp, tcp) if udp + tcp == len(sockets) and not taken.udp:
                _check(sockets[:udp], socket.SOCK_DGRAM)
                _check(sockets[udp:], socket.SOCK_STREAM, listens=True)
                taken.udp, taken.tcp = sockets[:udp], sockets[udp:]
            case states.ConnectionState() if len(sockets) == 1 and len(taken.connections) < words.MAX_CONNECTIONS:
                _check(sockets, socket.SOCK_STREAM)
                taken.connections.append((message, sockets[0]))
            case states.SessionState() if taken.udp and not sockets and len(taken.sessions) < words.MAX_SESSIONS:
                taken.sessions.append(Session(message))
            case words.SessionChanges(changes) if (
                taken.udp and not sockets and len(taken.sessions) + len(changes) <= words.MAX_SESSIONS
            ):
                taken.sessions += [_brought_up_to_date(taken.ahead, each) for each in changes]
            case words.Told(feeds, sessions, since) if (
                taken.udp and not sockets and (feeds, sessions) == (len(self._now), len(taken.sessions))
            ):
                taken.since = since
                return True
            case _:
                raise ProtocolError("not what is said here")
        return False

    async def _prepare(
        self, message: states.SessionState | words.Ahead, taken: Taken, incarnation: str, prepare: Prepare
    ) -> None:
        """Take a word of those that come in advance. Raises ``ProtocolError`` if it is not the time for it."""
        if isinstance(message, words.Ahead):
            if message.sessions != len(taken.ahead):
                raise ProtocolError("not as many as were told in advance")
            await self._channel.send(words.Ready(len(self._witnesses), incarnation))
        elif len(taken.ahead) >= words.MAX_SESSIONS:
            raise ProtocolError("more sessions than there can be")
        else:
            viewer = prepare(message)
            taken.ahead.append(Session(message, message, viewer) if viewer is not None else None)

    async def go(self, sessions: int, without: Iterable[int]) -> None:
        """Say that so many sessions were taken, and which were not; and wait for the word that all is ours."""
        await self._channel.send(words.Taken(sessions, tuple(without)))
        try:
            await self._channel.hear(words.Go)
        except TimeoutError:  # one of us stood still: it is decided here and now whether that was said
            self._channel.shut()
            await self._channel.hear(words.Go)

    async def places(self) -> dict[_Track, Place | None]:
        """The way to the predecessor's packets, as soon as those that it had have come."""
        tracks = [(now, self._witnesses[key]) for key, now in self._now.items() if key in self._witnesses]
        await self._until(lambda: all(reached(now, witness) for now, (witness, _) in tracks), REACHED_WITHIN)
        return {
            key: place(self._before.get(key), now, *self._witnesses[key])
            for key, now in self._now.items()
            if key in self._witnesses
        }

    def end(self) -> None:
        """Say and hear nothing more."""
        self._channel.close()

    def close(self, streams: Streams) -> None:
        """End the succession's work: keep no stream for it."""
        self.end()
        for witness, _ in self._witnesses.values():
            witness.end()
        for rendition in self._held:
            stream = streams.acquire(rendition)
            streams.release(stream, stream)  # this time and the first
        self._held.clear()

    async def _read_along(self, streams: Streams, count: int) -> None:
        """Read tracks that are told of, and wait until what flows there flows here."""
        fresh = [await self._channel.hear(states.FeedState) for _ in range(count)]
        for state in fresh:
            self._take_up(streams, state)
        witnesses = [(state, self._witnesses[state.rendition, state.kind][0]) for state in fresh]
        await self._until(lambda: all(warm(state, witness) for state, witness in witnesses), WARM_WITHIN)

    async def _until(self, condition: Callable[[], bool], within: float) -> None:
        """Wait for what comes of tracks, so long at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not condition():
                    self._seen.clear()
                    await self._seen.wait()

    def _take_up(self, streams: Streams, state: states.FeedState) -> None:
        key = state.rendition, state.kind
        if key in self._witnesses:
            return
        if len(self._witnesses) >= words.MAX_FEEDS:
            raise ProtocolError("more tracks than there can be")
        rendition = Rendition(state.rendition)
        streams.renew({camera_of(rendition): state.revision})
        stream = streams.acquire(rendition)
        if rendition in self._held:
            streams.release(stream)
        else:
            self._held.append(rendition)
        if state.key:
            streams.learn(rendition, state.key)
        feed = stream.feeds[state.kind]
        resume_feed(feed, state)
        self._before[key], self._witnesses[key] = state, (Witness(feed, self._seen.set), feed)


def _brought_up_to_date(ahead: list[Session | None], change: states.SessionChange | None) -> Session | None:
    """One of those that were told in advance, which is taken from these. Raises ``ProtocolError`` if it is none."""
    if change is None:
        return None
    if change.place >= len(ahead):
        raise ProtocolError("a session that was not announced")
    before, ahead[change.place] = ahead[change.place], None
    return before and replace(before, state=changed(before.state, change))


async def meet(path: Path, node: str) -> Met:
    """See who listens there, and speak with it if it is the predecessor of the process that is to be ``node``."""
    try:
        channel = connect(path)
    except PermissionError as exc:
        log.warning("no predecessor of ours", reason=str(exc))
        return Met()
    if channel is None:
        return Met()
    try:
        await channel.send(words.Hello(words.VERSION, node, ahead=True))
        prelude = await channel.hear(words.Prelude)
        return Met(channel.process, Successor(channel, _first(prelude, node)))
    except (GoneError, ProtocolError, TimeoutError) as exc:
        log.warning("the predecessor does not speak with its successor", reason=str(exc) or "it did not answer")
        channel.close()
        return Met(channel.process)


def _first(prelude: words.Prelude, node: str) -> words.Prelude:
    if (prelude.version, prelude.node) != (words.VERSION, node):
        raise ProtocolError("it is not what is to be replaced")
    return prelude


def _check(sockets: Iterable[socket.socket], kind: int, *, listens: bool = False) -> None:
    """Raises ``ProtocolError`` for sockets that are none of a port's, or of a connection's."""
    for each in sockets:
        if each.family not in (socket.AF_INET, socket.AF_INET6) or each.type != kind:
            raise ProtocolError("a socket of another kind")
        if bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)) is not listens:
            raise ProtocolError("a socket that listens where none is to, or the other way round")
