"""The compiled fan-out sends byte for byte what the one in Python sends, which test_fanout.py decrypts with libsrtp."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib.util
import itertools
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path as File
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from common.media import MAX_PAYLOAD, Kind
from egress import native
from egress.media import outbox
from egress.media.fanout import GCM_TAG_SIZE, HEADER_SIZE, Audience, Group, Lane, Parcel, fan_out, runs
from egress.media.feed import Feed
from egress.media.history import Packet
from egress.media.target import MAX_SEGMENTS
from egress.negotiation import Section
from egress.path.playout import element
from egress.wire.dtls import Identity
from egress.wire.ice import Path
from egress.wire.port import MediaSocket, UdpTarget, _from_address
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80, Profile
from egress.wire.srtp import GcmKeys
from tests.fakes.media import gop_stream
from tests.fakes.target import FakeTarget
from tests.fakes.watcher import VIDEO, VIDEO_WITHOUT_RTX, Watcher, push

SSRC, PAYLOAD_TYPE = 0x12345678, 102
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}

COMPILED = Identity(compiled=native.BUILT)

needs_native = pytest.mark.skipif(not native.BUILT, reason="egress.native was not built here")


def test_it_was_built_where_it_can_be(tmp_path: File) -> None:
    """Its failure would not be noticed otherwise: the installation goes on without it."""
    compiler = str(sysconfig.get_config_var("CC") or "cc").split()
    source = tmp_path / "headers.c"
    source.write_text("#include <Python.h>\n#include <openssl/evp.h>\n")
    command = [*compiler, "-E", "-I", sysconfig.get_path("include"), str(source)]
    if sys.platform != "linux" or shutil.which(compiler[0]) is None:
        pytest.skip(f"there is not all that it needs: {native.NEEDS}")
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip(f"there is not all that it needs: {native.NEEDS}")
    assert native.BUILT


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


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def media_socket(request: pytest.FixtureRequest) -> Iterator[MediaSocket]:
    try:
        opened = MediaSocket(request.param, LOOPBACK[request.param], 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    yield opened
    opened.socket.close()


@pytest.fixture
def ipv4() -> Iterator[MediaSocket]:
    opened = MediaSocket(socket.AF_INET, "", 0)
    yield opened
    opened.socket.close()


def some_packets(sizes: list[int], *, probe: bool = False) -> list[Packet]:
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
    fan_out(parcel, first, Audience([(viewer.plain_lane, viewer.expected) for viewer in viewers]))  # type: ignore[misc]
    for viewer in viewers:
        assert viewer.received(len(packets)) == viewer.expected.take()
        assert (viewer.lane.packets, viewer.lane.octets) == (viewer.plain_lane.packets, viewer.plain_lane.octets)


@needs_native
@pytest.mark.parametrize("gso", [True, False], ids=["gso", "no-gso"])
@pytest.mark.parametrize("profile", [SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM], ids=["gcm128", "gcm256"])
def test_both_send_the_same(media_socket: MediaSocket, profile: Profile, gso: bool) -> None:
    media_socket.gso = gso
    viewers = [Viewer(media_socket, profile, base) for base in (0, 0, 700, -(1 << 40))]
    for sizes in ([1], [MAX_PAYLOAD, MAX_PAYLOAD, 5], [MAX_PAYLOAD + 2] * 53, [30] * MAX_SEGMENTS):
        send_both(some_packets(sizes), 1_000, viewers)
    assert media_socket.failed == media_socket.blocked == 0
    assert media_socket.gso is gso


@needs_native
def test_numbers_wrap_within_a_run_and_the_roc_counts(media_socket: MediaSocket) -> None:
    viewers = [Viewer(media_socket, base=base) for base in (0, 5, 0x10005, 0x1FFF8)]
    send_both(some_packets([30] * 20), 0x2FFFE, viewers)


@needs_native
def test_probes_carry_the_transport_wide_sequence_number(media_socket: MediaSocket) -> None:
    send_both(some_packets([MAX_PAYLOAD, 40], probe=True), 0x1FFFF, [Viewer(media_socket)], extension=3)
    send_both(some_packets([MAX_PAYLOAD] * 60 + [40]), 0x1FFFF, [Viewer(media_socket)], 3, element(6, 0.25))


@needs_native
@settings(max_examples=50)
@given(
    st.lists(st.integers(1, MAX_PAYLOAD + 2), min_size=1, max_size=80),
    st.integers(0, 1 << 47),
    st.integers(0, 14),
    st.booleans(),
)
def test_whatever_is_sent_is_the_same(sizes: list[int], first: int, extension: int, gso: bool) -> None:
    media_socket = MediaSocket(socket.AF_INET, "", 0)
    with contextlib.closing(media_socket.socket):
        media_socket.gso = gso
        viewers = [Viewer(media_socket), Viewer(media_socket, base=first // 2)]
        send_both(some_packets(sizes, probe=bool(extension)), first, viewers, extension)


@needs_native
def test_more_viewers_than_go_into_one_system_call(ipv4: MediaSocket) -> None:
    viewers = [Viewer(ipv4, base=number % 3) for number in range(300)]
    send_both(some_packets([9]), 10, viewers)
    send_both(some_packets([MAX_PAYLOAD] * 20), 11, viewers)
    ipv4.gso = False
    for viewer in viewers:
        viewer.target = UdpTarget(ipv4, viewer.target.path)
    send_both(some_packets([200] * 50), 31, viewers)


@needs_native
def test_viewers_of_both_sockets_and_of_both_ways_to_encrypt_share_a_group(ipv4: MediaSocket) -> None:
    try:
        ipv6 = MediaSocket(socket.AF_INET6, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with contextlib.closing(ipv6.socket):
        viewers = [Viewer(ipv4), Viewer(ipv6), Viewer(ipv4), Viewer(ipv6)]
        profile = SRTP_AES128_CM_SHA1_80
        key = os.urandom(profile.master_size)
        policies = [
            Policy(key=key, ssrc_type=kind, srtp_profile=profile.libsrtp)
            for kind in (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND)
        ]
        outbound, inbound = map(Session, policies)
        without_gcm = Lane(0, SSRC, None, outbound.protect), FakeTarget()
        packets = some_packets([50, 40])
        lanes = [(viewer.lane, viewer.target) for viewer in viewers]
        lanes.insert(2, without_gcm)  # type: ignore[arg-type]
        assert fan_out(parcel_of(packets), 7, Audience(lanes)) == {}
        assert [inbound.unprotect(d)[HEADER_SIZE:] for d in without_gcm[1].take()] == [p.payload for p in packets]
        for viewer in viewers:
            assert [len(d) - HEADER_SIZE - GCM_TAG_SIZE for d in viewer.received(2)] == [50, 40]
        assert [lane.packets for lane, _ in lanes] == [2] * 5


@needs_native
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


@needs_native
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


@needs_native
def test_only_a_route_with_gso_has_a_run_in_one_message(ipv4: MediaSocket) -> None:
    ipv4.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_NO_CHECK", 11), 1)  # EINVAL with UDP_SEGMENT
    parcel = parcel_of(some_packets([90, 90, 10]))
    for gso, refused in ((True, [(0, 0, errno.EINVAL)]), (False, [])):
        ipv4.gso = gso
        viewer = Viewer(ipv4)
        assert Audience([(viewer.lane, viewer.target)]).compiled.send(parcel.compiled, 0, 0, 1) == refused
        assert len(viewer.received(0 if gso else 3)) == (0 if gso else 3)


@needs_native
def test_the_usual_address_is_not_named_any_more_once_it_is_known_to_be_that(ipv4: MediaSocket) -> None:
    viewer = Viewer(ipv4, local=bytes([127, 0, 0, 1]))
    before = viewer.target.route
    viewer.target.settle()
    assert viewer.target.route is not before
    send_both(some_packets([20, 20]), 0, [viewer])


@needs_native
def test_gso_that_is_refused_is_given_up_and_nothing_is_lost(media_socket: MediaSocket) -> None:
    media_socket.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_NO_CHECK", 11), 1)  # EINVAL with UDP_SEGMENT
    viewers = [Viewer(media_socket), Viewer(media_socket)]
    for first in (0, 3):
        send_both(some_packets([90, 90, 10]), first, viewers)
    assert media_socket.gso, "EINVAL is about this destination"
    assert media_socket.failed == 0


@needs_native
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


@needs_native
def test_a_viewer_that_no_socket_leads_to_shares_a_group_and_is_served_without_it(ipv4: MediaSocket) -> None:
    direct, other = Viewer(ipv4), Viewer(ipv4)
    packets = some_packets([MAX_PAYLOAD, MAX_PAYLOAD, 90])
    audience = Audience([(other.lane, other.expected), (direct.lane, direct.target)])
    assert audience.border == 1
    assert fan_out(parcel_of(packets), 7, audience) == {}
    assert len(direct.received(3)) == 3
    framed = other.expected.take()
    assert fan_out(parcel_of(packets), 7, Audience([(other.plain_lane, other.expected)])) == {}
    assert framed == other.expected.take()
    assert (other.lane.packets, other.lane.octets) == (3, 2 * MAX_PAYLOAD + 90)


@needs_native
def test_an_audience_learns_that_gso_was_refused(ipv4: MediaSocket) -> None:
    ipv4.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_NO_CHECK", 11), 1)
    viewers = [Viewer(ipv4), Viewer(ipv4)]
    audience = Audience([(viewer.lane, viewer.target) for viewer in viewers])
    parcel = parcel_of(some_packets([90, 90, 10]))
    assert fan_out(parcel, 0, audience) == {}
    assert audience.compiled.send(parcel.compiled, 3, 0, 2) == [], "nothing is refused any more"
    assert [len(viewer.received(6)) for viewer in viewers] == [6, 6]
    assert [(viewer.lane.packets, viewer.lane.octets) for viewer in viewers] == [(6, 380)] * 2


@needs_native
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


@needs_native
def test_a_destination_that_takes_nothing_costs_the_others_nothing(ipv4: MediaSocket) -> None:
    before, nobody, after = Viewer(ipv4), Viewer(ipv4), Viewer(ipv4)
    nobody.target = UdpTarget(ipv4, Path(("127.0.0.1", 0)))
    audience = Audience([(viewer.lane, viewer.target) for viewer in (before, nobody, after)])
    for first in (0, 3):
        assert fan_out(parcel_of(some_packets([90, 90, 10])), first, audience) == {}
    assert (len(before.received(6)), len(after.received(6))) == (6, 6)
    assert ipv4.failed == 2
    assert nobody.lane.packets == 6, "lost, and no reason to stop"
    assert ipv4.gso


@needs_native
def test_nothing_of_an_earlier_call_is_sent_after_a_refusal(ipv4: MediaSocket) -> None:
    nobody, viewer = Viewer(ipv4), Viewer(ipv4)
    nobody.target = UdpTarget(ipv4, Path(("127.0.0.1", 0)))
    audience = Audience([(each.lane, each.target) for each in (viewer, nobody, viewer)])
    parcels = [parcel_of(some_packets([200] * count)) for count in (40, 1)]
    ipv4.gso = False
    viewer.target = UdpTarget(ipv4, viewer.target.path)
    fan_out(parcels[0], 0, Audience([(viewer.lane, viewer.target)]))
    assert len(viewer.received(40)) == 40
    fan_out(parcels[1], 40, audience)
    assert len(viewer.received(2)) == 2


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


@needs_native
@pytest.mark.parametrize("gso", [True, False], ids=["gso", "no-gso"])
def test_a_full_buffer_is_reported_and_costs_the_others_nothing(ipv4: MediaSocket, gso: bool) -> None:
    with stream_socket(room=0) as (full, _receiver):
        full.gso = gso
        stuck, well = Viewer(full), Viewer(ipv4)
        audience = Audience([(stuck.lane, stuck.target), (well.lane, well.target)])
        assert fan_out(parcel_of(some_packets([9, 9])), 0, audience) == {stuck.lane: 0}
        assert (stuck.lane.packets, well.lane.packets) == (0, 2)
        assert len(well.received(2)) == 2
        assert full.blocked == 1


@needs_native
@pytest.mark.parametrize("gso", [True, False], ids=["gso", "no-gso"])
@pytest.mark.parametrize("room", [8_192, 200_000], ids=["first-run", "later-run"])
def test_a_run_of_which_something_left_is_not_to_be_sent_again(room: int, gso: bool) -> None:
    """Its sequence numbers are spent: with other content they would be a nonce used twice."""
    with stream_socket(room) as (filling, receiver):
        filling.gso = gso
        viewer = Viewer(filling)
        parcel = parcel_of(some_packets([1_000] * 50) * 100)
        lacking = fan_out(parcel, 0, Audience([(viewer.lane, viewer.target)]))
        assert list(lacking) == [viewer.lane]
        assert 0 < lacking[viewer.lane] < parcel.packets
        assert viewer.lane.packets == lacking[viewer.lane]
        filling.socket.shutdown(socket.SHUT_WR)
        receiver.settimeout(10)
        arrived = 0
        while data := receiver.recv(1 << 20):
            arrived += len(data)
        begun = arrived // (HEADER_SIZE + 1_000 + GCM_TAG_SIZE)  # packets that something has left of, and perhaps more
        assert lacking[viewer.lane] in itertools.accumulate(map(len, parcel.runs))
        assert lacking[viewer.lane] >= begun


@needs_native
@pytest.mark.parametrize("gso", [True, False], ids=["gso", "no-gso"])
def test_a_viewer_whose_buffer_is_full_has_no_further_turn(ipv4: MediaSocket, gso: bool) -> None:
    """There is more for it than goes into one system call: what comes after would leave a gap in what it gets."""
    with stream_socket(room=0) as (full, _receiver):
        full.gso = ipv4.gso = gso
        stuck, well = Viewer(full), Viewer(ipv4)
        parcel = parcel_of(some_packets([1_000] * 300))
        audience = Audience([(stuck.lane, stuck.target), (well.lane, well.target)])
        [(which, sent, code)] = audience.compiled.send(parcel.compiled, 0, 0, 2)
        assert (which, code) == (0, errno.EAGAIN)
        assert sent <= 1, "the kernel may find room for one after it had none"
        assert (stuck.lane.packets, well.lane.packets) == (sent, 300)
        assert len(well.received(300)) == 300
        assert audience.compiled.send(parcel.compiled, 0, 0, 0) == [], "nothing is left over for another call"


@needs_native
def test_a_viewer_whose_packets_cannot_be_encrypted_costs_the_others_nothing(ipv4: MediaSocket) -> None:
    before, broken, after = (Viewer(ipv4) for _ in range(3))
    built = importlib.util.find_spec("egress.native._fanout")
    assert built is not None
    crypto = ctypes.CDLL(built.origin)  # leads to the OpenSSL that it was linked with
    crypto.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
    crypto.EVP_CIPHER_CTX_free.argtypes = [ctypes.c_void_p]
    without_key = crypto.EVP_CIPHER_CTX_new()
    broken.lane.compiled.cipher = native.ffi.cast("struct camshaft_cipher *", without_key)
    viewers = [before, broken, after]
    audience = Audience([(viewer.lane, viewer.target) for viewer in viewers])
    parcel = parcel_of(some_packets([40, 40, 50, 50]))
    try:
        assert audience.compiled.send(parcel.compiled, 0, 0, 3) == [(1, 2, errno.EPROTO)], "lost, and told once"
    finally:
        crypto.EVP_CIPHER_CTX_free(without_key)
    assert [len(viewer.received(count)) for viewer, count in zip(viewers, (4, 0, 4), strict=True)] == [4, 0, 4]


@needs_native
def test_a_refusal_is_told_once(ipv4: MediaSocket) -> None:
    viewers = [Viewer(ipv4), Viewer(ipv4)]
    closed = native.route(-1, True, socket.AF_INET, ("127.0.0.1", 9), b"")
    audience = native.Audience([viewer.lane.compiled for viewer in viewers], [viewers[0].target.route, closed])
    too_large, small = (native.Parcel([([bytes(12)], [bytes(size)])]) for size in (65_508, 9))
    assert audience.send(too_large, 0, 0, 2) == [(0, 1, errno.EMSGSIZE), (1, 1, errno.EBADF)]
    assert audience.send(small, 1, 0, 2) == [(1, 1, errno.EBADF)]


@needs_native
def test_each_lane_counts_what_has_left_on_it(ipv4: MediaSocket) -> None:
    viewers = [Viewer(ipv4) for _ in range(3)]
    lanes = [viewer.lane.compiled for viewer in viewers]
    parcel = native.Parcel([([bytes(12)], [b"alone"]), ([bytes(12)] * 2, [b"two", b"two"])])
    with socket.socket(socket.AF_UNIX) as other:  # refuses the second run as a device without GSO does
        without = native.route(other.fileno(), True, socket.AF_INET, ("127.0.0.1", 9), b"")
        routes = [viewers[0].target.route, without, viewers[2].target.route]
        assert native.Audience(lanes, routes).send(parcel, 0, 0, 3) == [(1, 1, errno.EOPNOTSUPP)]
    assert [(lane.packets, lane.octets) for lane in lanes] == [(3, 11), (1, 5), (3, 11)]


@needs_native
@pytest.mark.parametrize("packets", [1, 2])
def test_what_is_refused_is_told_by_its_errno(packets: int) -> None:
    lane = Lane(0, SSRC, GcmKeys(SRTP_AEAD_AES_128_GCM, os.urandom(28), compiled=True), unreachable)
    parcel = native.Parcel([([bytes(12)] * packets, [b"x"] * packets)] * 3)
    closed = native.route(-1, True, socket.AF_INET, ("127.0.0.1", 9), b"")
    refused = native.Audience([lane.compiled] * 2, [closed] * 2).send(parcel, 0, 0, 2)
    assert refused == [(0, 3, errno.EBADF), (1, 3, errno.EBADF)], "lost for good"
    with socket.socket(socket.AF_UNIX) as other:  # as a device without GSO, in which it says so to everything
        without = native.route(other.fileno(), True, socket.AF_INET, ("127.0.0.1", 9), b"")
        refused = native.Audience([lane.compiled] * 2, [without] * 2).send(parcel, 0, 0, 2)
    left = 3 if packets == 1 else 0
    assert refused == [(0, left, errno.EOPNOTSUPP), (1, left, errno.EOPNOTSUPP)], "a run is to be sent in another way"


@needs_native
@pytest.mark.parametrize(
    "payloads",
    [[bytes(1_200)] * 200, [bytes(900)] * 129, [bytes(33_000)] * 4, [bytes(65_600), b"1"], [bytes(65_508), b"1"]],
    ids=["bytes", "packets", "scratch", "datagram", "a-byte"],
)
def test_no_run_is_too_long_for_it(payloads: list[bytes]) -> None:
    """Nor has it a datagram whose size does not go into the 16 bits by which the kernel is told."""
    with pytest.raises(ValueError, match="longer"):
        native.Audience([], []).send(native.Parcel([([bytes(12)] * len(payloads), payloads)]), 0, 0, 0)


@needs_native
def test_a_run_of_nothing_is_none() -> None:
    """Python makes none; in C it would have as many packets as a number can say."""
    run, nobody = native.ffi.new("struct camshaft_run *", (0, 12, 1, 1)), native.ffi.NULL
    assert native.lib.camshaft_fan_out(b"", b"", run, 1, 0, nobody, nobody, nobody, nobody, 0) == -1


@needs_native
def test_the_longest_runs_are_not_too_long_for_it() -> None:
    for payloads in ([bytes(900)] * 128, [bytes(65_507), b"1"], [bytes(65_600)]):
        assert native.Audience([], []).send(native.Parcel([([bytes(12)] * len(payloads), payloads)]), 0, 0, 0) == []


@needs_native
def test_runs_may_fill_what_is_reserved_for_them_to_the_last_byte(ipv4: MediaSocket) -> None:
    viewer = Viewer(ipv4)
    whole = [bytes(65_536 - HEADER_SIZE - GCM_TAG_SIZE)]  # more than UDP takes, and half of what is reserved
    parcel = native.Parcel([([bytes(12)], whole), ([bytes(12)], whole)])
    refused = native.Audience([viewer.lane.compiled], [viewer.target.route]).send(parcel, 0, 0, 1)
    assert refused == [(0, 2, errno.EMSGSIZE)]
    viewer.received(0)


@needs_native
def test_only_the_two_families_of_udp_have_routes() -> None:
    address = bytes(16)
    made = [
        native.lib.camshaft_route_new(-1, 1, family, address, 9, 0, 0, b"", 0)
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_UNSPEC)
    ]
    assert [route != native.ffi.NULL for route in made] == [True, True, False, False]
    for route in made:
        native.lib.camshaft_route_free(route)


@needs_native
def test_a_run_whose_headers_are_alike_is_what_it_is_of_lists() -> None:
    header, last, payloads = b"header of 12", b"with  marker", [b"first", b"other", b"end"]
    alike, listed = native.Parcel.alike(header, last, payloads), native.Parcel([([header] * 2 + [last], payloads)])
    assert alike.packets[:2] == listed.packets[:2]
    assert bytes(native.ffi.buffer(alike.packets[2])) == bytes(native.ffi.buffer(listed.packets[2]))
    assert native.Parcel.alike(header, last, [b"alone"]).packets[:2] == (last, b"alone")
    for too_short in ([b"first", b"x", b"end"], [b"x", b"longer", b"end"]):
        with pytest.raises(ValueError, match="first one's size"):
            native.Parcel.alike(header, last, too_short)
    with pytest.raises(ValueError, match="same size"):
        native.Parcel.alike(header, b"short", payloads)


@needs_native
@pytest.mark.parametrize(
    ("headers", "payloads"),
    [([bytes(12)] * 3, [b"12", b"1", b"12"]), ([bytes(12)] * 2, [b"1"] * 3), ([bytes(12), bytes(20)], [b"1"] * 2)],
)
def test_what_would_make_c_read_beyond_the_end_is_refused(headers: list[bytes], payloads: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"same size|first one's size"):
        native.Parcel([(headers, payloads)])


@needs_native
@pytest.mark.parametrize(("start", "stop"), [(-1, 0), (0, 2), (1, 0)])
def test_nobody_is_beyond_the_ends_of_an_audience(ipv4: MediaSocket, start: int, stop: int) -> None:
    viewer = Viewer(ipv4)
    audience, parcel = (
        native.Audience([viewer.lane.compiled], [viewer.target.route]),
        native.Parcel([([bytes(12)], [b"1"])]),
    )
    with pytest.raises(ValueError, match="at that place"):
        audience.send(parcel, 0, start, stop)
    with pytest.raises(ValueError, match="a route"):
        native.Audience([viewer.lane.compiled], [])


@needs_native
def test_a_datagram_that_cannot_be_sent_does_not_keep_the_next_from_it(ipv4: MediaSocket) -> None:
    """As where packets are too large for a tunnel on the way, and the last ones are not."""
    viewer = Viewer(ipv4)
    parcel = native.Parcel([([bytes(12)], [bytes(65_000 + 480)]), ([bytes(12)], [b"small"])])
    refused = native.Audience([viewer.lane.compiled], [viewer.target.route]).send(parcel, 0, 0, 1)
    assert refused == [(0, 2, errno.EMSGSIZE)]
    assert len(viewer.received(1)[0]) == HEADER_SIZE + 5 + GCM_TAG_SIZE


IPV6_FLOWINFO, IPV6_FLOWINFO_SEND = 11, 33  # linux/in6.h: tell the flow of what comes, and send that of the address


@needs_native
def test_an_address_of_ipv6_keeps_its_flow_and_its_interface() -> None:
    """As Python's own socket does it, whatever this machine makes of them."""
    try:
        ipv6 = MediaSocket(socket.AF_INET6, "::", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    parcel = native.Parcel([([bytes(12)], [b"x"])])
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


class CompiledWatcher(Watcher):
    """A browser that is sent to through a socket, by the compiled loop."""

    def __init__(self, feed: Feed, media_socket: MediaSocket, section: Section) -> None:
        self.socket = socket.socket(media_socket.family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((LOOPBACK[media_socket.family], 0))
        self.socket.setblocking(False)
        super().__init__(feed, section, identity=COMPILED)
        self.sender.retarget(UdpTarget(media_socket, Path(self.socket.getsockname())), 0.0)

    def __del__(self) -> None:
        self.socket.close()

    def received(self) -> list[tuple[int, int]]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.target.datagrams.append(self.socket.recv(2_048))
        return super().received()


@needs_native
def test_who_leaves_and_comes_back_between_slices_gets_everything_once(
    ipv4: MediaSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside viewers that it does not serve."""
    monkeypatch.setattr(outbox, "SLICE", 1)
    waiting: list[Callable[[], None]] = []
    feed, stream = Feed(Kind.VIDEO, waiting.append), gop_stream(packets=5)
    watchers = [CompiledWatcher(feed, ipv4, VIDEO), Watcher(feed), CompiledWatcher(feed, ipv4, VIDEO), Watcher(feed)]
    for watcher in watchers:
        watcher.sender.start(now=0.0)
    push(feed, stream, 2)
    for watcher in (*watchers[2:], watchers[0]):
        watcher.sender.cursor.slow_down(feed.history.end)
        watcher.catch_up()
    watchers[1].sender.retarget(watchers[1].target, 0.0)  # type: ignore[arg-type]
    watchers[1].catch_up()
    while waiting:
        waiting.pop()()
    push(feed, stream, 1)
    while waiting:
        waiting.pop()()
    assert [watcher.numbers() for watcher in watchers] == [list(range(15))] * 4
    assert [watcher.sender.lane.packets for watcher in watchers] == [15] * 4


@needs_native
@pytest.mark.parametrize("section", [VIDEO, VIDEO_WITHOUT_RTX], ids=["rtx", "no-rtx"])
def test_a_viewer_is_served_by_it_from_the_first_picture_to_what_was_lost(ipv4: MediaSocket, section: Section) -> None:
    feed, stream = Feed(Kind.VIDEO), gop_stream(packets=5)
    push(feed, stream, 3)
    watcher = CompiledWatcher(feed, ipv4, section)
    watcher.sender.start(now=0.0)
    watcher.catch_up()
    push(feed, stream, 2)
    first = watcher.received()
    assert [number for _, number in first] == list(range(25))
    lost = [sequence for sequence, _ in first[7:9]]
    watcher.sender.retransmit(lost, now=1.0)
    again = watcher.received()
    if section is VIDEO:
        assert len(again) == 2, "on the SSRC for retransmissions"
    else:
        assert again == [], "the same packets, which libsrtp knows to be repeated"
    assert watcher.sender.retransmission.stats.retransmitted == 2
