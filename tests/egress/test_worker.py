"""The egress process against a foreign viewer: aiortc's own peer connection, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, RTCStatsReport

from common.cameras import CameraSpec
from common.config import MediaConfig
from common.config_file import load
from common.control import (
    Answered,
    Assign,
    Ended,
    HangUp,
    IceNotRestarted,
    IceRestarted,
    Leaving,
    Offer,
    Refused,
    Report,
    RestartIce,
    Role,
    ViewerState,
)
from common.errors import AddressInUseError, ConfigError
from common.histogram import Histogram, Measure
from common.log import LINES_A_MINUTE
from common.media import Kind, Track
from common.sessions import ice_mark
from egress import worker
from egress.media.stream import Stream
from egress.viewer import Viewer
from egress.viewers import GAVE_WAY
from egress.wire import addresses
from egress.wire.port import MediaPort
from egress.wire.ports import Ports
from rigs.browser import Browser, audio_section
from rigs.process import free_port
from rigs.tcp_peer import TcpPeer
from tests.fakes.bus import FakeBroker
from tests.fakes.log import Recorder
from tests.fakes.media import audio

NODE = "egress-7"
PCMU = Track(Kind.AUDIO, "PCMU", 8_000)
NUMBERS = itertools.count()  # of the camera's packets


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[FakeBroker]:
    async with FakeBroker(tmp_path) as broker:
        yield broker


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


@pytest.fixture(params=["auto", "never"], ids=["compiled", "python"])
async def report(broker: FakeBroker, request: pytest.FixtureRequest) -> AsyncIterator[Report]:
    async with running(broker, egress_compiled=request.param) as report:
        yield report


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
    measured = {each.measure: sum(each.counts) for each in broker.reports[NODE].measured}
    assert measured["delay"] >= 1
    assert measured["connect"] == 1
    assert measured["first_picture"] == 0
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


class BrokenOnce:
    """Streams of which the first lacks what an answer needs."""

    def __init__(self) -> None:
        self.users = 0
        self._broken = Stream("yard", lambda: None)
        self._broken.feeds.clear()
        whole = Stream("yard", lambda: None)
        self._streams = [whole, whole, self._broken, self._broken]  # for picture and sound

    def sweep(self, now: float) -> None:
        pass

    renditions = ()
    delay = Histogram(Measure.DELAY).measured

    def statistics(self) -> dict[str, int]:
        return {}

    def acquire(self, camera: str) -> Stream:
        self.users += 1
        return self._streams.pop()

    def release(self, *streams: Stream) -> None:
        self.users -= len(streams)


class Said:
    """A link that leads nowhere, and what was said through it."""

    node = NODE
    draining = False

    def __init__(self) -> None:
        self.messages: list[object] = []

    def send(self, message: object) -> None:
        self.messages.append(message)

    def report_soon(self) -> None:
        pass


@contextlib.asynccontextmanager
async def without_broker(link: Said, streams: BrokenOnce) -> AsyncIterator[tuple[worker.Egress, MediaPort]]:
    """An egress at work that nobody but the test tells anything, and its port."""
    stop = asyncio.Event()
    advertised = addresses.Advertised((), "127.0.0.1")
    with contextlib.closing(Ports(MediaConfig(listen="127.0.0.1", port=0))) as ports:
        egress = worker.Egress(link, ports, streams, advertised, compiled=False)  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as group:
            group.create_task(egress.run(stop))
            await asyncio.sleep(0)
            try:
                yield egress, ports.udp
            finally:
                stop.set()


async def test_an_answer_that_cannot_be_written_leaves_nothing_behind() -> None:
    said, streams = Said(), BrokenOnce()
    async with without_broker(said, streams) as (tested, _):
        offer = Offer("s1", "yard", Browser().offer())
        with pytest.raises(KeyError):
            tested.handle(offer)
        assert streams.users == 0
        tested.handle(offer)
        assert [type(message) for message in said.messages] == [Answered]
    assert streams.users == 0


async def test_viewers_are_told_when_the_port_has_dropped_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "SWEEP_INTERVAL", 0.01)
    told: list[float] = []
    async with without_broker(Said(), BrokenOnce()) as (tested, port):
        with pytest.raises(KeyError):
            tested.handle(Offer("s1", "yard", Browser().offer()))
        tested.handle(Offer("s1", "yard", Browser().offer()))
        monkeypatch.setattr(tested._viewers.get("s1"), "deaf_until", told.append)
        for dropped in (5, 6):
            port.sockets[0].dropped = dropped
            await asyncio.sleep(0.2)
        assert len(told) == 2


async def test_how_often_paths_were_stuck_is_counted_also_of_viewers_that_have_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Viewer, "stuck", 3)
    async with without_broker(Said(), BrokenOnce()) as (tested, _):
        with pytest.raises(KeyError):
            tested.handle(Offer("s1", "yard", Browser().offer()))
        tested.handle(Offer("s1", "yard", Browser().offer()))
        assert tested.report(Report(NODE, Role.EGRESS, "i")).counters["paths_stuck"] == 3
        tested.handle(HangUp("s1"))
        assert tested.report(Report(NODE, Role.EGRESS, "i")).counters["paths_stuck"] == 3


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


async def test_of_viewers_that_are_never_heard_of_the_oldest_gives_way(broker: FakeBroker) -> None:
    async with running(broker, limits_unheard_viewers="3"):
        peer = await watch(broker, "honest")
        await ask(broker, "s1", "s2", "s3", "s4", "s5")
        for session in ("s1", "s2"):
            ended = await broker.said(Ended)
            assert (ended.session, ended.reason) == (session, GAVE_WAY)
            assert ended.tried is not None
            assert ended.tried.offered
            assert not ended.tried.heard_from
        await broker.until(lambda: {v.session for v in broker.reports[NODE].viewers} == {"honest", "s3", "s4", "s5"})
        assert broker.reports[NODE].counters["gave_way"] == 2
        assert peer.connectionState == "connected"
        await peer.close()


async def test_a_full_egress_refuses_with_the_limits_name(broker: FakeBroker) -> None:
    async with running(broker, limits_egress_viewers="2"):
        await ask(broker, "s1", "s2")
        broker.tell(NODE, Offer("s3", "yard", Browser().offer(), (PCMU,)))
        refused = await broker.said(Refused)
        assert (refused.status, refused.code) == (503, "full")
        assert "limits.egress_viewers" in refused.message
        await broker.until(lambda: broker.reports[NODE].full)


async def test_an_egress_short_of_memory_refuses_with_the_limits_name(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(broker):
        await ask(broker, "s1")
        monkeypatch.setattr("egress.room.Shortage.now", lambda self, now: True)
        broker.tell(NODE, Offer("s2", "yard", Browser().offer(), (PCMU,)))
        refused = await broker.said(Refused)
        assert (refused.status, refused.code) == (503, "no_memory")
        assert "limits.free_memory" in refused.message
        await broker.until(lambda: broker.reports[NODE].full)


async def test_a_flood_of_offers_costs_little_memory(broker: FakeBroker) -> None:
    """An offer that nobody follows up keeps a few kilobytes, not OpenSSL's twenty."""
    async with running(broker, limits_unheard_viewers="2000"):
        offer = Browser().offer()
        sizes = []
        for count in (100, 1_000):
            for n in range(count):
                broker.tell(NODE, Offer(f"{count} {n}", "yard", offer, (PCMU,)))
                await broker.said(Answered)
            sizes.append(psutil.Process().memory_info().rss)
        assert (sizes[1] - sizes[0]) / 1_000 < 12_000


async def test_lines_about_viewers_beyond_thirty_a_minute_are_summed_up_at_the_end(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "log", log := Recorder())
    async with running(broker):
        for number in range(LINES_A_MINUTE + 3):
            broker.tell(NODE, Offer(f"s{number}", "yard", "no offer"))
        await broker.until(lambda: broker.reports[NODE].counters.get("refused", 0) == LINES_A_MINUTE + 3)
    assert len(log.of("viewer refused")) == LINES_A_MINUTE
    assert len(log.of("viewer refused: and 3 more in a minute")) == 1
