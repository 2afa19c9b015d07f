"""An egress gives its viewers to its successor, and one of the two is killed in the midst of that, while many watch."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import aiohttp
import psutil

from bench.results import Check
from bench.rig import Plan
from bench.scenarios.replacing import clustered
from rigs.cluster import Cluster
from rigs.load.players import Events, Page, Plain
from rigs.load.watcher import Watcher, watching
from rigs.replacing import nodes_of
from rigs.waiting import until

REST = 6.0  # seconds for all to play again: who is told nothing waits for three
MIDST = 0.3  # seconds, at most, from the moment at which the successor is ready until the kill
READY, TAKEN = '"a successor is ready"', '"sessions taken over"'
BACK = 30.0  # seconds for the next process to be there
VICTIMS = ("nobody", "predecessor", "successor")


async def handing(plan: Plan) -> None:
    """``--rounds`` times each: an egress is told to end, and nobody, it, or its successor is killed just then."""
    count, rounds, chance = plan.viewers or 100, plan.rounds if plan.rounds > 1 else 5, random.Random(3)
    victims = [victim for victim in VICTIMS for _ in range(rounds)]
    chance.shuffle(victims)
    gaps: dict[tuple[str, str], list[float]] = {}
    taken: dict[str, int] = dict.fromkeys(VICTIMS, 0)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(clustered(plan, stack, egress=1))
        kinds = {
            "page players": [Watcher(Page(running.websocket, "cam0")) for _ in range(count // 2)],
            "WHEP with events": [Watcher(Events(running.whep("cam0"))) for _ in range(count // 4)],
            "plain WHEP": [Watcher(Plain(running.whep("cam0"))) for _ in range(count // 4)],
        }
        everybody = [watcher for watchers in kinds.values() for watcher in watchers]
        await stack.enter_async_context(watching(plan.crowd(), everybody))
        http = await stack.enter_async_context(aiohttp.ClientSession(running.url))
        for victim in victims:
            await _all_watch(everybody)
            await asyncio.sleep(2.0)
            since, before = time.monotonic(), running.log.count(TAKEN)
            await _hand_over(http, running, victim, chance.uniform(0, MIDST))
            await asyncio.sleep(REST)
            taken[victim] += running.log.count(TAKEN) > before
            for kind, watchers in kinds.items():
                gaps.setdefault((victim, kind), []).extend(watcher.longest(since) for watcher in watchers)
    for (victim, kind), found in gaps.items():
        bound = 0.1 if victim == "nobody" else 5.0
        name = f"{victim} killed, {taken[victim]} of {rounds} were taken over: {kind}, median {_ms(found)} ms, longest"
        plan.result.checks.append(Check(name, round(max(found), 3), bound, "s"))


async def _hand_over(http: aiohttp.ClientSession, running: Cluster, victim: str, after: float) -> None:
    """Have the egress end, and kill the ``victim`` so many seconds ``after`` its successor was ready."""
    [node] = await nodes_of(http, "egress")
    ready = running.log.count(READY)
    os.kill(node["pid"], signal.SIGTERM)
    await until(lambda: running.log.count(READY) != ready, BACK)
    heir = next((pid for pid in running.pids()["egress"] if pid != node["pid"]), None)
    await asyncio.sleep(after)
    pid = {"predecessor": node["pid"], "successor": heir}.get(victim)
    if pid is not None and psutil.pid_exists(pid):
        os.kill(pid, signal.SIGKILL)


async def _all_watch(watchers: Sequence[Watcher]) -> None:
    await until(lambda: not any(watcher.in_the_dark for watcher in watchers), BACK)


def _ms(seconds: Sequence[float]) -> int:
    return round(statistics.median(seconds) * 1000)
