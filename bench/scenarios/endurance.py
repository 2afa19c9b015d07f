"""Endurance: one fault after the other while viewers watch (``chaos``), and long coming and going (``soak``).

A watcher behaves as the page's player does (``rigs.load.watcher``). What counts is how long it was in the dark.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import aiohttp
import psutil

from bench import faults
from bench.results import Check
from bench.rig import LOW, Plan, camera
from rigs.cable import Cable, cable
from rigs.cluster import Cluster
from rigs.load.crowd import Crowd
from rigs.load.players import Page
from rigs.load.signalling import Whep
from rigs.load.viewer import Viewer
from rigs.load.watcher import Watcher, watching

REST = 8.0  # seconds between two faults, for all to play again
KILL_INTERVAL, KILLING = 3.5, 60.0  # seconds between kills of random processes, and for how long
JOINS_A_SECOND, CAMERAS_A_SECOND = 5.0, 1.0  # of the soak
STAY = 4.0  # seconds that a viewer of the soak stays
SAMPLE = 1.0  # seconds between samples of the processes


@asynccontextmanager
async def _watched(plan: Plan, stack: AsyncExitStack) -> AsyncIterator[tuple[Cluster, Cable, list[Watcher]]]:
    """A cluster of two workers a kind with one camera behind a cable, and watchers before it."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    source = stack.enter_context(camera(plan, LOW))
    wire = await stack.enter_async_context(cable(source.url))
    stack.enter_context(faults.movable_clock(directory))
    store = stack.enter_context(faults.small_disk(directory))
    config = {"store": {"path": str(store / "camshaft.db")}, "broker": {"relay": "apart"}}  # so that it can be killed
    running = Cluster(directory, {"cam0": {"url": wire.url, "transport": "tcp"}}, 2, 2, config)
    await stack.enter_async_context(running)
    watchers = [Watcher(Page(running.websocket, "cam0")) for _ in range(plan.viewers or 4)]
    async with watching(plan.crowd(), watchers):
        yield running, wire, watchers


async def chaos(plan: Plan) -> None:
    """Cause every fault in turn, then kill for a time: how long are watchers in the dark?"""
    checks = plan.result.checks
    async with AsyncExitStack() as stack, _watched(plan, stack) as (running, wire, watchers):
        await asyncio.sleep(REST)
        for fault in faults.each(running, wire):
            began = time.monotonic()
            problem = await fault.happen()
            if problem:
                plan.result.skipped.append(f"{fault.name}: {problem}")
                continue
            await asyncio.sleep(REST)
            longest = max(watcher.longest(began) for watcher in watchers)
            checks.append(Check(f"{fault.name}: longest time in the dark", longest, fault.bound, "s"))
            checks.append(Check(f"{fault.name}: watchers left there", sum(w.in_the_dark for w in watchers), 0))
        await _killing(plan, running, watchers, KILLING)


async def killing(plan: Plan) -> None:
    """Kill a random process every few seconds, for ``--seconds``, a minute at least."""
    async with AsyncExitStack() as stack, _watched(plan, stack) as (running, _wire, watchers):
        await asyncio.sleep(REST)
        await _killing(plan, running, watchers, max(KILLING, plan.seconds))


async def _killing(plan: Plan, running: Cluster, watchers: Sequence[Watcher], seconds: float) -> None:
    chance, checks = random.Random(1), plan.result.checks
    kills: list[tuple[str, float]] = []
    since = time.monotonic()
    while time.monotonic() - since < seconds:
        victim = faults.victim(running, chance)
        kills.append((victim[0], time.monotonic()))
        running.kill(*victim)
        await asyncio.sleep(KILL_INTERVAL)
    await asyncio.sleep(REST)
    until, name = time.monotonic(), f"a kill every {KILL_INTERVAL} s"
    share = statistics.mean(watcher.share(since, until) for watcher in watchers)
    checks.append(Check(f"{name}: share of the time in the dark", share * 100, 10, "%"))
    checks.append(Check(f"{name}: longest time in the dark", max(w.longest(since) for w in watchers), 5.0, "s"))
    spans = [(role, at, after) for (role, at), (_, after) in pairwise([*kills, ("", until)])]
    for role in sorted({role for role, *_ in spans}):
        dark = [
            watcher.share(at, after) * (after - at) for each, at, after in spans for watcher in watchers if each == role
        ]
        label = f"{name}: in the dark after one of {role} ({len(dark) // len(watchers)} times)"
        checks.append(Check(label, round(statistics.mean(dark), 2), 1.0, "s"))


