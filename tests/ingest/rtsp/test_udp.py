"""UDP ports: pairs, who may send to them, and what is released."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from common.errors import CameraError
from ingest.rtsp import udp
from ingest.rtsp.udp import READ_BYTES, READS, UdpPort, bind_pair

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"


class Mailbox:
    """Keeps what a port received."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.bursts: list[int] = []
        self.size = self.told = 0  # bytes and datagrams
        self._changed = asyncio.Event()

    def receive(self, packet: bytes, arrival_ns: int) -> None:
        assert arrival_ns > 0
        self.packets.append(packet)

    def flush(self, arrival_ns: int, size: int, datagrams: int) -> None:
        assert arrival_ns > 0
        self.size += size
        assert datagrams > 0
        self.told += datagrams
        self.bursts.append(len(self.packets))
        self._changed.set()

    async def flushed(self, times: int = 1) -> None:
        async with asyncio.timeout(10):
            while len(self.bursts) < times:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def port() -> AsyncIterator[UdpPort]:
    first, second = bind_pair(HERE, socket.AF_INET)
    second.close()
    yield first
    first.close()


def sender(address: str = HERE, family: int = socket.AF_INET) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((address, 0))
    return sock


@pytest.mark.parametrize(("address", "family"), [(HERE, socket.AF_INET), ("::1", socket.AF_INET6)])
async def test_pairs_are_even_and_odd(address: str, family: int) -> None:
    pairs = [bind_pair(address, family) for _ in range(20)]
    for rtp, rtcp in pairs:
        assert rtp.port % 2 == 0
        assert rtcp.port == rtp.port + 1
    for pair in pairs:
        for each in (*pair, *pair):
            each.close()


async def test_pairs_whose_other_half_is_taken_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0
    bind = udp._bind

    def busy(local: str, port: int, family: int) -> socket.socket:
        nonlocal taken
        if port and taken < 5:
            taken += 1
            raise OSError("in use")
        return bind(local, port, family)

    monkeypatch.setattr(udp, "_bind", busy)
    for each in bind_pair(HERE, socket.AF_INET):
        each.close()
    assert taken == 5


async def test_no_pair_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = udp._bind

    def busy(local: str, port: int, family: int) -> socket.socket:
        if port:
            raise OSError("in use")
        return bind(local, port, family)

    monkeypatch.setattr(udp, "_bind", busy)
    with pytest.raises(CameraError, match="no pair"):
        bind_pair(HERE, socket.AF_INET)
    with pytest.raises(CameraError, match="no UDP port"):
        bind_pair("192.0.2.1", socket.AF_INET)


async def test_only_the_camera_s_address_may_send(port: UdpPort) -> None:
    mailbox = Mailbox()
    with sender() as camera, sender(ELSEWHERE) as stranger:
        stranger.sendto(b"early", (HERE, port.port))
        port.start(frozenset({HERE}), None, mailbox.receive, mailbox.flush)
        stranger.sendto(b"stranger", (HERE, port.port))
        await mailbox.flushed()
        camera.sendto(b"camera", (HERE, port.port))
        await mailbox.flushed(len(mailbox.bursts) + 1)
    assert mailbox.packets == [b"camera"]
    assert port.strangers == 2


async def test_the_first_port_of_the_camera_is_kept(port: UdpPort) -> None:
    mailbox = Mailbox()
    with sender() as camera, sender() as other:
        port.start(frozenset({HERE}), None, mailbox.receive, mailbox.flush)
        port.send(b"nobody to send to")
        camera.sendto(b"1", (HERE, port.port))
        other.sendto(b"other", (HERE, port.port))
        await mailbox.flushed()
        other.sendto(b"other again", (HERE, port.port))
        camera.sendto(b"2", (HERE, port.port))
        await mailbox.flushed(len(mailbox.bursts) + 1)
        port.send(b"report")
        assert camera.recv(100) == b"report"
    assert mailbox.packets == [b"1", b"2"]


async def test_the_port_that_the_camera_named_comes_first(port: UdpPort) -> None:
    mailbox = Mailbox()
    with sender() as camera, sender() as other:
        other.sendto(b"queued before", (HERE, port.port))
        port.start(frozenset({HERE}), (HERE, camera.getsockname()[1]), mailbox.receive, mailbox.flush)
        other.sendto(b"other", (HERE, port.port))
        camera.sendto(b"camera", (HERE, port.port))
        await mailbox.flushed()
        port.send(b"punch")
        assert camera.recv(100) == b"punch"
    assert mailbox.packets == [b"camera"]


