"""A cluster of separate processes whose workers join by tokens, as on several machines: a viewer gets pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rigs.command import BOUND, Command, wait_until
from tests.fakes.machines import Machines, count, token
from tests.fakes.private_bus import free_tcp_endpoints

pytestmark = pytest.mark.e2e


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ExitStack() as stack:
        yield Machines(tmp_path, stack)


async def watch(front: str) -> RTCPeerConnection:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", "recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"http://{front}/whep/door",
            data=peer.localDescription.sdp,
            headers={"Content-Type": "application/sdp"},
        ) as response,
    ):
        assert response.status == 201, await response.text()
        await peer.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
    return peer


async def test_a_viewer_gets_pictures_and_a_token_that_is_used_up_lets_no_other_worker_in(machines: Machines) -> None:
    await asyncio.to_thread(wait_until, machines.camera_plays, "the camera does not play")
    peer = await watch(machines.front)
    video = peer.getReceivers()[0].track
    async with asyncio.timeout(BOUND):
        for _ in range(30):
            frame = await video.recv()
    assert (frame.width, frame.height) == (320, 240)
    assert machines.count("media_forged") == 0
    await peer.close()

    assert machines.count("joined") == 2
    late = machines.start("late", "egress", CAMSHAFT_NODE="late", CAMSHAFT_CLUSTER_TOKEN=machines.tokens["egress"])
    assert await asyncio.to_thread(late.process.wait, BOUND) == 2
    assert "has been used as often as it allows; make another with `camshaft token worker`" in late.stderr


def test_serve_lets_its_own_workers_in(tmp_path: Path) -> None:
    token(tmp_path, "egress")
    address = free_tcp_endpoints().address
    with Command(tmp_path, "serve", environ={"CAMSHAFT_BROKER_ADDRESS": address}) as cluster:
        cluster.ready()  # none converts yet
        wait_until(lambda: count(cluster, "joined") == 3, "the workers and the relay do not join")
