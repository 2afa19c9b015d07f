"""A whole egress worker inside a test's own process, and viewers of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, RTCStatsReport

from common.config_file import load
from common.control import (
    Answered,
    Offer,
    Report,
)
from common.media import Kind, Track
from egress import worker
from rigs.browser import Browser
from tests.fakes.bus import FakeBroker

NODE = "egress-7"
PCMU = Track(Kind.AUDIO, "PCMU", 8_000)
NUMBERS = itertools.count()  # of the camera's packets


@contextlib.asynccontextmanager
async def running(broker: FakeBroker, **environ: str) -> AsyncIterator[Report]:
    """The egress process, inside this one; yields its first report."""
    variables = {
        "CAMSHAFT_BROKER_ADDRESS": broker.address,
        "CAMSHAFT_MEDIA_PORT": "0",
        "CAMSHAFT_MEDIA_LISTEN": "127.0.0.1",
    }
    config = load(None, environ=variables | {f"CAMSHAFT_{key.upper()}": value for key, value in environ.items()})
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(worker.run(config, NODE, stop))
        try:
            await broker.until(lambda: NODE in broker.reports or task.done())
            yield broker.reports[NODE]
        finally:
            stop.set()
            await asyncio.wait_for(asyncio.shield(task), 3)


async def becomes(peer: RTCPeerConnection, state: str) -> None:
    """Wait for a connection state."""
    changed = asyncio.Event()
    peer.on("connectionstatechange", changed.set)
    async with asyncio.timeout(10):
        while peer.connectionState != state:
            changed.clear()
            await changed.wait()


async def ask(broker: FakeBroker, *sessions: str) -> None:
    """Make offers that nobody follows up."""
    for session in sessions:
        broker.tell(NODE, Offer(session, "yard", Browser().offer(), (PCMU,)))
        await broker.said(Answered)


async def watch(broker: FakeBroker, session: str = "s1", camera: str = "yard") -> RTCPeerConnection:
    """A viewer that has connected."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", "recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    broker.tell(NODE, Offer(session, camera, peer.localDescription.sdp, (PCMU,)))
    answer = await broker.said(Answered)
    assert answer.session == session
    await peer.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
    await becomes(peer, "connected")
    return peer


async def packets_received(peer: RTCPeerConnection) -> int:
    stats: RTCStatsReport = await peer.getReceivers()[0].getStats()
    return sum(s.packetsReceived for s in stats.values() if s.type == "inbound-rtp")
