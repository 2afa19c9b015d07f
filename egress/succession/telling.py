"""The predecessor's words to its successor: what it has, in advance and at last.

See the package's text for the rules; ``predecessor`` says when each is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from common.errors import ProtocolError
from common.log import get_logger
from common.media import Kind
from egress.media.streams import Streams
from egress.succession import states, words
from egress.succession.advance import Advance
from egress.succession.channel import PATIENCE, Channel
from egress.succession.parting import Stopped, feed_state, movable, state_of
from egress.viewer import Viewer
from egress.viewers import Viewers
from egress.wire.ports import Ports

WARM = 10.0  # seconds for a successor to have read what it is to send
EACH = 0.005  # seconds more for each session that is told: sixteen times what both need for one
TURN = 8  # sessions that are told in advance before media has its turn: half a millisecond

log = get_logger()


class Telling:
    """``about`` makes what a successor is told first; the rest is what there is to tell of."""

    def __init__(self, about: Callable[[], words.Prelude], streams: Streams, ports: Ports, viewers: Viewers) -> None:
        self._about = about
        self._streams, self._ports, self._viewers = streams, ports, viewers

    def movable(self) -> list[Viewer]:
        """The viewers that another process can go on with."""
        return [viewer for viewer in self._viewers if movable(viewer) and self._reached(viewer)]

    async def feeds(self, channel: Channel) -> None:
        """Tell of tracks, which the successor is to read."""
        async with asyncio.timeout(PATIENCE):
            told = list(self._feeds())
            await channel.send(replace(self._about(), feeds=len(told)))
            for feed in told:
                await channel.send(feed)

    async def warm(self, channel: Channel, *, ahead: bool) -> Advance:
        """Have it read what there is now, and make the sessions that there are, if it takes any ``ahead``.

        Raises ``GoneError``, ``ProtocolError`` or ``TimeoutError``.
        """
        if channel.unheard:
            raise ProtocolError("it speaks unasked")
        await self.feeds(channel)
        await channel.hear(words.Ready, WARM)
        advance = Advance()
        if not ahead:
            return advance
        viewers = self.movable()
        within = PATIENCE + EACH * len(viewers)
        async with asyncio.timeout(within):
            for place, viewer in enumerate(viewers):
                if not place % TURN:
                    await asyncio.sleep(0)
                if movable(viewer) and await _said(channel, state := state_of(viewer)):
                    advance.add(state)
            await channel.send(words.Ahead(len(advance)))
        await channel.hear(words.Ready, within)
        return advance

    async def all(
        self, channel: Channel, stopped: Sequence[Stopped], advance: Advance, since: float
    ) -> Collection[str]:
        """Tell the successor everything as it is, now that nothing is sent. Returns the sessions that it has then.

        Raises ``GoneError``, ``ProtocolError`` or ``TimeoutError``.
        """
        within = PATIENCE + EACH * len(stopped)
        async with asyncio.timeout(within):
            feeds = await self._places(channel)
            told = await _sessions(channel, stopped, advance)
            await channel.send(words.Told(feeds, len(told), since))
        answer = await channel.hear(words.Taken, within)
        without = set(answer.without)
        moved = {session for place, session in enumerate(told) if place not in without}
        if answer.count != len(moved) or (told and not moved):
            raise ProtocolError("it has not taken what it says")
        if without:
            log.warning("the successor cannot go on with some sessions", viewers=len(without))
        return moved

    async def _places(self, channel: Channel) -> int:
        """Tracks, whose number is returned, sockets and connections."""
        feeds = list(self._feeds())
        for feed in feeds:
            await channel.send(feed)
        udp = [each.socket for each in self._ports.udp.sockets]
        tcp = list(self._ports.tcp.listeners) if self._ports.tcp is not None else []
        await channel.send(words.Sockets(len(udp), len(tcp)), [*udp, *tcp])
        for remote, sock, read, unsent in self._ports.paused:
            address = remote.host, remote.port, remote.connection
            await channel.send(states.ConnectionState(address, read, unsent), [sock])
        return len(feeds)

    def _reached(self, viewer: Viewer) -> bool:
        """Whether the way to it is there: a connection may be gone, and another is yet to come."""
        selected = viewer.reach.agent.selected
        return selected is not None and self._ports.way(selected) is not None

    def _feeds(self) -> Iterable[states.FeedState]:
        for stream in self._streams:
            key, revision = self._streams.key(stream.rendition), self._streams.revision(stream.rendition)
            for kind in Kind:
                yield feed_state(stream, kind, key, asyncio.get_running_loop().time(), revision)


async def _sessions(channel: Channel, stopped: Sequence[Stopped], advance: Advance) -> list[str]:
    """Tell the sessions, or what of them has changed. Returns those that were told, in their order."""
    told: list[str] = []
    waiting: dict[str, states.SessionChange] = {}
    for each in stopped:
        session, word = each.viewer.session, advance.since(state_of(each.viewer))
        large = isinstance(word, states.SessionState) or word.ice is not None  # its viewer has a say in how large
        if waiting and (large or len(waiting) == words.MAX_CHANGES):
            told += await _changed(channel, waiting)
            waiting.clear()
        if isinstance(word, states.SessionState):
            told += [session] if await _said(channel, word) else []
        elif large:
            told += await _changed(channel, {session: word})
        else:
            waiting[session] = word
    if waiting:
        told += await _changed(channel, waiting)
    return told


async def _changed(channel: Channel, changes: Mapping[str, states.SessionChange]) -> list[str]:
    """Say what has changed of these sessions. Returns those of which it can be said; others are left behind."""
    if await _said(channel, words.SessionChanges(tuple(changes.values())), quietly=len(changes) > 1):
        return [*changes]
    if len(changes) == 1:
        return []
    return [told for session, change in changes.items() for told in await _changed(channel, {session: change})]


async def _said(channel: Channel, word: states.SessionState | words.SessionChanges, *, quietly: bool = False) -> bool:
    """Say something of a session, or of some. ``False`` if it cannot be said: one alone is left behind then."""
    try:
        await channel.send(word)
    except ProtocolError as exc:
        if not quietly:
            log.warning("a session cannot be handed over", reason=str(exc))
        return False
    return True
