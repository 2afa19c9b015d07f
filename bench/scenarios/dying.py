"""An ingest dies or stands still: when does another dial its camera? And who is given up while every core is busy?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import aiohttp

from bench.results import Check
from bench.rig import LOW, Plan, camera
from bench.scenarios.replacing import QUICK
from rigs.cable import Cable, cable
from rigs.cluster import Cluster
from rigs.hogs import starved
from rigs.load.players import Page
from rigs.load.watcher import Watcher, watching
from rigs.replacing import nodes_of
from rigs.waiting import until

DIALS = 10.0  # seconds for another ingest to do so, at most
REST = 6.0  # seconds between two deaths: what soon dies again may be its camera's fault
VIEWERS = 4
STARVED = 4.0  # seconds: less than viewers are better off elsewhere after
GIVEN_UP = ('"worker lost"', '"process hangs; killing it"', '"process ended, starting it again"')
BOUNDS = {signal.SIGKILL: 0.3, signal.SIGSTOP: 1.6}  # seconds until it is dialled


async def dying(plan: Plan) -> None:
    """``--rounds`` times each, the ingest that has the camera is killed, or stopped."""
    rounds = plan.rounds if plan.rounds > 1 else 10
    async with AsyncExitStack() as stack:
        source = stack.enter_context(camera(plan, QUICK))
        wire = await stack.enter_async_context(cable(source.url))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        cameras = {"cam0": {"url": wire.url, "transport": "tcp"}}
        running = await stack.enter_async_context(Cluster(directory, cameras, 2, 1))
        watchers = [Watcher(Page(running.websocket, "cam0")) for _ in range(plan.viewers or VIEWERS)]
        await stack.enter_async_context(watching(plan.crowd(), watchers))
        http = await stack.enter_async_context(aiohttp.ClientSession(running.url))
        for number, bound in BOUNDS.items():
            found = [await _death(http, wire, watchers, number) for _ in range(rounds)]
            dialled, dark = ([round(each[index], 2) for each in found] for index in (0, 1))
            name = f"{rounds} times {number.name}"
            text = f"{name}: until the camera is dialled, median {statistics.median(dialled)} s, longest"
            plan.result.checks.append(Check(text, max(dialled), bound, "s"))
            text = f"{name}: without a picture, median {statistics.median(dark)} s, longest"
            plan.result.checks.append(Check(text, max(dark), bound + 0.7, "s"))


async def _death(
    http: aiohttp.ClientSession, wire: Cable, watchers: Sequence[Watcher], number: signal.Signals
) -> tuple[float, float]:
    """Seconds until the camera is dialled again, and the longest without a picture."""
    await asyncio.sleep(REST)
    pid = next(node["pid"] for node in await nodes_of(http, "ingest") if node["cameras"])
    since = time.monotonic()
    os.kill(pid, number)
    await until(lambda: wire.dialled_at >= since, DIALS)
    dialled = wire.dialled_at - since
    await asyncio.sleep(REST)
    with contextlib.suppress(ProcessLookupError):  # it was killed for standing still
        os.kill(pid, signal.SIGCONT)
    return dialled, max(watcher.longest(since) for watcher in watchers)


async def spinning(plan: Plan) -> None:
    """Keep each core busy for ``--seconds``, then starve each egress in turn: is any given up that lives?"""
    async with AsyncExitStack() as stack:
        source = stack.enter_context(camera(plan, LOW))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        cameras = {"cam0": {"url": source.url, "transport": "tcp"}}
        running = await stack.enter_async_context(Cluster(directory, cameras, 2, 2))
        watchers = [Watcher(Page(running.websocket, "cam0")) for _ in range(plan.viewers or VIEWERS)]
        await stack.enter_async_context(watching(plan.crowd(), watchers))
        await asyncio.sleep(REST)
        since, before = time.monotonic(), [running.log.count(each) for each in GIVEN_UP]
        pids = running.pids()
        with _busy_loops():
            await asyncio.sleep(plan.seconds)
        longest = round(max(watcher.longest(since) for watcher in watchers), 2)
        for egress in pids["egress"]:
            with starved(egress):
                await asyncio.sleep(STARVED)
            await asyncio.sleep(REST)
        name = f"{plan.seconds:.0f} s beside a busy loop on each core, and {STARVED:.0f} s without one for each egress"
        for each, count in zip(GIVEN_UP, before, strict=True):
            plan.result.checks.append(Check(f"{name}: {each[1:-1]}", running.log.count(each) - count, 0))
        replaced = sum(running.pids().get(role) != found for role, found in pids.items())
        plan.result.checks.append(Check(f"{name}: roles with another process", replaced, 0))
        plan.result.checks.append(Check("beside a busy loop: longest without a picture", longest, 1.0, "s"))


@contextmanager
def _busy_loops() -> Iterator[None]:
    """One for each core, meanwhile."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
