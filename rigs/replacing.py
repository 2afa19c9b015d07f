"""One process of a running cluster after the other, told to end and waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import aiohttp

from rigs.cluster import Cluster
from rigs.load.watcher import Watcher

BACK = 60.0  # seconds for a process to be there again, its time to drain included


async def replaced(
    http: aiohttp.ClientSession,
    running: Cluster,
    role: str,
    number: int,
    plain: Sequence[Watcher],
    *,
    rest: float = 2.0,
) -> float | None:
    """Tell a process of the role to end; ``rest`` seconds after it is back: for how long ``plain`` ones played."""
    nodes = await nodes_of(http, role)
    node = nodes[number % len(nodes)]
    told = time.monotonic()
    os.kill(node["pid"], signal.SIGTERM)
    deadline = told + BACK
    while not await _is_back(http, role, node):
        assert time.monotonic() < deadline, f"{node['node']} is not back:\n{running.log[-2000:]}"
        await asyncio.sleep(0.1)
    await asyncio.sleep(rest)
    cut = [start for watcher in plain for start, end in watcher.gaps if start > told and end - start > 1.0]
    cut += [watcher.seen for watcher in plain if watcher.in_the_dark and watcher.seen > told]
    return min(cut) - told if cut else None


async def nodes_of(http: aiohttp.ClientSession, role: str) -> list[dict[str, Any]]:
    """The living processes of a role, by name, as the API has them."""
    async with http.get("/api/nodes") as response:
        nodes: list[dict[str, Any]] = await response.json()
    return sorted((n for n in nodes if n["role"] == role and n["alive"]), key=lambda node: str(node["node"]))


async def _is_back(http: aiohttp.ClientSession, role: str, before: dict[str, Any]) -> bool:
    try:
        nodes = await nodes_of(http, role)
    except (aiohttp.ClientError, TimeoutError):
        return False
    return any(n["node"] == before["node"] and n["pid"] != before["pid"] for n in nodes)
