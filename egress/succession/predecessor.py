"""The end of the egress that is to be replaced: it listens for a successor, and gives it everything when it ends.

Whatever goes wrong before the last word leaves it as it was. See the package's text for the rule about that word.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from common.errors import ProtocolError
from common.log import get_logger
from common.media import Kind
from common.succession import Word, tell
from egress.media.streams import Streams
from egress.succession.channel import PATIENCE, Channel, GoneError, listen
from egress.succession.parting import Stopped, feed_state, movable, state_of, stop
from egress.succession.states import (
    MAX_MESSAGE,
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
    encode,
)
from egress.viewer import Viewer
from egress.viewers import Viewers
from egress.wire.ports import Ports

WARM = 10.0  # seconds for a successor to have read what it is to send

INVITED_WITHIN = 10.0  # seconds for one that was asked for to come: it imports everything first
LOOK = 0.05  # seconds between looks at one that gets ready, or is

log = get_logger()

_Word = TypeVar("_Word", Hello, Ready)


class Giver(Protocol):
    """The egress, as far as it is asked here."""

    def pause(self) -> None:
        """Do nothing with sockets, sessions and their timers until ``unpause``."""

    def unpause(self) -> None:
        """Go on."""

    async def leave(self, successor: str) -> None:
        """Tell the broker that this process has nothing more, and its successor all of it."""

    def come_back(self) -> None:
        """Nothing came of it: be this node again."""


class Predecessor:
    """``path`` is where a successor comes to, and ``about`` what it is told first."""

    def __init__(self, path: Path, about: Prelude, streams: Streams, ports: Ports, viewers: Viewers) -> None:
        self._path, self._about = path, about
        self._streams, self._ports, self._viewers = streams, ports, viewers
        self._listener: socket.socket | None = None
        self._channel: Channel | None = None
        self._coming = False  # a successor gets ready
        self._incarnation = ""  # of the successor that is ready

    def open(self) -> None:
        """Listen from now on. Where that cannot be, this egress is replaced as any worker is."""
        try:
            self._listener = listen(self._path)
        except OSError as exc:
            log.warning("no successor can come here", reason=exc.strerror)

    async def invite(self) -> bool:
        """Have the supervisor start a successor, if none is here. Whether one is ready then."""
        loop = asyncio.get_running_loop()
        if not self._here and self._listener is not None and tell(self._path, Word.WANTED):
            until = loop.time() + INVITED_WITHIN
            while not self._here and loop.time() < until:  # noqa: ASYNC110 - it comes or does not
                await asyncio.sleep(LOOK)
        return await self.expects()

    @property
    def _here(self) -> bool:
        """Whether there is a successor, ready or not."""
        return self._coming or bool(self._incarnation)

    def close(self) -> None:
        """Listen no more."""
        self._unlisten()
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def serve(self) -> None:
        """Get successors ready, one after the other, until cancelled."""
        loop = asyncio.get_running_loop()
        while self._listener is not None:
            sock, _ = await loop.sock_accept(self._listener)
            try:
                channel = Channel(sock)
            except PermissionError:
                log.warning("a process of another user came as successor")
                continue
            self._coming = True
            try:
                async with asyncio.timeout(WARM + PATIENCE):
                    self._incarnation = await self._prepare(channel)
            except (GoneError, ProtocolError, TimeoutError) as exc:
                log.warning("a successor did not get ready", reason=str(exc) or "it did not answer")
                channel.close()
                continue
            except BaseException:
                channel.close()
                raise
            finally:
                self._coming = False
            self._channel = channel
            log.info("a successor is ready")
            with contextlib.suppress(GoneError, ProtocolError):
                await self._gone(channel)
            self._incarnation = ""

    async def expects(self) -> bool:
        """Whether there is a successor, as soon as it is ready."""
        until = asyncio.get_running_loop().time() + WARM + PATIENCE
        while self._coming and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110 - it gets ready or fails
            await asyncio.sleep(LOOK)
        return bool(self._incarnation)

    async def give(self, giver: Giver) -> bool:
        """Give everything to the successor, if one is ready. Whether it has it now; if not, all is as it was."""
        channel, successor = self._channel, self._incarnation
        if channel is None or not successor:
            return False
        stopped: list[Stopped] = []
        left = paused = False
        try:
            async with asyncio.timeout(WARM):
                await self._tell_feeds(channel)
                await _word(channel, Ready)
            await giver.leave(successor)
            left = True
            giver.pause()
            paused, since = True, asyncio.get_running_loop().time()
            stopped += [stop(viewer) for viewer in self._viewers if movable(viewer) and self._reached(viewer)]
            async with asyncio.timeout(PATIENCE):
                await self._tell_all(channel, stopped, since)
                await _answered(channel, len(stopped))
                self._unlisten()
                await channel.send(Go())
        except (GoneError, ProtocolError, TimeoutError) as exc:
            log.warning("the successor did not take over, and this goes on", reason=str(exc) or "it did not answer")
            channel.close()
            self._channel, self._incarnation = None, ""
            if paused:
                now = asyncio.get_running_loop().time()
                for each in stopped:
                    each.go_on(now)
                giver.unpause()
            if left:
                giver.come_back()
            if self._listener is None:
                self.open()
            return False
        for each in stopped:
            self._viewers.release(each.viewer)
            each.forget()
        log.info("sessions are the successor's", viewers=len(stopped), left_behind=len(self._viewers))
        return True

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            with contextlib.suppress(OSError):
                self._path.unlink()

    async def _prepare(self, channel: Channel) -> str:
        """Tell a successor what it is to read; its incarnation once it does."""
        hello = await _word(channel, Hello)
        if hello.version != VERSION:
            raise ProtocolError(f"it speaks version {hello.version}, and this {VERSION}")
        await self._tell_feeds(channel)
        return (await _word(channel, Ready)).incarnation

    async def _tell_feeds(self, channel: Channel) -> None:
        told = list(self._feeds())
        await channel.send(replace(self._about, feeds=len(told)))
        for feed in told:
            await channel.send(feed)

    async def _tell_all(self, channel: Channel, stopped: Iterable[Stopped], since: float) -> None:
        """Everything as it is now, when nothing is sent any more."""
        feeds = sessions = 0
        for feed in self._feeds():
            await channel.send(feed)
            feeds += 1
        udp = [each.socket for each in self._ports.udp.sockets]
        tcp = list(self._ports.tcp.listeners) if self._ports.tcp is not None else []
        await channel.send(Sockets(len(udp), len(tcp)), [*udp, *tcp])
        for remote, sock, read, unsent in self._ports.paused:
            await channel.send(ConnectionState((remote.host, remote.port, remote.connection), read, unsent), [sock])
        for each in stopped:
            await channel.send(_bounded(state_of(each.viewer)))
            sessions += 1
        await channel.send(Told(feeds, sessions, since))

    def _reached(self, viewer: Viewer) -> bool:
        """Whether the way to it is there: a connection may be gone, and another is yet to come."""
        selected = viewer.reach.agent.selected
        return selected is not None and self._ports.way(selected) is not None

    def _feeds(self) -> Iterable[FeedState]:
        for stream in self._streams:
            key = self._streams.key(stream.rendition)
            for kind in Kind:
                yield feed_state(stream, kind, key, asyncio.get_running_loop().time())

    async def _gone(self, channel: Channel) -> None:
        """Wait until the successor has closed the channel, or is closed here."""
        while self._channel is channel:  # words are read where they are awaited: this only sees the end
            await asyncio.sleep(LOOK)
            if channel.ended:
                channel.close()
                self._channel = None


async def _answered(channel: Channel, sessions: int) -> None:
    """Wait until the successor has so many sessions. Raises ``ProtocolError`` if it has others."""
    if (await _word(channel, Ready)).count != sessions:
        raise ProtocolError("it has not taken every session")


async def _word(channel: Channel, kind: type[_Word]) -> _Word:
    message, sockets = await channel.receive()
    for each in sockets:
        each.close()
    if not isinstance(message, kind):
        raise ProtocolError("not what is said here")
    return message


def _bounded(state: SessionState) -> SessionState:
    if len(encode(state)) > MAX_MESSAGE:
        raise ProtocolError("a session takes more than a message has")
    return state
