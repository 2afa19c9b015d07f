"""Processes that are replaced or killed, again and again, while viewers of every kind watch."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path

import aiohttp

from bench.results import Check
from bench.rig import LOW, Plan, camera
from rigs import chromium as chromium_rig
from rigs import farm
from rigs.chromium import chromium
from rigs.clip import Clip
from rigs.cluster import Cluster
from rigs.command import Command
from rigs.load.players import Events, Page, Plain
from rigs.load.watcher import LOOK, Watcher, watching
from rigs.replacing import nodes_of, replaced
from rigs.waiting import until

DRAIN = 4.0  # seconds of drain.timeout
REST = 2.0  # seconds between two steps
BACK = 30.0  # seconds for a process to be there again
STEADY = 4.0  # seconds of pictures between two kills under a browser
CAMERAS, HOSTS = 100, 20
QUICK = Clip(width=320, height=240, bitrate=400_000, seconds=4, gop=6)  # whose keyframes are no part of the wait
ROLES = ("ingest", "egress", "broker")
KILLED = (*ROLES, "relay", "nursery")  # those that nothing replaces in good order as well


@asynccontextmanager
async def clustered(plan: Plan, stack: AsyncExitStack, egress: int = 2) -> AsyncIterator[Cluster]:
    """A cluster of two ingests and so many egresses, with one camera."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    source = stack.enter_context(camera(plan, LOW))
    config: Mapping[str, Mapping[str, object]] = {
        "drain": {"timeout": DRAIN},
        "broker": {"relay": "apart"},
    }  # to be killed
    async with Cluster(directory, {"cam0": {"url": source.url, "transport": "tcp"}}, 2, egress, config) as running:
        yield running


