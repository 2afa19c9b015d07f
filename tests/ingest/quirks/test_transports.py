"""Cameras that send nothing over one transport, answer with another, or send from elsewhere than they say."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from common.cameras import CameraState, Transport
from ingest.rtsp import silence
from ingest.rtsp.message import Request, Response
from ingest.rtsp.transport import TransportSpec
from rigs.camera import Answer, FakeCamera, h264_track, pcmu_track
from tests.fakes.quirks import WANTED, plays, with_header
from tests.fakes.viewer import Pulled


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.AUTO])
async def test_where_nothing_comes_the_other_transport_is_tried(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "FIRST_PACKET_TIMEOUT", 1.0)
    monkeypatch.setattr(silence, "SILENCE_TIMEOUT", 1.0)
    first, second = ("udp", "tcp") if transport is Transport.UDP else ("tcp", "udp")
    fake = FakeCamera(silent={first})
    pulled = await plays(fake, transport=transport)
    assert pulled.camera.report.transport == second
    assert pulled.camera.report.reconnects == 0
    # Hikvision wants a DESCRIBE before each SETUP.
    session = ["OPTIONS", "DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
    assert fake.methods == session * 2


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.AUTO])
async def test_where_a_transport_is_refused_the_other_is_tried(transport: Transport) -> None:
    second = "tcp" if transport is Transport.UDP else "udp"
    fake = FakeCamera(transports={second})
    pulled = await plays(fake, transport=transport)
    assert pulled.camera.report.transport == second
    assert fake.methods[:6] == ["OPTIONS", "DESCRIBE", "SETUP", "OPTIONS", "DESCRIBE", "SETUP"]


async def test_tcp_that_is_answered_when_udp_was_asked_for_is_tried() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == "SETUP" and "client_port" in (request.headers.get("Transport") or ""):
            return with_header(response, "Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")
        return response

    pulled = await plays(FakeCamera(rewrite=rewrite), transport=Transport.UDP)
    assert pulled.camera.report.transport == "tcp"


async def test_multicast_plays_where_it_is_asked_for() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()], transports={"multicast"}, reports=True)
    async with fake, Pulled(fake.url, transport=Transport.MULTICAST) as pulled:
        units = await pulled.watch(20)
        assert [unit in WANTED for unit in units] == [True] * 20
        await pulled.until(lambda: bool(pulled.of("audio")))
        assert pulled.camera.report.transport == "multicast"
        assert _joined(fake.group)
    assert not _joined(fake.group)
    assert [method for method in fake.methods if method == "SETUP"] == ["SETUP"] * 2


def _joined(group: str) -> bool:
    """Whether this machine is in a group; /proc/net/igmp has it in the machine's byte order."""
    number = int.from_bytes(socket.inet_aton(group), sys.byteorder)
    return f"{number:08X}" in Path("/proc/net/igmp").read_text()


async def test_multicast_that_is_answered_when_udp_was_asked_for_is_heard() -> None:
    fake = FakeCamera(transports={"multicast"}, answers_multicast=True, group="239.255.0.2", group_source="127.0.0.1")
    pulled = await plays(fake, transport=Transport.UDP)
    assert pulled.camera.report.transport == "multicast"


async def test_multicast_is_tried_where_nothing_else_is_there() -> None:
    fake = FakeCamera(transports={"multicast"}, group="239.255.0.3")
    pulled = await plays(fake)
    assert pulled.camera.report.transport == "multicast"
    asked = [request.headers.get("Transport") or "" for request in fake.requests if request.method == "SETUP"]
    assert ["TCP" in asked[0], "client_port" in asked[1], asked[2]] == [True, True, "RTP/AVP;multicast"]


async def test_multicast_that_does_not_arrive_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "FIRST_PACKET_TIMEOUT", 1.0)
    fake = FakeCamera(transports={"multicast"}, silent={"multicast"}, group="239.255.0.4")
    async with fake, Pulled(fake.url, transport=Transport.MULTICAST) as pulled:
        report = await pulled.reached(CameraState.SILENT)
        assert "by multicast to 239.255.0.4 port" in report.detail
        assert "IGMP" in report.detail


