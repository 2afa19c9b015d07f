"""Each process of ``serve`` that may hang beside workers of media: it is replaced, and the picture comes again."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from rigs.bystander import watching

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

DARK = 14.0  # seconds, on a machine that has much else to do; 7 on one of one's own
STEADY = 3.0  # seconds of picture after that
PATIENCE = 60.0  # seconds


@pytest.mark.parametrize("victim", ["transcode", "relay", "demo-camera", "nursery"])
async def test_it_is_replaced_and_the_picture_comes_again(cluster: Callable[..., Any], victim: str) -> None:
    """A nursery is needed only when another process dies: an ingest is killed."""
    running = await cluster({}, arguments=("--demo-if-none",))
    async with watching(running.whep("demo")) as bystander:
        await asyncio.sleep(STEADY)
        await bystander.seen()
        since = time.monotonic()
        stopped = running.kill(victim, number=signal.SIGSTOP)
        if victim == "nursery":
            running.kill("ingest")
        async with asyncio.timeout(PATIENCE):
            while stopped in running.pids().get(victim, [stopped]):  # noqa: ASYNC110 - the system tells nobody
                await asyncio.sleep(0.1)
        replaced = time.monotonic() - since
        await asyncio.sleep(max(0.0, DARK - replaced))
        seen = await bystander.seen()
        await asyncio.sleep(STEADY)
        again = await bystander.seen()
        print(f"{victim}: replaced after {replaced:.1f} s; {seen}, then {again}")
        assert seen.frames
        assert seen.gap_ms < DARK * 1_000
        assert again.frames, "the picture does not come again"
        assert running.pids().keys() >= {"relay", "broker", "ingest", "egress", "demo-camera"}
