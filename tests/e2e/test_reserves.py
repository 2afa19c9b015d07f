"""``serve`` where nobody said how many egresses there are: one, and a second when that has much to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from camshaft.cores import cores
from rigs.load.crowd import Crowd
from rigs.load.signalling import Whep

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(cores() < 2, reason="one core has one egress")]

PATIENCE = 60.0  # seconds
MOST = 4  # viewers of an egress


async def test_a_second_egress_begins_when_the_first_has_much_to_do_and_takes_who_comes(
    cluster: Callable[..., Any],
) -> None:
    running = await cluster({}, egress=None, arguments=("--demo-if-none",), config={"limits": {"egress_viewers": MOST}})
    async with Crowd() as crowd, aiohttp.ClientSession(running.url) as http, asyncio.timeout(PATIENCE):

        async def until(wanted: Callable[[list[int]], bool]) -> list[int]:
            """The viewers of each egress as soon as they are as wanted."""
            while True:
                async with http.get("/api/nodes") as response:
                    nodes = await response.json()
                viewers = [each["viewers"] for each in nodes if each["role"] == "egress" and each["alive"]]
                if wanted(viewers):
                    return viewers
                await asyncio.sleep(0.1)

        assert await until(bool) == [0]
        while len(crowd.members) < MOST:
            await crowd.join(Whep(running.whep("demo")))
        await until(lambda viewers: len(viewers) == 2)
        assert len(running.pids()["egress"]) == 2
        while len(crowd.members) < MOST + 1:
            await crowd.join(Whep(running.whep("demo")))
        await crowd.watching(seconds=PATIENCE)
        assert max(await until(lambda viewers: sum(viewers) == MOST + 1)) <= MOST
