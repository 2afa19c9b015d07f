"""Viewers that never give up, as players are, and the times for which they saw nothing.

A watcher makes a new session when it is told that its session is over, and when no picture has come for ``PATIENCE``.
Where it is told in advance it makes the new one first, and leaves the old one when that has pictures. What counts is
the time between one packet of the picture and the next, whichever session these come by, as the kernel saw them come: a
load that is busy with a new session is late to look, and no picture is.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from rigs.load.crowd import Crowd
from rigs.load.players import Player
from rigs.load.viewer import Viewer

DARK = 0.5  # seconds without a packet of the picture from which a watcher counts as in the dark
PATIENCE = 3.0  # seconds without one after which it makes a new session
LOOK = 0.02  # seconds between two looks
START_TIMEOUT = 60.0  # seconds for the first sessions of all
SETTLED_NS = 300_000_000  # since a packet came by one session, after which those of all others are read, too
OVERLAP = 0.3  # seconds that a new session has had pictures for when the old one is left: it has caught up


@dataclass(slots=True)
class Watcher:
    """One viewer. Times are monotonic seconds."""

    way: Player
    sessions: int = 0
    renewals: int = 0  # sessions that were made in the place of one that went on meanwhile
    gaps: list[tuple[float, float]] = field(default_factory=list)  # from, to; those that are longer than two looks
    seen: float = field(default_factory=time.monotonic)  # when the last packet of the picture had come
    viewers: list[Viewer] = field(default_factory=list)
    lost: int = 0  # packets, of sessions that are over
    _came: list[int] = field(default_factory=list)  # Unix nanoseconds of packets, of which gaps are not known yet
    _last: int = 0  # of the last one before these

    @property
    def in_the_dark(self) -> bool:
        """Whether it sees nothing now."""
        return time.monotonic() - self.seen > DARK

    def look(self, now: float, unix: float) -> None:
        """See whether a picture has come."""
        newest = max((s.last_ns for v in self.viewers for s in v.streams.values() if s.kind == "video"), default=0)
        if newest:
            self.seen = max(self.seen, now - unix + newest / 1e9)
        for viewer in self.viewers:
            self._collect(viewer)
        self._came.sort()
        settled = bisect_right(self._came, unix * 1e9 - SETTLED_NS)
        for came in self._came[:settled]:
            if self._last and came - self._last > 2 * LOOK * 1e9:
                self.gaps.append((now - unix + self._last / 1e9, now - unix + came / 1e9))
            self._last = max(self._last, came)
        del self._came[:settled]

    def _collect(self, viewer: Viewer) -> None:
        for stream in viewer.streams.values():
            if stream.kind == "video":
                self._came += stream.arrivals
            stream.arrivals.clear()

    async def run(self, crowd: Crowd, http: aiohttp.ClientSession) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.way.listen(http))
            while True:
                if viewer := await self._join(crowd):
                    await self._watch(crowd, viewer)
                await asyncio.sleep(LOOK)

    def longest(self, since: float) -> float:
        """Seconds of the longest time without a picture that ended after ``since``, or goes on."""
        ended = max((end - start for start, end in self.gaps if end > since), default=0.0)
        return max(ended, time.monotonic() - self.seen)

    def share(self, since: float, until: float) -> float:
        """Part of a time for which it was in the dark."""
        dark = [(start, end) for start, end in self.gaps if end - start > DARK]
        return sum(max(0.0, min(e, until) - max(s, since)) for s, e in dark) / (until - since)

    async def _join(self, crowd: Crowd) -> Viewer | None:
        for viewer in await crowd.join(self.way):
            self.sessions += 1
            self.viewers.append(viewer)
            return viewer
        return None

    async def _leave(self, crowd: Crowd, viewer: Viewer) -> None:
        self.viewers.remove(viewer)
        self._collect(viewer)
        self.lost += sum(stream.lost for stream in viewer.streams.values() if stream.kind == "video")
        await crowd.leave([viewer])

    async def _watch(self, crowd: Crowd, viewer: Viewer) -> None:
        """Until it is over, or nothing has come for ``PATIENCE``."""
        began = time.monotonic()
        session = crowd.session_of(viewer)
        while time.monotonic() - max(self.seen, began) < PATIENCE and session not in self.way.told.over:
            await asyncio.sleep(LOOK)
            if session in self.way.told.renew:
                self.way.told.renew.discard(session)
                if (following := await self._join(crowd)) is None:
                    continue
                until = time.monotonic() + PATIENCE
                while not following.first_keyframe_at and time.monotonic() < until:  # noqa: ASYNC110 - as in Crowd
                    await asyncio.sleep(LOOK)
                await asyncio.sleep(OVERLAP)
                self.renewals += 1
                await self._leave(crowd, viewer)
                viewer, session, began = following, crowd.session_of(following), time.monotonic()
        await self._leave(crowd, viewer)


@asynccontextmanager
async def watching(crowd: Crowd, watchers: Sequence[Watcher]) -> AsyncIterator[None]:
    """Have them all watch meanwhile; entered when each has had a session. Raises ``TimeoutError``."""
    connections = aiohttp.TCPConnector(limit=0)
    async with crowd, aiohttp.ClientSession(connector=connections) as http, asyncio.TaskGroup() as group:
        tasks = [group.create_task(watcher.run(crowd, http)) for watcher in watchers]
        tasks.append(group.create_task(_look(watchers)))
        async with asyncio.timeout(START_TIMEOUT):
            while not all(watcher.sessions for watcher in watchers):  # noqa: ASYNC110 - as in Crowd
                await asyncio.sleep(LOOK)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _look(watchers: Sequence[Watcher]) -> None:
    while True:
        now, unix = time.monotonic(), time.time()
        for watcher in watchers:
            watcher.look(now, unix)
        await asyncio.sleep(LOOK)
