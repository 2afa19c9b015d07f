"""The way of a datagram out of the machine: from which address, to which, and in one message with others or alone."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from typing import Any

import pytest

from egress import native
from egress.media.fanout import fan_out
from egress.media.group import Audience, Lane
from egress.wire.port import MediaSocket, _from_address
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM
from egress.wire.srtp import GcmKeys
from tests.fakes.native import SSRC, Viewer, needs_native, parcel_of, send_both, some_packets, unreachable

pytestmark = needs_native

IPV6_FLOWINFO, IPV6_FLOWINFO_SEND = 11, 33  # linux/in6.h: tell the flow of what comes, and send that of the address


@pytest.mark.parametrize("gso", [True, False], ids=["gso", "no-gso"])
@pytest.mark.parametrize("settled", [True, False], ids=["settled", "before"])
def test_the_address_of_ours_is_the_one_that_was_asked(ipv4: MediaSocket, gso: bool, settled: bool) -> None:
    ipv4.gso = gso
    viewer = Viewer(ipv4, local=bytes([127, 0, 0, 2]))
    if settled:
        assert viewer.target.route, "made once before"
        viewer.target.settle()
    fan_out(parcel_of(some_packets([20, 20])), 0, Audience([(viewer.lane, viewer.target)]))
    assert [viewer.socket.recvfrom(100)[1][0] for _ in range(2)] == ["127.0.0.2"] * 2


@pytest.mark.parametrize(
    ("media_socket", "local"),
    [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")],
    indirect=["media_socket"],
    ids=["ipv4", "ipv6"],
)
def test_an_address_that_is_not_ours_is_asked_for_and_refused(media_socket: MediaSocket, local: str) -> None:
    viewer = Viewer(media_socket, local=socket.inet_pton(media_socket.family, local))
    parcel = parcel_of(some_packets([20]))
    ((_, _, code),) = Audience([(viewer.lane, viewer.target)]).compiled.send(parcel.compiled, 0, 0, 1)
    with pytest.raises(OSError, match=os.strerror(code)):  # as by Python's own socket
        media_socket.socket.sendmsg([b"x"], _from_address(viewer.target.path.local), 0, viewer.target.path.remote)
    viewer.received(0)


def test_only_a_route_with_gso_has_a_run_in_one_message(ipv4: MediaSocket) -> None:
    ipv4.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_NO_CHECK", 11), 1)  # EINVAL with UDP_SEGMENT
    parcel = parcel_of(some_packets([90, 90, 10]))
    for gso, refused in ((True, [(0, 0, errno.EINVAL)]), (False, [])):
        ipv4.gso = gso
        viewer = Viewer(ipv4)
        assert Audience([(viewer.lane, viewer.target)]).compiled.send(parcel.compiled, 0, 0, 1) == refused
        assert len(viewer.received(0 if gso else 3)) == (0 if gso else 3)


def test_the_usual_address_is_not_named_any_more_once_it_is_known_to_be_that(ipv4: MediaSocket) -> None:
    viewer = Viewer(ipv4, local=bytes([127, 0, 0, 1]))
    before = viewer.target.route
    viewer.target.settle()
    assert viewer.target.route is not before
    send_both(some_packets([20, 20]), 0, [viewer])


def test_gso_that_is_refused_is_given_up_and_nothing_is_lost(media_socket: MediaSocket) -> None:
    media_socket.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_NO_CHECK", 11), 1)  # EINVAL with UDP_SEGMENT
    viewers = [Viewer(media_socket), Viewer(media_socket)]
    for first in (0, 3):
        send_both(some_packets([90, 90, 10]), first, viewers)
    assert media_socket.gso, "EINVAL is about this destination"
    assert media_socket.failed == 0


@pytest.mark.parametrize("code", [errno.EIO, errno.EOPNOTSUPP])
def test_gso_that_a_device_has_not_is_given_up_for_all(
    ipv4: MediaSocket, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The loopback has it, so the kernel's word is put into the compiled loop's mouth."""
    viewers = [Viewer(ipv4), Viewer(ipv4)]
    audience = Audience([(viewer.lane, viewer.target) for viewer in viewers])
    send, refused = native.Audience.send, []

    def refuses(self: native.Audience, *args: Any) -> list[tuple[int, int, int]]:
        if refused:
            return send(self, *args)
        refused.append(self)
        return [(0, 0, code), (1, 0, code)]

    monkeypatch.setattr(native.Audience, "send", refuses)
    packets = some_packets([90, 90, 10])
    assert fan_out(parcel_of(packets), 0, audience) == {}
    for viewer in viewers:
        fan_out(parcel_of(packets), 0, Audience([(viewer.plain_lane, viewer.expected)]))  # type: ignore[list-item]
        assert viewer.received(3) == viewer.expected.take()
    assert (ipv4.gso, ipv4.failed) == (False, 0)


