"""Each process of ``serve`` that may hang beside workers of media: it is replaced, and the picture comes again.

One that gets no processor does not hang, and is none of these.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from rigs.bystander import Bystander, watching
from rigs.hogs import starved

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DARK = 14.0  # seconds, on a machine that has much else to do; 7 on one of one's own
LOOK = 0.5  # seconds between looks whether there are pictures
STARVED = 4.0  # seconds without a processor: more than heartbeats are waited for
STEADY = 3.0  # seconds of picture after that
PATIENCE = 60.0  # seconds


async def goes_on(bystander: Bystander) -> None:
    await bystander.seen()
    async with asyncio.timeout(PATIENCE):
        while not (await bystander.seen()).frames:  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(LOOK)


async def test_each_is_replaced_and_the_picture_comes_again(cluster: Callable[..., Any]) -> None:
    """A nursery is needed only when another process dies: an ingest is killed."""
    running = await cluster({}, config={"broker": {"relay": "apart"}}, arguments=("--demo-if-none",))
    async with watching(running.whep("demo")) as bystander:
        await asyncio.sleep(STEADY)
        before = running.pids()["egress"]
        with starved(before[0]):
            await asyncio.sleep(STARVED)
        await goes_on(bystander)
        assert running.pids()["egress"] == before
        assert '"worker lost"' not in running.log
        for victim in ("transcode", "relay", "demo-camera", "nursery"):
            await bystander.seen()
            since, before = time.monotonic(), {pid for pids in running.pids().values() for pid in pids}
            stopped = running.kill(victim, number=signal.SIGSTOP)
            gone = {stopped}
            if victim == "nursery":
                gone.add(running.kill("ingest"))
            async with asyncio.timeout(PATIENCE):
                while stopped in running.pids().get(victim, [stopped]):  # noqa: ASYNC110 - the system tells nobody
                    await asyncio.sleep(0.1)
            replaced = time.monotonic() - since
            await goes_on(bystander)
            dark = time.monotonic() - since  # at most
            await asyncio.sleep(STEADY)
            again = await bystander.seen()
            print(f"{victim}: replaced after {replaced:.1f} s, pictures after {dark:.1f} s, then {again}")
            assert dark < DARK, victim
            assert again.gap_ms < STEADY / 2 * 1_000, f"{victim}: it does not go on"
            assert before - gone <= {pid for pids in running.pids().values() for pid in pids}, "others go on"
            assert running.pids().keys() >= {"relay", "broker", "ingest", "egress", "demo-camera"}