async def rolling(plan: Plan) -> None:
    """Tell each process of each role to end, ``--rounds`` times in all for a role: what do viewers miss?"""
    count, rounds = plan.viewers or 100, plan.rounds if plan.rounds > 1 else 20
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(clustered(plan, stack))
        pages = [Watcher(Page(running.websocket, "cam0")) for _ in range(count // 2)]
        events = [Watcher(Events(running.whep("cam0"))) for _ in range(count // 4)]
        plain = [Watcher(Plain(running.whep("cam0"))) for _ in range(count // 4)]
        kinds = {"page players": pages, "WHEP with events": events, "plain WHEP": plain}
        everybody = [*pages, *events, *plain]
        await stack.enter_async_context(watching(plan.crowd(), everybody))
        async with aiohttp.ClientSession(running.url) as http:
            for role in [role for role in plan.roles or ROLES if role in ROLES]:
                await asyncio.sleep(2 * REST)
                since, lost = time.monotonic(), {kind: _lost(watchers) for kind, watchers in kinds.items()}
                played = [await replaced(http, running, role, number, plain) for number in range(rounds)]
                name = f"{rounds} times {role}"
                for kind, watchers in kinds.items():
                    longest = max((watcher.longest(since) for watcher in watchers), default=0.0) * 1000
                    plan.result.checks.append(Check(f"{name}: longest gap, {kind}", round(longest), 100.0, "ms"))
                    missing = _lost(watchers) - lost[kind]
                    plan.result.checks.append(Check(f"{name}: packets lost, {kind}", missing, 0))
                if role == "egress":  # each has its successor beside it
                    cut = sum(seconds is not None for seconds in played)
                    plan.result.checks.append(Check("times that a plain player was cut", cut, 0))
        anew = sum(watcher.sessions - 1 for watcher in everybody)
        plan.result.checks.append(Check("sessions that were made anew", anew, 0))


def _lost(watchers: Sequence[Watcher]) -> int:
    now = (s.lost for w in watchers for v in w.viewers for s in v.streams.values() if s.kind == "video")
    return sum(watcher.lost for watcher in watchers) + sum(now)


async def kills(plan: Plan) -> None:
    """Processes are killed at random, ``--rounds`` times each role, under a page in Chromium."""
    if problem := chromium_rig.missing():
        plan.result.skipped.append(problem)
        return
    chance, rounds = random.Random(2), plan.rounds if plan.rounds > 1 else 20
    roles = plan.roles or KILLED
    victims = [role for role in roles for _ in range(rounds)]
    chance.shuffle(victims)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(clustered(plan, stack))
        browser = await stack.enter_async_context(chromium())
        viewing = await browser.open(f"{running.url}/watch/cam0")
        await viewing.shows(60, seconds=30)
        gaps: dict[str, list[float]] = {role: [] for role in roles}
        for role in victims:
            pids = running.pids()[role]
            began = time.time() * 1000
            os.kill(chance.choice(pids), signal.SIGKILL)
            await asyncio.sleep(STEADY)
            await viewing.shows(10, seconds=30)
            shown = [began, *sorted(frame.shown for frame in await viewing.frames() if frame.shown > began)]
            gaps[role].append(max(after - before for before, after in pairwise(shown)) / 1000)
        reloads = await viewing.page.evaluate("performance.getEntriesByType('navigation').length") - 1
    everything = [gap for of_role in gaps.values() for gap in of_role]
    checks = plan.result.checks
    checks.append(Check("page loaded anew", reloads, 0))
    name = f"{len(everything)} kills"
    checks.append(Check(f"{name}: median without a picture", _round(statistics.median(everything)), 1, "s"))
    checks.append(Check(f"{name}: longest", _round(max(everything)), 3, "s"))
    for role, found in gaps.items():
        label = f"{role}: median {_round(statistics.median(found))} s, longest"
        checks.append(Check(label, _round(max(found)), 3, "s"))


async def takeover(plan: Plan) -> None:
    """Have another ingest take over a hundred watched cameras of twenty hosts: when is the last picture back?"""
    with farm.running(plan.clip(QUICK), QUICK.fps, HOSTS) as (urls, _pid):
        cameras = {f"c{number}": f"{urls[number % HOSTS]}{number}" for number in range(CAMERAS)}
        async with AsyncExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            running = await stack.enter_async_context(Cluster(directory, cameras, 1, 2))
            watchers = [Watcher(Plain(running.whep(name))) for name in cameras]
            await stack.enter_async_context(watching(plan.crowd(), watchers))
            http = await stack.enter_async_context(aiohttp.ClientSession(running.url))
            await until(lambda: not any(watcher.in_the_dark for watcher in watchers), 2 * BACK)
            await asyncio.sleep(STEADY)
            (directory / "beside").mkdir()
            environ = {"CAMSHAFT_BROKER_ADDRESS": running.bus, "CAMSHAFT_NODE": "survivor"}
            stack.enter_context(Command(directory / "beside", "ingest", environ=environ))
            async with asyncio.timeout(BACK):
                while len(nodes := await nodes_of(http, "ingest")) < 2:  # noqa: ASYNC110 - HTTP has no event to wait for
                    await asyncio.sleep(LOOK)
            await asyncio.sleep(REST)  # and not so long that it takes its share
            first = next(node for node in nodes if node["node"] != "survivor")
            assert len(first["cameras"]) == CAMERAS, "it was to have them all"
            killed = time.monotonic()
            os.kill(first["pid"], signal.SIGKILL)
            await asyncio.sleep(2 * STEADY)
            found = await nodes_of(http, "ingest")
            taken = next(len(node["cameras"]) for node in found if node["node"] == "survivor")
            # Each one's longest time without a picture since then: there are others on a machine that is busy.
            backs = [
                max(((end - start, end) for start, end in watcher.gaps if end > killed), default=(0.0, killed))[1]
                for watcher in watchers
            ]
            seen = _lost_at(running.log) - time.time() + time.monotonic()
    checks = plan.result.checks
    checks.append(Check("seconds from the kill until it is seen", _round(seen - killed), 0.3, "s"))
    checks.append(Check("… until the last picture is back", _round(max(backs) - seen), 1.2, "s"))
    checks.append(Check("… until half of them are", _round(statistics.median(backs) - seen), 1.2, "s"))
    checks.append(Check("cameras that the survivor has", taken, CAMERAS, at_least=True))


def _lost_at(log: str) -> float:
    """Unix time of the first line that says that a worker is lost."""
    line = next(line for line in log.splitlines() if '"worker lost"' in line)
    return datetime.datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()


def _round(seconds: float) -> float:
    return round(seconds, 2)
