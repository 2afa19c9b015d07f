"""A crowd of viewers: joins and leaves at a pace, and reports about windows of time."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp

from rigs.load.delays import Timeline
from rigs.load.dtls import Identity, Keys
from rigs.load.engine import ConnectError, Engine
from rigs.load.report import ViewerCounts, Window, milliseconds
from rigs.load.signalling import TIMEOUT, Signalling
from rigs.load.viewer import Options, State, Viewer

MAX_JOINING = 64  # viewers in signalling at once; more would only measure their own queue
PROFILES = ("SRTP_AEAD_AES_128_GCM", "SRTP_AEAD_AES_256_GCM", "SRTP_AES128_CM_SHA1_80")


class Crowd:
    """An async context manager; at its end everybody leaves politely.

    ``profiles``: SRTP protection profiles that viewers offer or choose from, best first.
    """

    def __init__(
        self,
        options: Options = Options(),  # noqa: B008  # frozen
        *,
        profiles: tuple[str, ...] = PROFILES,
        gro: bool = True,
        timeline: Timeline | None = None,
    ) -> None:
        self._options, self._profiles, self._gro, self._timeline = options, profiles, gro, timeline
        self._members: dict[Viewer, tuple[Signalling, str] | None] = {}  # None: nobody to tell at the end
        self._numbers = 0
        self._failures: list[str] = []
        self._before: dict[int, ViewerCounts] = {}
        self._began = 0.0
        self._cpu = os.times()

    async def __aenter__(self) -> Self:
        _raise_descriptor_limit()
        self.engine = Engine(Identity(self._profiles), self._options, gro=self._gro)
        self.engine.delays.timeline = self._timeline
        self._http = aiohttp.ClientSession(
            timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=MAX_JOINING, ssl=False)
        )
        self._seats = asyncio.Semaphore(MAX_JOINING)
        self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.leave(list(self._members))
        self.engine.close()
        await self._http.close()

    @property
    def members(self) -> list[Viewer]:
        """Everybody who has joined and not left, in order of joining."""
        return list(self._members)

    def session_of(self, viewer: Viewer) -> str:
        """The name by which its way knows its session; empty where there is none."""
        membership = self._members.get(viewer)
        return membership[1] if membership is not None else ""

    async def join(self, way: Signalling, count: int = 1, *, a_second: float | None = None) -> list[Viewer]:
        """Let ``count`` viewers join, all at once or so many a second; returns those who made it, when all are done."""
        local = way.local_address()
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for index in range(count):
                if a_second is not None:
                    await asyncio.sleep(start + index / a_second - time.monotonic())
                tasks.append(group.create_task(self._join(way, local)))
        return [viewer for task in tasks if (viewer := task.result()) is not None]

    async def spread(self, ways: Sequence[Signalling], count: int, *, a_second: float) -> None:
        """Let ``count`` viewers join, evenly over several ways, so many a second in all."""
        async with asyncio.TaskGroup() as group:
            for index, way in enumerate(ways):
                share = count // len(ways) + (index < count % len(ways))
                group.create_task(self.join(way, share, a_second=a_second / len(ways)))

    def adopt(self, keys: Keys, types: dict[int, tuple[str, str, int]], count: int, local: str) -> list[int]:
        """Open ``count`` viewers for somebody who sends with ``keys`` without being asked; returns their ports."""
        ports = []
        for _ in range(count):
            self._numbers += 1
            viewer = self.engine.open(self._numbers, local, controlling=True)
            viewer.receive_keys(keys, types, time.monotonic())
            self.engine.watch(viewer)
            self._members[viewer] = None
            ports.append(viewer.socket.getsockname()[1])
        return ports

    async def leave(self, viewers: Sequence[Viewer]) -> None:
        """Hang up and end the sessions at the server."""
        async with asyncio.TaskGroup() as group:
            for viewer in viewers:
                self.engine.hang_up(viewer)
                membership = self._members.pop(viewer)
                if membership is not None:
                    way, session = membership
                    group.create_task(way.leave(self._http, session))

    def vanish(self, viewers: Sequence[Viewer]) -> None:
        """Close the viewers' sockets; no word to the server."""
        for viewer in viewers:
            self.engine.vanish(viewer)
            del self._members[viewer]

    def deafen(self, viewers: Sequence[Viewer]) -> None:
        """Keep the viewers' sockets, but neither read nor answer: their consent will expire."""
        for viewer in viewers:
            self.engine.deafen(viewer)

    def begin(self) -> None:
        """Begin a window now."""
        self.engine.restart_counting()
        self._before = {viewer.number: ViewerCounts.of(viewer) for viewer in self._members}
        self._failures.clear()
        self._began, self._cpu = time.monotonic(), os.times()

    def end(self) -> Window:
        """The window that ``begin`` began; it goes on, and ``end`` can be called again."""
        counts = []
        for viewer in self._members:
            now, before = ViewerCounts.of(viewer), self._before.get(viewer.number)
            counts.append(now.since(before) if before is not None else now)
        cpu = os.times()
        members = list(self._members)
        return Window(
            seconds=time.monotonic() - self._began,
            viewers=counts,
            delay_ms=milliseconds(self.engine.delays.seconds),
            capture_ms=milliseconds([delay for viewer in members for delay in viewer.feedback.capture_delays]),
            round_trip_ms=milliseconds([trip for viewer in members for trip in viewer.agent.round_trips]),
            load_user=cpu.user - self._cpu.user,
            load_system=cpu.system - self._cpu.system,
            late_ms=self.engine.late * 1000,
            failures=list(self._failures),
        )

    async def watching(self, *, seconds: float = 15.0) -> None:
        """Wait until every connected viewer has had a keyframe. Raises ``TimeoutError``."""
        async with asyncio.timeout(seconds):
            # Looked for rather than signalled: a signal would have to come from where packets are counted.
            while any(v.state is State.CONNECTED and not v.first_keyframe_at for v in self._members):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _join(self, way: Signalling, local: str) -> Viewer | None:
        async with self._seats:
            self._numbers += 1
            viewer = self.engine.open(self._numbers, local, controlling=way.controlling)
            try:
                session = await way.join(self._http, self.engine, viewer)
            except ConnectError as exc:
                self._failures.append(str(exc))
                self.engine.vanish(viewer)
                return None
        self._members[viewer] = (way, session)
        return viewer


def _raise_descriptor_limit() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
