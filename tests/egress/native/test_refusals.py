"""Refusals of the kernel or of a cipher cost nobody else anything, are told once, and spend sequence numbers once."""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import itertools
import os
import socket

import pytest

from egress import native
from egress.media.fanout import fan_out
from egress.media.group import GCM_TAG_SIZE, HEADER_SIZE, Audience, Lane
from egress.wire.ice import Path
from egress.wire.port import MediaSocket, UdpTarget
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM
from egress.wire.srtp import GcmKeys
from tests.fakes.native import SSRC, Viewer, needs_native, parcel_of, some_packets, stream_socket, unreachable

pytestmark = needs_native


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


def test_a_refusal_is_told_once(ipv4: MediaSocket) -> None:
    viewers = [Viewer(ipv4), Viewer(ipv4)]
    closed = native.route(-1, True, socket.AF_INET, ("127.0.0.1", 9), b"")
    audience = native.Audience([viewer.lane.compiled for viewer in viewers], [viewers[0].target.route, closed])
    too_large, small = (native.PackedParcel([([bytes(12)], [bytes(size)])]) for size in (65_508, 9))
    assert audience.send(too_large, 0, 0, 2) == [(0, 1, errno.EMSGSIZE), (1, 1, errno.EBADF)]
    assert audience.send(small, 1, 0, 2) == [(1, 1, errno.EBADF)]


def test_each_lane_counts_what_has_left_on_it(ipv4: MediaSocket) -> None:
    viewers = [Viewer(ipv4) for _ in range(3)]
    lanes = [viewer.lane.compiled for viewer in viewers]
    parcel = native.PackedParcel([([bytes(12)], [b"alone"]), ([bytes(12)] * 2, [b"two", b"two"])])
    with socket.socket(socket.AF_UNIX) as other:  # refuses the second run as a device without GSO does
        without = native.route(other.fileno(), True, socket.AF_INET, ("127.0.0.1", 9), b"")
        routes = [viewers[0].target.route, without, viewers[2].target.route]
        assert native.Audience(lanes, routes).send(parcel, 0, 0, 3) == [(1, 1, errno.EOPNOTSUPP)]
    assert [(lane.packets, lane.octets) for lane in lanes] == [(3, 11), (1, 5), (3, 11)]


@pytest.mark.parametrize("packets", [1, 2])
def test_what_is_refused_is_told_by_its_errno(packets: int) -> None:
    lane = Lane(0, SSRC, GcmKeys(SRTP_AEAD_AES_128_GCM, os.urandom(28), compiled=True), unreachable)
    parcel = native.PackedParcel([([bytes(12)] * packets, [b"x"] * packets)] * 3)
    closed = native.route(-1, True, socket.AF_INET, ("127.0.0.1", 9), b"")
    refused = native.Audience([lane.compiled] * 2, [closed] * 2).send(parcel, 0, 0, 2)
    assert refused == [(0, 3, errno.EBADF), (1, 3, errno.EBADF)], "lost for good"
    with socket.socket(socket.AF_UNIX) as other:  # as a device without GSO, in which it says so to everything
        without = native.route(other.fileno(), True, socket.AF_INET, ("127.0.0.1", 9), b"")
        refused = native.Audience([lane.compiled] * 2, [without] * 2).send(parcel, 0, 0, 2)
    left = 3 if packets == 1 else 0
    assert refused == [(0, left, errno.EOPNOTSUPP), (1, left, errno.EOPNOTSUPP)], "a run is to be sent in another way"


def test_a_datagram_that_cannot_be_sent_does_not_keep_the_next_from_it(ipv4: MediaSocket) -> None:
    """As where packets are too large for a tunnel on the way, and the last ones are not."""
    viewer = Viewer(ipv4)
    parcel = native.PackedParcel([([bytes(12)], [bytes(65_000 + 480)]), ([bytes(12)], [b"small"])])
    refused = native.Audience([viewer.lane.compiled], [viewer.target.route]).send(parcel, 0, 0, 1)
    assert refused == [(0, 2, errno.EMSGSIZE)]
    assert len(viewer.received(1)[0]) == HEADER_SIZE + 5 + GCM_TAG_SIZE
