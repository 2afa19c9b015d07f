"""The egress process against a foreign viewer: aiortc's own peer connection, over real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import socket

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from common.cameras import CameraName, CameraSpec
from common.control import (
    Answered,
    Assign,
    Ended,
    HangUp,
    IceNotRestarted,
    IceRestarted,
    Leaving,
    Move,
    Offer,
    Refused,
    Report,
    RestartIce,
    ViewerState,
)
from common.errors import AddressInUseError, ConfigError
from common.media import live_topic
from common.sessions import ice_mark
from egress import worker
from egress.media import streams
from egress.wire import addresses
from rigs.browser import Browser
from tests.fakes.bus import FakeBroker
from tests.fakes.egress_worker import NODE, NUMBERS, PCMU, becomes, packets_received, running, watch
from tests.fakes.log import Recorder
from tests.fakes.media import audio


def measured(broker: FakeBroker) -> dict[str, int]:
    """How often the egress has measured each thing, as of its last report."""
    return {each.measure: sum(each.counts) for each in broker.reports[NODE].measured}


async def test_a_foreign_viewer_hears_the_camera(broker: FakeBroker, report: Report) -> None:
    assert (report.role, report.viewers, report.subscribed) == ("egress", (), ())
    peer = await watch(broker)
    await broker.until(lambda: broker.watches("yard"))
    sequence = 0
    async with asyncio.timeout(10):
        while await packets_received(peer) < 20:
            broker.publish("yard", audio(sequence, codec="PCMU")._replace(payloads=[bytes(160)]))
            sequence += 1
            await asyncio.sleep(0.005)
    viewer = (await broker.until(lambda: [v for v in broker.reports[NODE].viewers if v.packets]))[0]
    assert (viewer.session, viewer.camera, viewer.state) == ("s1", "yard", "connected")
    assert broker.reports[NODE].subscribed == ("yard",)
    assert broker.reports[NODE].counters["delay_p50_us"] >= 0
    await broker.until(lambda: measured(broker)["connect"] == 1)
    assert measured(broker)["delay"] >= 1
    assert measured(broker)["first_picture"] == 0
    await peer.close()
    ended = await broker.said(Ended)
    assert (ended.session, ended.reason) == ("s1", "closed by the viewer")


async def test_ice_is_restarted_without_harm_to_media(broker: FakeBroker, report: Report) -> None:
    peer = await watch(broker)
    broker.tell(NODE, RestartIce("q1", "s1", "newer", "a password of 22 signs"))
    answer = await broker.said(IceRestarted)
    assert (answer.request, answer.session, answer.ice) == ("q1", "s1", ice_mark("s1", "newer"))
    assert re.search("^a=candidate:.* 127.0.0.1 ", answer.fragment, re.MULTILINE)
    await broker.until(lambda: [v for v in broker.reports[NODE].viewers if (v.ice, v.restarts) == (answer.ice, 1)])
    assert broker.reports[NODE].counters["ice_restarts"] == 1
    before = await packets_received(peer)
    async with asyncio.timeout(10):
        while await packets_received(peer) < before + 20:
            broker.publish("yard", audio(next(NUMBERS), codec="PCMU")._replace(payloads=[bytes(160)]))
            await asyncio.sleep(0.005)
    broker.tell(NODE, RestartIce("q2", "s9", "newer", "a password of 22 signs"))
    refused = await broker.said(IceNotRestarted)
    assert (refused.request, refused.session, refused.status, refused.code) == ("q2", "s9", 404, "unknown_session")
    await peer.close()


async def test_a_hang_up_reaches_the_viewer(broker: FakeBroker, report: Report) -> None:
    peer = await watch(broker)
    broker.tell(NODE, HangUp("s1"))
    await becomes(peer, "closed")
    await broker.until(lambda: not broker.reports[NODE].viewers)
    await peer.close()
    broker.tell(NODE, HangUp("s1"))  # hanging up twice does nothing


async def test_what_became_of_a_viewer_stands_in_the_log(broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "log", log := Recorder())
    async with running(broker):
        peer = await watch(broker)
        await broker.until(lambda: [v.state for v in broker.reports[NODE].viewers] == [ViewerState.CONNECTED])
        broker.tell(NODE, HangUp("s1"))
        await broker.until(lambda: not broker.reports[NODE].viewers)
        await peer.close()
        broker.tell(NODE, Offer("s2", "yard", Browser().offer()))
        await broker.said(Answered)
        broker.tell(NODE, HangUp("s2"))
        await broker.until(lambda: log.of("viewer never connected"))
        peer = await watch(broker, "s3")
        await peer.close()
        await broker.until(lambda: len(log.of("viewer left")) == 2)
    left, closed = log.of("viewer left")
    assert closed["reason"] == "closed by the viewer"
    assert (left["camera"], left["reason"], left["sent_bytes"]) == ("yard", "hung up", 0)
    assert left["remote"].rpartition(":")[2].isdigit()
    assert left["seconds"] >= 0
    [never] = log.of("viewer never connected")
    assert (never["camera"], never["reason"]) == ("yard", "hung up")
    assert never["tried_from"].startswith("nowhere")
    udp, tcp = never["offered"]
    assert re.fullmatch(r"127\.0\.0\.1:\d+", udp)
    assert re.fullmatch(r"127\.0\.0\.1:\d+ tcp", tcp)
    assert left["way"] == "udp4"
    assert not [line for line in log.lines if "s1" in line[1].values() or "s2" in line[1].values()], "an id is a right"


async def test_stopping_says_goodbye_to_viewers_and_broker(broker: FakeBroker) -> None:
    async with running(broker):
        peer = await watch(broker)
    await broker.said(Leaving)
    await becomes(peer, "closed")
    await peer.close()


async def test_offers_that_cannot_be_served_are_refused_with_the_reason(broker: FakeBroker, report: Report) -> None:
    browser = Browser()
    broker.tell(NODE, Offer("bad", "yard", "garbage"))
    refused = await broker.said(Refused)
    assert (refused.session, refused.status, refused.code) == ("bad", 400, "malformed_sdp")
    broker.tell(NODE, Offer("s1", "yard", browser.offer()))
    await broker.said(Answered)
    broker.tell(NODE, Offer("s1", "yard", browser.offer()))
    assert (await broker.said(Refused)).status == 409
    await broker.until(lambda: [v.session for v in broker.reports[NODE].viewers] == ["s1"])


async def test_the_stream_is_asked_for_its_pictures_and_given_up_after_a_while(
    broker: FakeBroker, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("egress.media.streams.LINGER", 0.2)
    broker.tell(NODE, Offer("s1", "yard", Browser().offer()))
    await broker.said(Answered)
    await broker.until(lambda: f"yard@{NODE}\0".encode() in broker.subscriptions)
    broker.tell(NODE, HangUp("s1"))
    await broker.until(lambda: not broker.subscriptions)
    await broker.until(lambda: not broker.reports[NODE].subscribed)


async def test_garbage_on_every_port_is_dropped_and_counted(broker: FakeBroker, report: Report) -> None:
    offer = Offer("s1", "yard", Browser().offer())
    broker.tell(NODE, offer)
    port = int((await broker.said(Answered)).sdp.split("a=candidate:1 1 udp ")[1].split()[2])
    await broker.until(lambda: broker.watches("yard"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for datagram in (b"\0", b"\x16garbage", b"\x80\xc9garbage", b"\xffgarbage", bytes(2_000)):
            stranger.sendto(datagram, ("127.0.0.1", port))
    for frame in (b"yard\0garbage", b"yard\0\x90", b"yard@egress-7\0\xc0"):
        broker.publish_frame(frame)
    broker.tell(NODE, b"garbage")
    broker.tell(NODE, b"\x80")
    broker.tell(NODE, Assign(CameraSpec("yard", "rtsp://h/")))
    broker.tell(NODE, HangUp("nobody"))
    expected = {
        "udp_garbage": 2,
        "udp_unknown_source": 3,
        "media_garbage": 3,
        "control_garbage": 2,
        "control_misdirected": 1,
    }
    await broker.until(lambda: expected.items() <= broker.reports[NODE].counters.items())
    broker.tell(NODE, dataclasses.replace(offer, session="s2"))
    await broker.said(Answered)


async def test_a_port_in_use_is_told(broker: FakeBroker) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(ExceptionGroup) as caught:
            async with running(broker, media_port=str(other.getsockname()[1])):
                pass
        assert caught.group_contains(AddressInUseError)


async def test_a_name_that_does_not_resolve_yet_keeps_nobody_from_starting(broker: FakeBroker) -> None:
    """At boot there may be no network to ask. Until then viewers are told this machine's own addresses."""
    async with running(broker, media_advertise="no.such.host.invalid", media_listen=""):
        peer = await watch(broker)
        await peer.close()


