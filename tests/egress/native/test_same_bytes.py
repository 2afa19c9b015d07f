"""The compiled fan-out sends byte for byte what the one in Python sends, which test_fanout.py decrypts with libsrtp."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

import common.native
from common.media import MAX_PAYLOAD, Batch, decode_frame, encode_batch, live_topic
from common.packed import Packed
from egress import native
from egress.media.fanout import Parcel, cuts, fan_out
from egress.media.group import GCM_TAG_SIZE, HEADER_SIZE, Audience, Group, Lane
from egress.media.history import ALL, NOBODY, Unit
from egress.media.target import MAX_SEGMENTS
from egress.path.playout import element
from egress.wire.port import MediaSocket, UdpTarget
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80, Profile
from tests.fakes.native import PAYLOAD_TYPE, SSRC, Viewer, needs_native, parcel_of, send_both, some_packets
from tests.fakes.target import FakeTarget

pytestmark = needs_native


@pytest.mark.parametrize("gso", [True, False], ids=["gso", "no-gso"])
@pytest.mark.parametrize("profile", [SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM], ids=["gcm128", "gcm256"])
def test_both_send_the_same(media_socket: MediaSocket, profile: Profile, gso: bool) -> None:
    media_socket.gso = gso
    viewers = [Viewer(media_socket, profile, base) for base in (0, 0, 700, -(1 << 40))]
    for sizes in ([1], [MAX_PAYLOAD, MAX_PAYLOAD, 5], [MAX_PAYLOAD + 2] * 53, [30] * MAX_SEGMENTS):
        send_both(some_packets(sizes), 1_000, viewers)
    assert media_socket.failed == media_socket.blocked == 0
    assert media_socket.gso is gso


def test_numbers_wrap_within_a_run_and_the_roc_counts(media_socket: MediaSocket) -> None:
    viewers = [Viewer(media_socket, base=base) for base in (0, 5, 0x10005, 0x1FFF8)]
    send_both(some_packets([30] * 20), 0x2FFFE, viewers)


def test_probes_carry_the_transport_wide_sequence_number(media_socket: MediaSocket) -> None:
    send_both(some_packets([MAX_PAYLOAD, 40], probe=ALL), 0x1FFFF, [Viewer(media_socket)], extension=3)
    send_both(some_packets([MAX_PAYLOAD] * 60 + [40]), 0x1FFFF, [Viewer(media_socket)], 3, element(6, 0.25))


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
        send_both(some_packets(sizes, probe=ALL if extension else NOBODY), first, viewers, extension)


def test_more_viewers_than_go_into_one_system_call(ipv4: MediaSocket) -> None:
    viewers = [Viewer(ipv4, base=number % 3) for number in range(300)]
    send_both(some_packets([9]), 10, viewers)
    send_both(some_packets([MAX_PAYLOAD] * 20), 11, viewers)
    ipv4.gso = False
    for viewer in viewers:
        viewer.target = UdpTarget(ipv4, viewer.target.path)
    send_both(some_packets([200] * 50), 31, viewers)


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


def test_a_run_whose_headers_are_alike_is_what_it_is_of_lists() -> None:
    header, last, payloads = b"header of 12", b"with  marker", [b"first", b"other", b"end"]
    alike, listed = (
        native.PackedParcel.alike(header, last, payloads),
        native.PackedParcel([([header] * 2 + [last], payloads)]),
    )
    assert alike.packets[:2] == listed.packets[:2]
    assert bytes(native.ffi.buffer(alike.packets[2])) == bytes(native.ffi.buffer(listed.packets[2]))
    assert native.PackedParcel.alike(header, last, [b"alone"]).packets[:2] == (last, b"alone")
    for too_short in ([b"first", b"x", b"end"], [b"x", b"longer", b"end"]):
        with pytest.raises(ValueError, match="first one's size"):
            native.PackedParcel.alike(header, last, too_short)
    with pytest.raises(ValueError, match="same size"):
        native.PackedParcel.alike(header, b"short", payloads)


@pytest.mark.parametrize("sizes", [[1], [300] * 9, [300, 2], [MAX_PAYLOAD] * 14 + [700], [256, 255], [90] * 64])
@pytest.mark.skipif(not common.native.BUILT, reason="common.native was not built here")
def test_what_lies_in_its_frame_is_sent_as_what_is_an_object_each(ipv4: MediaSocket, sizes: list[int]) -> None:
    payloads = [packet.payload for packet in some_packets(sizes)]
    frame = live_topic("yard") + encode_batch(Batch("video", "H264", 1, 0, 3_000, 5, 6, 2, payloads))
    (batch,) = decode_frame(frame).batches
    assert type(batch.payloads) is Packed
    group, viewer = Group(SSRC, PAYLOAD_TYPE), Viewer(ipv4, base=-70_000)
    for first, (held, start) in enumerate(((batch.payloads, 0), (payloads, 0), (batch.payloads, len(sizes) // 2))):
        unit = Unit(held, 3_000, 0x80, False, sum(sizes))
        parcel = Parcel.of_spans([(unit, start, len(sizes))], cuts(sizes[start:]), group)
        assert fan_out(parcel, 100 * first, Audience([(viewer.lane, viewer.target)])) == {}
        plain = Parcel.of_spans([(unit, start, len(sizes))], cuts(sizes[start:]), group)
        fan_out(plain, 100 * first, Audience([(viewer.plain_lane, viewer.expected)]))
        assert viewer.received(len(sizes) - start) == viewer.expected.take()


def test_a_place_beyond_the_end_of_what_was_received_is_refused() -> None:
    for at, stride, last_at in ((0, 4, 8), (9, 0, 0), (0, 9, 4), (2, 4, 6)):
        packed = Packed(b"0123456789", 2, 4, 4, at, stride, last_at)
        if max(at + 4, last_at + 4) > 10:
            with pytest.raises(ValueError, match="not all"):
                native.PackedParcel.alike(bytes(12), bytes(12), packed)
        else:
            native.PackedParcel.alike(bytes(12), bytes(12), packed)
