"""Somebody who watches while something bad goes on beside them: a viewer in a process of its own.

``async with unharmed(running, "front-door"):`` is the whole of it. What the test does inside the block must not cost
that viewer a picture, must kill no process of the cluster, and must leave no process with more memory than it had.
What was seen is printed as a line of a table: ``pytest -n 0 -s TESTS | grep ^@`` shows those of all tests.

The viewer's process is its own, so that an attack made in the test's event loop does not hold up the measurement.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import psutil

from rigs.cluster import Cluster
from rigs.load.crowd import Crowd
from rigs.load.signalling import Whep

GAP = 100.0  # ms without a picture, where nothing else runs …
SHARED_GAP = 300.0  # … and beside other tests, where what the machine costs without any harm comes on top
QUIET = 2.0  # seconds in which that is measured, before the bad things begin
GROWTH = 0.10  # of a process's memory, once all is over
SLACK = 6 << 20  # bytes: allocators keep some of what was used once
PATIENCE = 60.0  # seconds until memory has been given back …
LOOK = 0.2  # … and between looks whether it has
ANSWER = 30.0  # seconds for the viewer's process to say something


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer of the viewer: its view since it was asked last."""

    frames: int
    lost: int  # packets that never came
    gap_ms: float  # longest time without a packet of the picture
    late_ms: float  # longest time for which the viewer's own process was held up


class Bystander:
    """The viewer's process; made by ``watching``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def seen(self) -> Seen:
        """Ask the viewer for its view since the last call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        async with asyncio.timeout(ANSWER):
            line = await self._process.stdout.readline()
        assert line, "the bystander's process ended"
        return Seen(**json.loads(line))


@asynccontextmanager
async def watching(whep: str) -> AsyncIterator[Bystander]:
    """A viewer that has a picture."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rigs.bystander", whep),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    try:
        bystander = Bystander(process)
        await bystander.seen()  # it answers when it has had a keyframe
        yield bystander
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()


@asynccontextmanager
async def unharmed(
    running: Cluster, camera: str, *, memory: bool = True, shared_gap: float = SHARED_GAP
) -> AsyncIterator[set[int]]:
    """While the block runs a viewer of ``camera`` loses nothing; afterwards every process is as it was.

    ``memory=False`` leaves out memory, for a block that leaves something behind on purpose; ``shared_gap`` is the ms
    without a picture that are allowed beside other tests. Yields a set for the ids of processes that the block ends.
    """
    async with watching(running.whep(camera)) as bystander:
        await asyncio.sleep(QUIET)
        quiet = await bystander.seen()
        assert quiet.frames, "the camera gives no picture"
        pids = running.pids()
        if running.transcode is None:  # one that converts ends when nothing has needed it for minutes
            pids.pop("transcode", None)
        before = {pid: size for pid, size in memory_of(running).items() if pid in {*chain(*pids.values())}}
        ended: set[int] = set()
        yield ended
        seen = await bystander.seen()
        print(f"bystander: {seen}; before that {quiet}")
        kept = {role: [pid for pid in each if pid not in ended] for role, each in pids.items()}
        assert lost(kept, running.pids()) == [], "a process was lost"
        assert seen.frames, "no picture came"
        assert seen.lost == 0, "packets were lost"
        shared = "PYTEST_XDIST_WORKER" in os.environ
        allowed = seen.late_ms + (shared_gap + quiet.gap_ms + quiet.late_ms if shared else GAP)
        kept_before = {pid: size for pid, size in before.items() if pid not in ended}
        grown = await given_back(running, kept_before) if memory else "-"
        print(f"@ {_test()} | {seen.gap_ms:.0f} | {quiet.gap_ms:.0f} | {seen.late_ms:.0f} | {grown}", flush=True)
        assert seen.gap_ms <= allowed, f"{seen.gap_ms} ms without a picture, {allowed} allowed"


def lost(before: Mapping[str, Sequence[int]], now: Mapping[str, Sequence[int]]) -> list[str]:
    """The processes that are gone, by role; another may have begun, as one that converts does when it is needed."""
    return [f"{role} {pid}" for role, pids in before.items() for pid in pids if pid not in now.get(role, ())]


def memory_of(running: Cluster) -> dict[int, int]:
    """Resident bytes of each process, by its id."""
    return {pid: psutil.Process(pid).memory_info().rss for pids in running.pids().values() for pid in pids}


async def given_back(running: Cluster, before: Mapping[int, int]) -> str:
    """Wait until none of these processes has more memory than it may keep; the one that has grown most, in words.

    ``before`` is what ``memory_of`` said. Raises ``AssertionError``.
    """
    roles = {pid: role for role, pids in running.pids().items() for pid in pids}
    for _ in range(int(PATIENCE / LOOK)):
        now = memory_of(running)
        if all(now[pid] <= size * (1 + GROWTH) + SLACK for pid, size in before.items()):
            most = max(before, key=lambda pid: now[pid] / before[pid])
            return f"{roles[most]} {before[most] / 1e6:.0f} -> {now[most] / 1e6:.0f} MB"
        await asyncio.sleep(LOOK)
    grown = {f"{roles[pid]} {pid}": (f"{size >> 20} MB", f"{now[pid] >> 20} MB") for pid, size in before.items()}
    raise AssertionError(f"memory was not given back: {grown}")


def _test() -> str:
    """The test that runs."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("/")[2].removesuffix(" (call)")


async def _watch(whep: str) -> None:
    async with Crowd() as crowd:
        assert await crowd.join(Whep(whep)), crowd.end().failures
        await crowd.watching()
        while await asyncio.to_thread(sys.stdin.readline):
            window = crowd.end()
            crowd.begin()
            viewer = window.viewers[0]
            seen = {"frames": viewer.frames, "lost": viewer.lost, "gap_ms": viewer.gap_ms, "late_ms": window.late_ms}
            print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    asyncio.run(_watch(sys.argv[1]))
