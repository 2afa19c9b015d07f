"""Viewers of the compiled fan-out, each with a twin that the one in Python sends to, and sockets that are full."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator

import pytest

from egress import native
from egress.media.fanout import Parcel, fan_out, runs
from egress.media.group import Audience, Group, Lane
from egress.media.history import NOBODY, Packet
from egress.wire.ice import Path
from egress.wire.port import MediaSocket, UdpTarget
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM, Profile
from egress.wire.srtp import GcmKeys
from tests.fakes.target import FakeTarget

SSRC, PAYLOAD_TYPE = 0x12345678, 102
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}

needs_native = pytest.mark.skipif(not native.BUILT, reason="egress.native was not built here")


def unreachable(_packet: bytes) -> bytes:
    raise AssertionError("not with GCM")


class Viewer:
    """One key with both fan-outs: a socket that the compiled one sends to, and a target that the other one fills."""

    def __init__(
        self,
        media_socket: MediaSocket,
        profile: Profile = SRTP_AEAD_AES_128_GCM,
        base: int = 0,
        *,
        local: bytes = b"",
    ) -> None:
        master = os.urandom(profile.master_size)
        self.socket = socket.socket(media_socket.family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((LOOPBACK[media_socket.family], 0))
        self.socket.settimeout(5)
        self.target = UdpTarget(media_socket, Path(self.socket.getsockname(), local))
        self.lane = Lane(base, SSRC, GcmKeys(profile, master, compiled=True), unreachable)
        self.expected = FakeTarget()
        self.plain_lane = Lane(base, SSRC, GcmKeys(profile, master, compiled=False), unreachable)

    def __del__(self) -> None:
        self.socket.close()

    def received(self, count: int) -> list[bytes]:
        """So many datagrams, and no more have come."""
        datagrams = [self.socket.recv(2_048) for _ in range(count)]
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            datagrams.append(self.socket.recv(2_048))
        self.socket.settimeout(5)
        return datagrams


def some_packets(sizes: list[int], *, probe: int = NOBODY) -> list[Packet]:
    last = len(sizes) - 1
    return [Packet(os.urandom(size), 90_000, 0x80 if at == last else 0, probe) for at, size in enumerate(sizes)]


def parcel_of(packets: list[Packet]) -> Parcel:
    return Parcel(list(runs(packets)), Group(SSRC, PAYLOAD_TYPE))


def send_both(
    packets: list[Packet], first: int, viewers: list[Viewer], extension: int = 0, playout: bytes = b""
) -> None:
    """By both fan-outs; every viewer got the same from both."""
    parcel = Parcel(list(runs(packets)), Group(SSRC, PAYLOAD_TYPE, extension, playout))
    assert fan_out(parcel, first, Audience([(viewer.lane, viewer.target) for viewer in viewers])) == {}
    fan_out(parcel, first, Audience([(viewer.plain_lane, viewer.expected) for viewer in viewers]))  # type: ignore[misc]  # fakes
    for viewer in viewers:
        assert viewer.received(len(packets)) == viewer.expected.take()
        assert (viewer.lane.packets, viewer.lane.octets) == (viewer.plain_lane.packets, viewer.plain_lane.octets)


def fill(sender: socket.socket) -> None:
    """Send until nothing goes in any more, nor after what the kernel is still moving to the other end has arrived."""
    full_since = time.monotonic()
    while time.monotonic() < full_since + 0.25:  # seconds: an acknowledgement may be delayed for 0.2 (RFC 9293 3.8.6.3)
        try:
            sender.send(bytes(1_000))
            full_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)


@contextlib.contextmanager
def stream_socket(room: int) -> Iterator[tuple[MediaSocket, socket.socket]]:
    """A media socket whose buffer has room for about so many bytes: UDP's cannot be filled on the loopback."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_304)
        sender = stack.enter_context(socket.create_connection(listener.getsockname()))
        receiver = stack.enter_context(listener.accept()[0])
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, max(room, 4_608))
        sender.setblocking(False)
        receiver.setblocking(False)
        if not room:
            fill(sender)
        media_socket = MediaSocket(socket.AF_INET, "", 0)
        media_socket.socket.close()
        media_socket.socket = sender
        yield media_socket, receiver
