"""Lanes under pressure: a peer that does not read, and addresses that cannot be reached."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from camshaft.demo_camera.broadcast import Part
from camshaft.demo_camera.lanes import MAX_BACKLOG, PortPair, TcpLane, UdpLane


class Backlogged:
    """A transport whose backlog a test sets."""

    def __init__(self) -> None:
        self.backlog = 0
        self.written: list[bytes] = []

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def write(self, data: bytes) -> None:
        self.written.append(data)


def part(name: bytes, *, fresh: bool = False) -> Part:
    return Part([name], fresh)


def test_interleaved_frames_are_made_once_for_a_channel() -> None:
    two = Part([b"one", b"three"], fresh=True)
    assert two.interleaved(4) == b"$\x04\x00\x03one$\x04\x00\x05three"
    assert two.interleaved(4) is two.interleaved(4)
    assert two.interleaved(6)[:2] == b"$\x06"


def test_peer_that_does_not_read_is_skipped_and_goes_on_at_a_fresh_start() -> None:
    transport = Backlogged()
    lane = TcpLane(cast(Any, transport), (0, 1))
    lane.media(part(b"a", fresh=True))
    transport.backlog = MAX_BACKLOG + 1
    lane.media(part(b"b"))
    lane.media(part(b"c", fresh=True))
    lane.report(b"x")
    transport.backlog = 0
    lane.media(part(b"d"))
    lane.media(part(b"e", fresh=True))
    lane.media(part(b"f"))
    lane.report(b"y")
    assert [frame[4:] for frame in transport.written] == [b"a", b"e", b"f", b"y"]
    assert transport.written[-1][1] == 1


async def test_ports_are_a_pair_and_reports_of_clients_are_heard() -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    ports = PortPair("127.0.0.1", socket.AF_INET, heard.put_nowait)
    try:
        rtp, rtcp = ports.numbers
        assert rtp % 2 == 0
        assert rtcp == rtp + 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"hole punched", ("127.0.0.1", rtp))
            client.sendto(b"report", ("127.0.0.1", rtcp))
        async with asyncio.timeout(5):
            assert await heard.get() == "127.0.0.1"
        assert heard.empty()
    finally:
        ports.close()


async def test_address_that_cannot_be_reached_is_no_error() -> None:
    ports = PortPair("127.0.0.1", socket.AF_INET, lambda host: None)
    try:
        lane = UdpLane(ports, "::1", (9, 10))
        lane.media(part(b"a"))
        lane.report(b"x")
    finally:
        ports.close()