async def test_each_answer_names_the_addresses_of_now(broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["127.0.0.1"]
    monkeypatch.setattr(addresses, "POLL_INTERVAL", 0.02)
    monkeypatch.setattr(addresses, "Netlink", NoNetlink)
    monkeypatch.setattr(addresses, "_interfaces", lambda: list(found))
    async with running(broker, media_listen=""):
        first = await answered(broker, "s1")
        assert candidates(first) == {"127.0.0.1"}
        found[:] = ["192.0.2.7", "127.0.0.1"]
        async with asyncio.timeout(10):
            number = 1
            while candidates(await answered(broker, f"s{(number := number + 1)}")) != set(found):
                pass


class NoNetlink:
    """A system that does not tell of changes."""

    def __init__(self, on_change: object) -> None:
        raise OSError("not Linux")


async def answered(broker: FakeBroker, session: str) -> str:
    """The answer to an offer that nobody will follow up."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("audio", "recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    broker.tell(NODE, Offer(session, "yard", peer.localDescription.sdp, (PCMU,)))
    await peer.close()
    return (await broker.said(Answered)).sdp


def candidates(sdp: str) -> set[str]:
    return {line.split()[4] for line in sdp.splitlines() if line.startswith("a=candidate:")}


async def test_the_compiled_loop_can_be_insisted_on(broker: FakeBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.native, "BUILT", False)
    with pytest.raises(ExceptionGroup) as caught:
        async with running(broker, egress_compiled="always"):
            pass
    assert caught.group_contains(ConfigError, match="egress.compiled: it was not built; install a C compiler")
    async with running(broker):
        pass


@pytest.mark.parametrize("how", ["another offer", "an offer of the other stream", "a move"])
async def test_a_former_cameras_stream_is_not_kept_whichever_way_a_viewer_comes_to_it(
    broker: FakeBroker, report: Report, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The name is another camera's by now, and the viewer before has just left."""
    monkeypatch.setattr(streams, "LINGER", 60.0)
    yard, sub = CameraName("yard"), CameraName("yard/sub")
    sdp, tracks = Browser().offer(), (PCMU,)
    broker.tell(NODE, Offer("s1", sub, sdp, tracks, revision=1))
    await broker.said(Answered)
    await broker.until(lambda: broker.watches(sub))
    broker.tell(NODE, HangUp("s1"))
    await broker.until(lambda: not broker.reports[NODE].viewers)
    match how:
        case "another offer":
            broker.tell(NODE, Offer("s2", sub, sdp, tracks, revision=2))
        case "an offer of the other stream":
            broker.tell(NODE, Offer("s2", yard, sdp, tracks, other=sub, other_tracks=tracks, other_revision=2))
        case "a move":
            broker.tell(NODE, Offer("s2", yard, sdp, tracks, other=sub, other_tracks=tracks))
            broker.tell(NODE, Move("s2", sub, tracks, revision=2))
    await broker.until(lambda: live_topic(sub) in broker.given_up)