def test_an_audience_learns_that_gso_was_refused(ipv4: MediaSocket) -> None:
    ipv4.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_NO_CHECK", 11), 1)
    viewers = [Viewer(ipv4), Viewer(ipv4)]
    audience = Audience([(viewer.lane, viewer.target) for viewer in viewers])
    parcel = parcel_of(some_packets([90, 90, 10]))
    assert fan_out(parcel, 0, audience) == {}
    assert audience.compiled.send(parcel.compiled, 3, 0, 2) == [], "nothing is refused any more"
    assert [len(viewer.received(6)) for viewer in viewers] == [6, 6]
    assert [(viewer.lane.packets, viewer.lane.octets) for viewer in viewers] == [(6, 380)] * 2


def test_an_audience_learns_that_another_one_was_refused_gso_to_the_same_target(ipv4: MediaSocket) -> None:
    """As where what is sent again is the first that a path without GSO gets of what is live."""
    viewer = Viewer(ipv4)
    live, alone = (Audience([(viewer.lane, viewer.target)]) for _ in range(2))
    assert fan_out(parcel_of(some_packets([90, 90])), 0, live) == {}
    ipv4.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_NO_CHECK", 11), 1)
    assert fan_out(parcel_of(some_packets([90, 90])), 2, alone) == {}
    assert fan_out(parcel_of(some_packets([90, 90])), 4, live) == {}
    assert len(viewer.received(6)) == 6
    assert ipv4.failed == 0


def test_only_the_two_families_of_udp_have_routes() -> None:
    address = bytes(16)
    made = [
        native.lib.camshaft_route_new(-1, 1, family, address, 9, 0, 0, b"", 0)
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_UNSPEC)
    ]
    assert [route != native.ffi.NULL for route in made] == [True, True, False, False]
    for route in made:
        native.lib.camshaft_route_free(route)


def test_an_address_of_ipv6_keeps_its_flow_and_its_interface() -> None:
    """As Python's own socket does it, whatever this machine makes of them."""
    try:
        ipv6 = MediaSocket(socket.AF_INET6, "::", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    parcel = native.PackedParcel([([bytes(12)], [b"x"])])
    lane = Lane(0, SSRC, GcmKeys(SRTP_AEAD_AES_128_GCM, os.urandom(28), compiled=True), unreachable)

    def send(remote: tuple[str, int, int, int]) -> int:
        """The errno of a datagram to ``remote``, the same by both."""
        route = native.route(sock.fileno(), True, sock.family, remote, b"")
        codes = [code for _, _, code in native.Audience([lane.compiled], [route]).send(parcel, 0, 0, 1)]
        expected = []
        try:
            sock.sendto(b"x", remote)
        except OSError as exc:
            expected.append(exc.errno)
        assert codes == expected
        return sum(codes)

    with contextlib.closing(ipv6.socket) as sock, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        peer.bind(("::1", 0))
        peer.settimeout(5)
        peer.setsockopt(socket.IPPROTO_IPV6, IPV6_FLOWINFO, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 1)
        assert send(("::1", peer.getsockname()[1], 0x12345, 0)) == 0
        flows = [peer.recvmsg(100, 100)[1][0][2] for _ in range(2)]
        assert flows == [(0x12345).to_bytes(4, "big")] * 2
        for scope in (socket.if_nametoindex("lo"), 0x7FFFFFFF, 0):
            send(("fe80::1", 9, 0, scope))