async def soak(plan: Plan) -> None:
    """Viewers and cameras come and go for ``--seconds``: by how much do processes grow in an hour?"""
    async with AsyncExitStack() as stack, _watched(plan, stack) as (running, wire, watchers):
        await asyncio.sleep(REST)
        since = time.monotonic()
        crowd = await stack.enter_async_context(plan.crowd())
        http = await stack.enter_async_context(aiohttp.ClientSession())
        samples: list[Sample] = []
        async with asyncio.TaskGroup() as group:
            churn = [
                group.create_task(_come_and_go(crowd, Whep(running.whep("cam0")))),
                group.create_task(_change_cameras(http, running, wire.url)),
            ]
            while time.monotonic() - since < plan.seconds:
                samples.append(await Sample.taken(http, running, time.monotonic() - since))
                await asyncio.sleep(SAMPLE)
            for task in churn:
                task.cancel()
        longest = max(watcher.longest(since) for watcher in watchers)
    plan.result.checks.append(Check("longest time in the dark", longest, 0.0, "s"))
    settled = samples[len(samples) // 2 :]  # what is filled once is full by then
    for name in settled[-1].values:
        points = [(sample.at, sample.values[name]) for sample in settled if name in sample.values]
        if len(points) > 2:
            slope = statistics.linear_regression(*zip(*points, strict=True)).slope * 3_600
            limit, unit = next((limit, unit) for end, limit, unit in GROWTH if name.endswith(end))
            plan.result.checks.append(Check(f"{name}, growth in an hour", slope, limit, unit))


GROWTH = (("memory", 4.0, "MB"), ("descriptors", 4.0, ""), ("threads", 1.0, ""), ("sessions", 20.0, ""))


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory, descriptors and threads of each process at one moment, by name."""

    at: float  # seconds since the start
    values: dict[str, float]

    @classmethod
    async def taken(cls, http: aiohttp.ClientSession, running: Cluster, at: float) -> Sample:
        """Look at all processes, and ask for the number of sessions."""
        values: dict[str, float] = {}
        for role, pids in running.pids().items():
            for index, pid in enumerate(sorted(pids)):
                process = psutil.Process(pid)
                values[f"{role} {index} memory"] = process.memory_info().rss / 1e6
                values[f"{role} {index} descriptors"] = process.num_fds()
                values[f"{role} {index} threads"] = process.num_threads()
        async with http.get(f"{running.url}/api/viewers") as response:
            values["sessions"] = len(await response.json())
        return cls(at, values)


async def _come_and_go(crowd: Crowd, way: Whep) -> None:
    """Viewers join at a pace, and each leaves a while later: every second one without a word."""
    members: list[Viewer] = []
    for count in itertools.count():
        members += await crowd.join(way)
        if len(members) > JOINS_A_SECOND * STAY:
            oldest = [members.pop(0)]
            if count % 2:
                crowd.vanish(oldest)
            else:
                await crowd.leave(oldest)
        await asyncio.sleep(1 / JOINS_A_SECOND)


async def _change_cameras(http: aiohttp.ClientSession, running: Cluster, url: str) -> None:
    """A camera is added, and the one before it removed, at a pace."""
    for count in itertools.count():
        async with http.post(f"{running.url}/api/cameras", json={"id": f"churn{count}", "url": url}):
            await asyncio.sleep(1 / CAMERAS_A_SECOND)
        async with http.delete(f"{running.url}/api/cameras/churn{count}"):
            pass
