"""An upgrade where each worker has a key of its own, of two egresses, under many viewers, some of them by TCP."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import pytest

from rigs.load.crowd import Crowd
from rigs.load.signalling import Whep
from rigs.load.viewer import Options, State, Viewer
from rigs.replacing import nodes_of
from tests.fakes.private_bus import free_tcp_endpoints

pytestmark = [pytest.mark.e2e, pytest.mark.quiet, pytest.mark.timeout(240)]

PATIENCE = 90.0  # seconds
BY_UDP, BY_TCP = 20, 6


def counts(viewer: Viewer) -> list[tuple[int, int, int]]:
    """Packets that are missing or came twice, and other beginnings, of each stream."""
    return [(stream.holes, stream.duplicates, stream.restarts) for stream in viewer.streams.values()]


async def more(viewers: Sequence[Viewer]) -> None:
    """Wait until each has had some more packets."""

    def count(viewer: Viewer) -> int:
        return sum(stream.packets for stream in viewer.streams.values())

    came = [count(viewer) for viewer in viewers]
    async with asyncio.timeout(PATIENCE):
        for viewer, before in zip(viewers, came, strict=True):
            while count(viewer) < before + 20:  # noqa: ASYNC110 - as in Crowd
                await asyncio.sleep(0.05)


async def test_all_of_them_go_on_where_workers_have_keys(cluster: Callable[..., Any]) -> None:
    running = await cluster(
        {},
        egress=2,
        arguments=("--demo-if-none",),
        config={"broker": {"address": free_tcp_endpoints().address}, "transcode": {"workers": 0}},
    )
    way = Whep(running.whep("demo"))
    async with Crowd() as crowd, Crowd(Options(tcp=True)) as slow, aiohttp.ClientSession(running.url) as http:
        await crowd.join(way, BY_UDP)
        await slow.join(way, BY_TCP)
        async with asyncio.timeout(PATIENCE):  # where the stream is, until that one is clearly busier than the other
            while not all(node["viewers"] for node in await nodes_of(http, "egress")):
                await crowd.join(way, BY_TCP)
        everybody = [*crowd.members, *slow.members]
        assert len(everybody) >= BY_UDP + BY_TCP
        for each in (crowd, slow):
            await each.watching(seconds=PATIENCE)
        # On a path that seems thin the first packet of all is sent twice, and may have come but once by now.
        await more(everybody)
        before = await nodes_of(http, "egress")
        assert len(before) == 2
        assert all(node["viewers"] for node in before)
        lost = [counts(viewer) for viewer in everybody]
        os.kill(running.pid, signal.SIGUSR2)
        async with asyncio.timeout(PATIENCE):
            while "upgrade is done" not in running.log:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.1)
            while len(await nodes_of(http, "egress")) < 2:  # noqa: ASYNC110 - a new broker learns of them
                await asyncio.sleep(0.1)
        after = await nodes_of(http, "egress")
        assert not {node["pid"] for node in before} & {node["pid"] for node in after}
        await more(everybody)
        print("\n".join(line for line in running.log.splitlines() if "sessions taken over" in line))
        assert {viewer.state for viewer in everybody} == {State.CONNECTED}
        assert [counts(viewer) for viewer in everybody] == lost
    assert running.log.count('"sessions taken over"') == 2
