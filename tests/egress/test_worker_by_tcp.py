"""A whole egress worker whose viewers come by TCP."""

from __future__ import annotations

import asyncio

from common.control import (
    Answered,
    HangUp,
    Offer,
    Report,
)
from rigs.browser import Browser, audio_section
from rigs.process import free_port
from rigs.tcp_peer import TcpPeer
from tests.fakes.bus import FakeBroker
from tests.fakes.egress_worker import NODE, NUMBERS, PCMU, running
from tests.fakes.media import audio


async def watch_by_tcp(broker: FakeBroker, session: str = "s1") -> TcpPeer:
    """A viewer that will connect by TCP, answered."""
    browser = Browser()
    broker.tell(NODE, Offer(session, "yard", browser.offer(audio_section("0")), (PCMU,)))
    return TcpPeer(browser, (await broker.said(Answered)).sdp)


async def hears(broker: FakeBroker, peer: TcpPeer, more: int) -> None:
    """Send sound until the viewer has heard so much more of it."""
    wanted = len(peer.browser.packets) + more
    async with asyncio.timeout(10):
        while len(peer.browser.packets) < wanted:
            sequence = next(NUMBERS)
            broker.publish("yard", audio(sequence, codec="PCMU")._replace(payloads=[bytes(160)]))
            await asyncio.sleep(0.005)


async def test_a_viewer_hears_the_camera_by_tcp(broker: FakeBroker, report: Report) -> None:
    async with await watch_by_tcp(broker) as peer:
        await broker.until(lambda: broker.watches("yard"))
        await hears(broker, peer, 20)
        viewer = (await broker.until(lambda: [v for v in broker.reports[NODE].viewers if v.packets]))[0]
        assert (viewer.transport, viewer.remote.partition(":")[0]) == ("tcp", "127.0.0.1")
        assert viewer.lost == 0
        assert broker.reports[NODE].counters["tcp_connections"] == 1
        broker.tell(NODE, HangUp("s1"))
        await peer.ends()
        assert peer.browser.closed, "after its last words"
    await broker.until(lambda: not broker.reports[NODE].counters["tcp_connections"])


async def test_a_viewer_whose_connection_broke_connects_anew(broker: FakeBroker, report: Report) -> None:
    async with await watch_by_tcp(broker) as peer:
        await broker.until(lambda: broker.watches("yard"))
        await hears(broker, peer, 5)
        await peer.disconnect()
        await broker.until(lambda: not broker.reports[NODE].counters["tcp_connections"])
        for _ in range(3):
            sequence = next(NUMBERS)
            broker.publish("yard", audio(sequence, codec="PCMU")._replace(payloads=[bytes(160)]))
        await peer.connect()
        await hears(broker, peer, 5)
        assert peer.browser.duplicates == 0


async def test_a_password_that_is_none_closes_the_connection(broker: FakeBroker, report: Report) -> None:
    peer = await watch_by_tcp(broker)
    peer._sdp = peer._sdp.replace("a=ice-pwd:", "a=ice-pwd:not")
    await peer.connect()
    await peer.ends()
    await peer.disconnect()
    assert peer.frames == []
    counters = await broker.until(lambda: broker.reports[NODE].counters.get("tcp_stranger"))
    assert counters == 1


async def test_tcp_can_be_switched_off(broker: FakeBroker) -> None:
    async with running(broker, media_tcp="off"):
        broker.tell(NODE, Offer("s1", "yard", Browser().offer(), (PCMU,)))
        assert " tcp " not in (await broker.said(Answered)).sdp


async def test_tcp_can_have_a_port_of_its_own(broker: FakeBroker) -> None:
    port = free_port()
    async with running(broker, media_tcp=str(port)):
        broker.tell(NODE, Offer("s1", "yard", Browser().offer(), (PCMU,)))
        assert f" 127.0.0.1 {port} typ host tcptype passive" in (await broker.said(Answered)).sdp