async def test_a_group_that_cannot_be_joined_leaves_the_other_transports() -> None:
    """As its port is another program's, here."""
    fake = FakeCamera(transports={"multicast", "tcp"}, answers_multicast=True, group="239.255.0.5")
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def rewrite(request: Request, response: Response) -> Answer:
        if (text := response.headers.get("Transport") or "") and "port=" in text:
            taken.bind((fake.group, TransportSpec.parse(text).port[0]))  # type: ignore[index]  # it names one
        return response

    fake.rewrite = rewrite
    with taken:
        pulled = await plays(fake, transport=Transport.UDP)
    assert pulled.camera.report.transport == "tcp"


async def test_a_camera_without_multicast_is_told_apart() -> None:
    async with FakeCamera() as fake, Pulled(fake.url, transport=Transport.MULTICAST) as pulled:
        report = await pulled.reached(CameraState.REJECTED)
        assert "turn it on for this stream in the camera" in report.detail
        assert fake.methods.count("SETUP") == 1


@pytest.mark.parametrize("group", ["127.0.0.1", "0.0.0.0", "224.0.0.251", "camera"])
async def test_a_camera_leads_to_no_address_but_a_group(group: str) -> None:
    fake = FakeCamera(transports={"multicast"}, answers_multicast=True, group=group)
    async with fake, Pulled(fake.url, transport=Transport.UDP) as pulled:
        report = await pulled.reached(CameraState.REJECTED)
        assert f"names {group} as its multicast address" in report.detail
        assert not fake.packets


async def test_tcp_never_leaves_tcp() -> None:
    async with FakeCamera(transports={"udp"}) as fake, Pulled(fake.url, transport=Transport.TCP) as pulled:
        report = await pulled.reached(CameraState.REJECTED)
        assert "461" in report.detail
        assert all("TCP" in (r.headers.get("Transport") or "") for r in fake.requests if r.method == "SETUP")


async def test_what_worked_is_tried_first_the_next_time() -> None:
    async with FakeCamera(transports={"udp"}) as fake, Pulled(fake.url) as pulled:
        await pulled.watch(5)
        asked = fake.methods.count("SETUP")
        fake.drop()
        await pulled.until(lambda: pulled.camera.report.reconnects == 1)
        assert fake.methods.count("SETUP") == asked + 1


async def test_play_has_a_range_and_setup_no_mode() -> None:
    def rewrite(request: Request, response: Response) -> Answer:
        if "mode" in (request.headers.get("Transport") or ""):
            return Response(400, "Bad Request")
        if request.method == "PLAY" and request.headers.get("Range") != "npt=0-":
            return b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n"  # and nothing comes
        return response

    await plays(FakeCamera(rewrite=rewrite))


@pytest.mark.parametrize("foreign", [False, True])
async def test_a_camera_that_names_no_port_is_heard_from_one_address(foreign: bool) -> None:
    pulled = await plays(FakeCamera(name_ports=False, foreign_port=foreign), transport=Transport.UDP)
    assert pulled.camera.report.transport == "udp"


@pytest.mark.parametrize("transports", [{"udp"}, {"udp", "tcp"}])
async def test_another_port_than_the_camera_said_is_heard_in_the_end(transports: set[str]) -> None:
    fake = FakeCamera(foreign_port=True, transports=transports, interval=0.02)
    async with fake, Pulled(fake.url, transport=Transport.UDP) as pulled:
        units = await pulled.watch(20)
        assert units[0] in WANTED
        assert pulled.camera.report.transport == "udp"


async def test_another_address_than_the_camera_s_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "FIRST_PACKET_TIMEOUT", 1.0)
    fake = FakeCamera(foreign_port=True, foreign_host="127.0.0.2", transports={"udp"})
    async with fake, Pulled(fake.url) as pulled:
        report = await pulled.reached(CameraState.SILENT)
        assert "packets arrive over UDP from 127.0.0.2" in report.detail
        assert pulled.batches == []


async def test_holes_are_punched_before_play() -> None:
    fake = FakeCamera([h264_track(), pcmu_track()])
    punched: list[int] = []

    def rewrite(request: Request, response: Response) -> Answer:
        if request.method == "PLAY":
            punched.append(len(fake.packets))
        return response

    fake.rewrite = rewrite
    async with fake, Pulled(fake.url, transport=Transport.UDP) as pulled:
        await pulled.watch(5)
        await fake.until(lambda: len(fake.packets) >= 4)
        assert {len(packet) for packet in fake.packets[:4]} == {12, 28}
    assert punched
