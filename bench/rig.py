"""The steps of every scenario: a camera, a server, a crowd of viewers, a steady window, a ``Run``."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import floor
from bench.measure import Meter, memory
from bench.results import SUPPORTING, Result, Run
from bench.servers import Running, Server
from rigs.clip import Clip
from rigs.gst_camera import GstCamera, missing
from rigs.load.crowd import PROFILES, Crowd
from rigs.load.tap import Between, Tap
from rigs.load.viewer import Options

FULL_HD = Clip()
LOW = Clip(width=1280, height=720, bitrate=1_000_000)
MIDDLE = Clip(width=1280, height=720, bitrate=2_000_000)
BIG_KEYFRAMES = Clip(noise=24, buffer=2.0)  # IDR frames of 140 to 260 kB, 200 on average

SETTLE = 2.0  # seconds between the last viewer's first keyframe and the window
JOINS_A_SECOND = 50.0


@dataclass(slots=True)
class Plan:
    """The command line's wishes."""

    result: Result
    server: Server  # the one that the targets are for
    peers: Sequence[Server] = ()
    viewers: int | None = None  # instead of the scenario's own number
    seconds: float = 20.0  # of each steady window
    gro: bool = False
    options: Options = field(default_factory=Options)
    profiles: tuple[str, ...] = PROFILES  # of SRTP, best first
    cache: Path = Path("bench/results/clips")
    transport: str = "tcp"  # of the scenario ingest
    rounds: int = 1  # of the scenarios loads and growth
    sound: bool = False  # of the cameras of loads and growth
    roles: tuple[str, ...] = ()  # of the scenarios rolling and kills, instead of all

    def clip(self, clip: Clip) -> Path:
        """Where the clip is, encoded."""
        return clip.file(self.cache)

    def crowd(self, **changes: Any) -> Crowd:
        """A crowd as asked for; ``changes`` to its options."""
        return Crowd(replace(self.options, **changes), profiles=self.profiles, gro=self.gro)

    def usable(self, servers: Sequence[Server]) -> list[Server]:
        """Return the servers that can be run here; what stands against the others is noted."""
        found = []
        for server in servers:
            problem = server.problem()
            if problem:
                self.result.skipped.append(f"{server.name}: {problem}")
            else:
                found.append(server)
        return found


@dataclass(slots=True)
class Stage:
    """A server that runs, with its crowd."""

    server: Server
    running: Running
    crowd: Crowd
    directory: Path
    cameras: Mapping[str, Sequence[int]]  # processes of the cameras
    idle: Mapping[str, int]  # resident bytes by role before the first viewer
    tap: Tap | None = None  # of the first camera

    async def join(self, count: int, *, a_second: float = JOINS_A_SECOND) -> None:
        """Let viewers join, evenly over the streams, and wait until all have their first keyframe."""
        await self.crowd.spread(self.running.streams, count, a_second=a_second)
        if self.crowd.members:
            await self.crowd.watching()

    async def window(self, label: str, seconds: float, **notes: Any) -> Run:
        """Measure server and viewers for some seconds from now."""
        meter = self.meter()
        self.crowd.begin()
        await asyncio.sleep(seconds)
        return self.run(label, meter, **notes)

    def meter(self) -> Meter:
        """Measures everybody from now on."""
        return Meter({**self.running.pids, **self.cameras, "load": [os.getpid()]})

    def run(self, label: str, meter: Meter, **notes: Any) -> Run:
        """The run that ``meter`` and the crowd have seen since they began."""
        measured, window = meter.read(), self.crowd.end()
        return Run(
            server=self.server.name,
            version=self.server.version(),
            label=label,
            cameras=len(self.running.streams),
            viewers=len(window.viewers),
            measured=measured,
            window=window,
            idle_memory=self.idle,
            commands=self.running.commands,
            notes=notes | ({"failures": sorted(set(window.failures))} if window.failures else {}),
        )


@asynccontextmanager
async def staged(
    server: Server,
    cameras: Sequence[str],
    crowd: Crowd,
    *,
    camera_pids: Sequence[int] = (),
    transport: str = "tcp",
    tapped: bool = False,
) -> AsyncIterator[Stage]:
    """Start ``server`` on cameras, with ``crowd`` before it. ``tapped`` measures delay from the first camera."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        # By TCP it is the camera's threads that say who is served when.
        before = await stack.enter_async_context(Tap(cameras[0])) if tapped and transport == "udp" else None
        running = await stack.enter_async_context(server.started(cameras, directory, transport))
        await asyncio.sleep(SETTLE)  # cameras are pulled, caches filled
        idle = {role: memory(pids) for role, pids in running.pids.items() if role not in SUPPORTING}
        await stack.enter_async_context(crowd)
        tap = await stack.enter_async_context(Tap(cameras[0])) if tapped else None
        crowd.engine.delays.timeline = Between(before, tap) if before and tap else tap
        yield Stage(server, running, crowd, directory, {"camera": list(camera_pids)}, idle, tap)


async def floor_run(plan: Plan, clip: Clip, viewers: int, *, cameras: int = 1, gso: bool = True) -> Run:
    """The floor under the same load: a process for each camera, viewers spread over them evenly."""
    async with AsyncExitStack() as stack:
        crowd = await stack.enter_async_context(plan.crowd())
        pids = []
        for _ in range(cameras):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            audience = floor.invite(crowd, viewers // cameras)
            running = floor.running(audience, plan.clip(clip), clip.fps, directory, gso=gso)
            pids.append(stack.enter_context(running))
        await crowd.watching()
        await asyncio.sleep(SETTLE)
        meter = Meter({"server": pids, "load": [os.getpid()]})
        crowd.begin()
        await asyncio.sleep(plan.seconds)
        label = "UDP_SEGMENT" if gso else "a call a packet"
        return Run("floor", "", label, cameras, viewers, meter.read(), crowd.end())


def camera(plan: Plan, clip: Clip, *, sound: bool = False) -> GstCamera:
    """A GStreamer camera that shows the clip; a context manager. Raises ``RuntimeError`` if there is no GStreamer.

    Without ``sound`` it sends what the floor sends. Opus adds 50 packets a second that each cost a system call.
    """
    if problem := missing():
        raise RuntimeError(problem)
    return GstCamera(plan.clip(clip), clip.fps, audio="opus" if sound else "")
