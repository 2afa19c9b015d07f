"""The end of the egress that is to be replaced: it listens for a successor, and gives it everything when it ends.

Whatever goes wrong before the last word leaves it as it was. See the package's text for the rule about that word.

A successor is a process of our supervisor's that will have our name. One is here at a time; whoever else comes is sent
away, and who says nothing is in nobody's way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from common.control import NodeName
from common.errors import ProtocolError
from common.log import get_logger
from common.succession import ask
from egress.media.streams import Streams
from egress.succession import words
from egress.succession.channel import PATIENCE, Channel, GoneError, listen
from egress.succession.parting import Stopped, stop
from egress.succession.telling import WARM, Telling
from egress.viewers import Viewers
from egress.wire.ports import Ports

INVITED_WITHIN = 10.0  # seconds for one that was asked for to come: it imports everything first
ANSWER_WITHIN = 2.0  # seconds for the supervisor to say whether one comes
ASK_AGAIN = 0.5  # seconds: the supervisor starts none while one that failed is still ending
MAX_CALLERS = 8  # that have not shown who they are

log = get_logger()


class Giver(Protocol):
    """The egress, as far as it is asked here."""

    def pause(self) -> None:
        """Do nothing with sockets, sessions and their timers until ``unpause``."""

    def unpause(self) -> None:
        """Go on."""

    async def leave(self, successor: str) -> None:
        """Tell the broker that this process has nothing more, and its successor all of it."""

    def come_back(self) -> None:
        """Be this node again, as nothing came of the succession."""


@dataclass(slots=True)
class Heir:
    """A successor that is here; it has no ``incarnation`` before it is ready."""

    channel: Channel
    incarnation: str = ""
    ahead: bool = False  # it takes sessions in advance


class Predecessor:
    """``path`` is where a successor of ``node`` comes to, and ``about`` makes what it is told first."""

    def __init__(
        self,
        path: Path,
        node: NodeName,
        about: Callable[[], words.Prelude],
        streams: Streams,
        ports: Ports,
        viewers: Viewers,
    ) -> None:
        self._path, self._node = path, node
        self._viewers = viewers
        self._telling = Telling(about, streams, ports, viewers)
        self._listener: socket.socket | None = None
        self._group: asyncio.TaskGroup | None = None
        self._callers = 0
        self._heir: Heir | None = None
        self._news = asyncio.Event()  # of the heir

    def open(self) -> None:
        """Listen from now on. Where that cannot be, this egress is replaced as any worker is."""
        try:
            self._listener = listen(self._path)
        except OSError as exc:
            log.warning("no successor can connect here", reason=exc.strerror)
        if self._group is not None:
            self._accept_from_now_on()

    def close(self) -> None:
        """Listen no more."""
        self._unlisten()
        if self._heir is not None:
            self._heir.channel.close()

    async def serve(self) -> None:
        """Get successors ready, until cancelled."""
        async with asyncio.TaskGroup() as self._group:
            self._accept_from_now_on()
            await asyncio.Event().wait()

    @property
    def has_heir(self) -> bool:
        """Whether a successor is ready."""
        return self._heir is not None and bool(self._heir.incarnation)

    async def invite(self) -> bool:
        """Have the supervisor start a successor, if none is here. Whether one is ready then."""
        if self._heir is None and self._listener is not None:
            await self._one_comes()
        await self._until(lambda: self._heir is None or self.has_heir, WARM + PATIENCE)
        return self.has_heir

    async def _one_comes(self) -> None:
        """Ask for one until it is here, or is not to be expected."""
        loop = asyncio.get_running_loop()
        until = loop.time() + INVITED_WITHIN
        while self._heir is None and loop.time() < until:
            coming = await ask(self._path, ANSWER_WITHIN)
            if not coming and self._heir is None:
                why = "the supervisor does not answer" if coming is None else "the supervisor starts none"
                log.info("no successor has come", reason=why)
                return
            await self._until(lambda: self._heir is not None, ASK_AGAIN)

    async def give(self, giver: Giver) -> bool:
        """Give everything to the successor, if one is ready. Whether it has it now; if not, all is as it was."""
        heir = self._heir
        if heir is None or not heir.incarnation:
            return False
        stopped: list[Stopped] = []
        left = paused = given = False
        try:
            advance = await self._telling.warm(heir.channel, ahead=heir.ahead)
            await giver.leave(heir.incarnation)
            left = True
            stopped += map(stop, self._telling.movable())
            giver.pause()
            paused, since = True, asyncio.get_running_loop().time()
            moved = await self._telling.all(heir.channel, stopped, advance, since)
            self._unlisten()
            await heir.channel.send(words.Go())
            given = True
        except (GoneError, ProtocolError, TimeoutError) as exc:
            log.warning(
                "the successor did not take over; this process continues", reason=str(exc) or "it did not answer"
            )
        finally:  # also where there is no time for it any more: viewers are told goodbye then
            heir.channel.close()
            if self._heir is heir:
                self._heir = None
            if not given:
                self._take_back(stopped, giver, left=left, paused=paused)
        if given:
            self._let_go(stopped, moved)
        return given

    def _take_back(self, stopped: Iterable[Stopped], giver: Giver, *, left: bool, paused: bool) -> None:
        now = asyncio.get_running_loop().time()
        for each in stopped:
            each.go_on(now)
        if paused:
            giver.unpause()
        if left:
            giver.come_back()
        if self._listener is None:
            self.open()

    def _let_go(self, stopped: Iterable[Stopped], moved: Collection[str]) -> None:
        """The last word is said. What the successor does not have is told goodbye when this process ends."""
        now = asyncio.get_running_loop().time()
        for each in stopped:
            if each.viewer.session in moved:
                self._viewers.release(each.viewer)
                each.forget()
            else:
                each.go_on(now)
        log.info("sessions are the successor's", viewers=len(moved), left_behind=len(self._viewers))

    async def _until(self, condition: Callable[[], bool], within: float) -> None:
        """Wait for what is to become of the heir, so long at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not condition():
                    self._news.clear()
                    await self._news.wait()

    def _accept_from_now_on(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._acceptable, self._listener)

    def _unlisten(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
            with contextlib.suppress(OSError):
                self._path.unlink()

    def _acceptable(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError:  # it has gone already, or there are no descriptors
            return
        try:
            channel = Channel(sock)
        except PermissionError:
            log.warning("a process of another user connected as successor")
            return
        if self._group is None or self._callers >= MAX_CALLERS or not _of_our_supervisor(channel.process):
            log.warning("a process that is not a successor was turned away", pid=channel.process)
            channel.close()
        else:
            self._group.create_task(self._attend(channel))

    async def _attend(self, channel: Channel) -> None:
        """Have who came become our heir, and be it until it ends."""
        heir = Heir(channel)
        try:
            heir.ahead = await self._greet(channel)
            self._heir = heir
            self._news.set()
            await self._telling.feeds(channel)
            heir.incarnation = (await channel.hear(words.Ready, WARM)).incarnation
            self._news.set()
            log.info("a successor is ready")
            await channel.over.wait()
        except (GoneError, ProtocolError, TimeoutError) as exc:
            log.warning("a successor did not get ready", reason=str(exc) or "it did not answer")
        finally:
            channel.close()
            if self._heir is heir:
                self._heir = None
                self._news.set()

    async def _greet(self, channel: Channel) -> bool:
        """Hear who it is, and whether it takes sessions in advance. Raises ``ProtocolError`` if it is none."""
        self._callers += 1
        try:
            hello = await channel.hear(words.Hello)
        finally:
            self._callers -= 1
        if hello.version != words.VERSION:
            raise ProtocolError(f"it speaks version {hello.version}, and this {words.VERSION}")
        if hello.node != self._node:
            raise ProtocolError(f"it is to be {hello.node[:100]!r}, and this is {self._node!r}")
        if self._heir is not None:
            raise ProtocolError("another is here")
        return hello.ahead


def _of_our_supervisor(process: int) -> bool:
    """Whether it was started by who has started us."""
    try:
        return psutil.Process(process).ppid() == os.getppid()
    except (psutil.Error, ValueError):
        return False