async def test_another_port_of_the_camera_is_heard_when_nothing_comes_from_the_named_one(port: UdpPort) -> None:
    mailbox = Mailbox()
    with sender() as named, sender() as other, sender() as third, sender(ELSEWHERE) as stranger:
        port.start(frozenset({HERE}), (HERE, named.getsockname()[1]), mailbox.receive, mailbox.flush)
        other.sendto(b"early", (HERE, port.port))
        await mailbox.flushed()
        assert (mailbox.packets, port.stranger) == ([], "")
        port._patient_until = 0.0
        stranger.sendto(b"stranger", (HERE, port.port))
        other.sendto(b"other", (HERE, port.port))
        third.sendto(b"third", (HERE, port.port))
        await mailbox.flushed(len(mailbox.bursts) + 1)
        third.sendto(b"third again", (HERE, port.port))
        other.sendto(b"other again", (HERE, port.port))
        await mailbox.flushed(len(mailbox.bursts) + 1)
    assert mailbox.packets == [b"other", b"other again"]
    assert port.stranger == ELSEWHERE


async def test_a_camera_that_sends_from_another_address_of_its_own(port: UdpPort) -> None:
    mailbox = Mailbox()
    with sender() as control, sender(ELSEWHERE) as media:
        remote = (HERE, control.getsockname()[1])
        port.start(frozenset({HERE, ELSEWHERE}), remote, mailbox.receive, mailbox.flush)
        port.send(b"punch")  # to where it said
        assert control.recv(100) == b"punch"
        media.sendto(b"media", (HERE, port.port))
        await mailbox.flushed()
        port.send(b"report")  # to where it sends from
        assert media.recv(100) == b"report"
    assert mailbox.packets == [b"media"]


async def test_a_camera_that_is_not_listening_does_no_harm(port: UdpPort) -> None:
    mailbox = Mailbox()
    with sender() as camera:
        remote = camera.getsockname()
    port.start(frozenset({HERE}), remote, mailbox.receive, mailbox.flush)
    for _ in range(3):
        port.send(b"nobody is there, and ICMP says so")
        await asyncio.sleep(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera:
        camera.bind(remote)
        camera.sendto(b"now I am", (HERE, port.port))
        async with asyncio.timeout(10):
            while not mailbox.packets:
                await mailbox.flushed(len(mailbox.bursts) + 1)
    assert mailbox.packets == [b"now I am"]


async def test_bursts_are_bounded_and_large_datagrams_whole(port: UdpPort) -> None:
    mailbox = Mailbox()
    with sender() as camera:
        for number in range(READS + 10):
            camera.sendto(bytes([number]) * 10, (HERE, port.port))
        port.start(frozenset({HERE}), None, mailbox.receive, mailbox.flush)
        await mailbox.flushed(2)
        assert mailbox.bursts == [READS, READS + 10]
        camera.sendto(b"x" * 60_000, (HERE, port.port))
        await mailbox.flushed(3)
    assert mailbox.packets[-1] == b"x" * 60_000


async def test_bursts_of_large_datagrams_are_bounded_by_their_bytes(port: UdpPort) -> None:
    mailbox, size = Mailbox(), 50_000
    with sender() as camera:
        for _ in range(4):
            camera.sendto(bytes(size), (HERE, port.port))
        port.start(frozenset({HERE}), None, mailbox.receive, mailbox.flush)
        await mailbox.flushed(2)
    assert mailbox.bursts[0] * size < READ_BYTES + size
    assert mailbox.bursts[-1] == 4


async def test_a_picture_s_end_is_flushed_before_what_follows_it(port: UdpPort) -> None:
    mailbox = Mailbox()
    with sender() as camera:
        port.start(frozenset({HERE}), camera.getsockname(), mailbox.receive, mailbox.flush)
        camera.sendto(b"\x80\x60 alone", (HERE, port.port))
        await mailbox.flushed()
        picture = [b"\x80\x60 begins", b"\x80\xe0 ends", b"\x80\x60 the next one"]
        for datagram in picture:
            camera.sendto(datagram, (HERE, port.port))
        await mailbox.flushed(3)
    assert mailbox.packets[1:] == picture
    assert mailbox.bursts == [1, 3, 4]


async def test_a_flood_from_elsewhere_is_not_held_against_the_camera(port: UdpPort) -> None:
    """Nor does it take all the time: once a turn brought nothing else the port rests, and goes on by itself."""
    mailbox = Mailbox()
    port.start(frozenset({HERE}), None, mailbox.receive, mailbox.flush)
    with sender() as camera, sender(ELSEWHERE) as stranger:
        for _ in range(2 * READS):
            stranger.sendto(b"flood", (HERE, port.port))
        camera.sendto(b"media", (HERE, port.port))
        await asyncio.sleep(0)  # the loop looks at its sockets …
        await asyncio.sleep(0)  # … and has called those that have something
        assert port.strangers == READS
        port.pause()
        await asyncio.sleep(3 * udp.FLOODED)
        assert port.strangers == READS
        port.resume()
        await mailbox.flushed()
    assert (mailbox.packets, port.strangers) == ([b"media"], 2 * READS)
    assert mailbox.told <= 2
