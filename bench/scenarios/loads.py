"""Many cameras with few viewers of each, as most people have them: CPU and memory of the whole server.

A picture is the unit here: every server takes each of them from a socket, and sends it to those who watch. Memory is
PSS: a page that several processes share counts once, in parts.

The servers take turns at each load, ``--rounds`` times, because one machine's minutes differ more than servers do; a
table's number is the median of its rounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan
from statistics import median

from bench.measure import proportional
from bench.results import SUPPORTING, Check, Run
from bench.rig import FULL_HD, MIDDLE, SETTLE, Plan, staged
from bench.servers import Server
from camshaft.demo_camera.settings import Audio
from rigs import farm
from rigs.clip import Clip

JOINS_A_SECOND = 25.0  # a hundred handshakes at once would be a load of their own
PATIENCE = 60.0  # seconds for all of them to see a keyframe
PULLED = 4.0  # seconds until every camera has sent a keyframe, all caches are filled and starting is over


@dataclass(frozen=True, slots=True)
class Load:
    """A number of cameras of one kind, with a number of viewers before each."""

    cameras: int
    each: int
    clip: Clip
    memory: float | None = None  # MB of PSS that are wanted at most

    @property
    def label(self) -> str:
        """The load's name in tables."""
        rate = self.clip.bitrate // 1_000_000
        return f"{self.cameras} x {rate} Mb/s, {self.each} viewer{'s' * (self.each != 1)} each"


LOADS = (
    Load(1, 1, FULL_HD, 100),
    Load(8, 1, FULL_HD, 130),
    Load(100, 0, MIDDLE),
    Load(100, 1, MIDDLE, 350),
)
GROWTH = (Load(10, 1, MIDDLE), Load(50, 1, MIDDLE), Load(100, 1, MIDDLE), Load(200, 1, MIDDLE))
FLAT = 15  # % that a picture's cost may be away from the median of these


async def loads(plan: Plan) -> None:
    """Measure each load, with ours and the peers in turn."""
    servers = plan.usable([plan.server, *plan.peers])
    for load in LOADS:
        runs = await _rounds(plan, servers, load)
        ours = _of(runs, plan.server.name)
        for peer in plan.peers:
            if not load.each and peer.name == "go2rtc":
                continue  # it pulls nothing while nobody watches
            if (theirs := _of(runs, peer.name)) and ours:
                ratio = _cores(ours) / (_cores(theirs) or nan)
                plan.result.checks.append(Check(f"{load.label}: CPU against {peer.name}", ratio, 1.0, "x"))
        if ours and load.memory is not None:
            size = median(run.notes["pss_mb"] for run in ours)
            plan.result.checks.append(Check(f"{load.label}: PSS of all processes", size, load.memory, "MB"))


async def growth(plan: Plan) -> None:
    """Hold a picture's cost to be flat, from 10 to 200 cameras with a viewer each."""
    costs = {}
    for load in GROWTH:
        for server in plan.usable([plan.server]):
            runs = await _rounds(plan, [server], load)
            costs[load.label] = median(run.notes["us_a_picture"] for run in runs)
    if costs:
        middle = median(costs.values())
        for label, cost in costs.items():
            off = abs(cost / middle - 1) * 100
            plan.result.checks.append(Check(f"{label}: a picture's cost against the median", off, FLAT, "%"))


async def _rounds(plan: Plan, servers: Sequence[Server], load: Load) -> list[Run]:
    runs, audio = [], Audio.OPUS if plan.sound else Audio.NONE
    for _ in range(plan.rounds):
        for server in servers:
            with farm.running(plan.clip(load.clip), load.clip.fps, load.cameras, audio) as (cameras, pid):
                runs.append(await _loaded(plan, server, load, cameras, pid))
            plan.result.runs.append(runs[-1])
    return runs


async def _loaded(plan: Plan, server: Server, load: Load, cameras: Sequence[str], pid: int) -> Run:
    """One server under one load, in a steady window."""
    async with staged(server, cameras, plan.crowd(), camera_pids=[pid]) as stage:
        await stage.crowd.spread(stage.running.streams, load.cameras * load.each, a_second=JOINS_A_SECOND)
        await stage.crowd.watching(seconds=PATIENCE)
        await asyncio.sleep(max(PULLED, SETTLE))
        run = await stage.window(load.label, plan.seconds)
        pids = [member for role, members in stage.running.pids.items() if role not in SUPPORTING for member in members]
        size = proportional(pids)
    pictures = load.clip.fps * load.cameras * run.measured.seconds
    roles = {role: usage for role, usage in run.measured.roles.items() if role not in SUPPORTING}
    costs = {f"us_{role}": round(usage.cpu / pictures * 1e6, 1) for role, usage in roles.items()}
    notes = {
        "core_percent": round(run.cores * 100, 1),
        "us_a_picture": round(run.server_usage.cpu / pictures * 1e6, 1),
        **(costs if len(costs) > 1 else {}),
        "pss_mb": round(size / 1e6, 1),
    }
    return replace(run, notes={**run.notes, **notes})


def _of(runs: Sequence[Run], name: str) -> list[Run]:
    return [run for run in runs if run.server == name]


def _cores(runs: Sequence[Run]) -> float:
    return median(run.cores for run in runs)
