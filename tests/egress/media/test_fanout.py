import os
import struct

import pytest
from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from common.media import MAX_PAYLOAD
from egress import native
from egress.media.fanout import MAX_RUN_BYTES, Parcel, cuts_of, fan_out, runs
from egress.media.group import GCM_TAG_SIZE, HEADER_SIZE, Audience, Group, Lane
from egress.media.history import ALL, NOBODY, WATCHED, History, Packet, Unit
from egress.media.target import MAX_SEGMENTS
from egress.path.playout import element
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80, Profile
from egress.wire.srtp import GcmKeys
from tests.fakes.target import FakeTarget

SSRC, PAYLOAD_TYPE = 0x12345678, 102


class Receiver:
    """One viewer, whose libsrtp decrypts what the fan-out sends."""

    def __init__(self, profile: Profile = SRTP_AEAD_AES_128_GCM, base: int = 0) -> None:
        master = os.urandom(profile.master_size)

        def session(kind: int) -> Session:
            return Session(Policy(key=master, ssrc_type=kind, srtp_profile=profile.libsrtp))

        self.rx = session(Policy.SSRC_ANY_INBOUND)
        self.target = FakeTarget()
        protect = session(Policy.SSRC_ANY_OUTBOUND).protect
        if profile is SRTP_AES128_CM_SHA1_80:
            self.lane = Lane(base, SSRC, None, protect)
        else:
            self.lane = Lane(base, SSRC, GcmKeys(profile, master, compiled=False), protect)

    def received(self) -> list[rtp.RtpPacket]:
        return [rtp.RtpPacket.parse(self.rx.unprotect(datagram)) for datagram in self.target.take()]


def audience(*receivers: Receiver) -> Audience:
    return Audience([(receiver.lane, receiver.target) for receiver in receivers])  # type: ignore[misc]  # fakes


def send(packets: list[Packet], first: int, *receivers: Receiver) -> list[Lane]:
    return list(fan_out(Parcel([packets], Group(SSRC, PAYLOAD_TYPE)), first, audience(*receivers)))


def some_packets(sizes: list[int], timestamp: int = 90_000) -> list[Packet]:
    return [Packet(os.urandom(size), timestamp, 0x80 if n == len(sizes) - 1 else 0) for n, size in enumerate(sizes)]


def test_the_bytes_of_a_run() -> None:
    target, lane = FakeTarget(), Lane(100, SSRC, None, bytes)  # encrypts nothing
    packets = [Packet(b"\x41abc", 0x00015F90, 0), Packet(b"\x41d", 0x00015F90, 0x80)]
    fan_out(Parcel([packets], Group(SSRC, PAYLOAD_TYPE)), 107, Audience([(lane, target)]))
    assert b"".join(target.take()) == (
        b"\x80\x66\x00\x07"  # RFC 3550 5.1: version 2; payload type 102; number: index less base
        b"\x00\x01\x5f\x90\x12\x34\x56\x78\x41abc"  # timestamp, SSRC, payload
        b"\x80\xe6\x00\x08"  # marker: the picture's last
        b"\x00\x01\x5f\x90\x12\x34\x56\x78\x41d"
    )


@pytest.mark.parametrize(
    "profile", [SRTP_AEAD_AES_128_GCM, SRTP_AEAD_AES_256_GCM, SRTP_AES128_CM_SHA1_80], ids=["gcm128", "gcm256", "cm"]
)
def test_every_viewer_decrypts_the_same_packets_with_its_own_key(profile: Profile) -> None:
    receivers = [Receiver(profile) for _ in range(3)]
    packets = some_packets([MAX_PAYLOAD, MAX_PAYLOAD, 5])
    assert send(packets, 700, *receivers) == []
    assert receivers[0].target.datagrams != receivers[1].target.datagrams
    for receiver in receivers:
        assert receiver.target.calls == 1
        assert max(map(len, receiver.target.datagrams)) <= 1_200
        received = receiver.received()
        assert [p.payload for p in received] == [p.payload for p in packets]
        assert [p.sequence_number for p in received] == [700, 701, 702]
        assert [p.marker for p in received] == [0, 0, 1]
        assert {(p.ssrc, p.payload_type, p.timestamp) for p in received} == {(SSRC, PAYLOAD_TYPE, 90_000)}
        assert (receiver.lane.packets, receiver.lane.octets) == (3, 2 * MAX_PAYLOAD + 5)


def test_lanes_of_different_rounds_share_headers_but_not_the_roc() -> None:
    """Equal offset mod 2**16, but one viewer has already been through the number space once."""
    old, new = Receiver(base=0), Receiver(base=0x10000)
    for index in range(0, 0x10000, 0x4000):  # brings the old viewer's libsrtp to ROC 1
        send(some_packets([9]), index, old)
    old.received()
    assert send(some_packets([9]), 0x10005, old, new) == []
    assert old.received()[0].sequence_number == 5
    assert new.received()[0].sequence_number == 5


@pytest.mark.parametrize("profile", [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80], ids=["gcm", "cm"])
def test_the_sequence_number_wraps_within_a_run(profile: Profile) -> None:
    receiver = Receiver(profile)
    send(some_packets([9]), 0xFFF0, receiver)
    send(some_packets([9] * 20), 0xFFF1, receiver)
    numbers = [p.sequence_number for p in receiver.received()]
    assert numbers == [*range(0xFFF0, 0x10000), *range(5)]


def test_a_full_buffer_is_reported_and_costs_the_others_nothing() -> None:
    stuck, well = Receiver(), Receiver()
    stuck.target.full = True
    assert send(some_packets([9]), 0, stuck, well) == [stuck.lane]
    assert stuck.lane.packets == 0
    assert len(well.received()) == 1


@pytest.mark.parametrize("profile", [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80], ids=["gcm", "cm"])
def test_lanes_with_numbers_of_their_own_share_a_group(profile: Profile) -> None:
    """Also where one wraps within the run, in an even round and in an odd one, and the next does not."""
    bases = [0, 5, 0x10000 + 5, 0, 0x1FFF8, 0xFFF8, 40]
    receivers = [Receiver(profile, base) for base in bases]
    first = 0x2FFFE  # the index
    for receiver, base in zip(receivers, bases, strict=True):
        for index in range(base, first, 0x4000):  # brings libsrtp to the receiver's round
            send(some_packets([9]), index, receiver)
        receiver.received()
    packets = some_packets([30] * 9)
    assert send(packets, first, *receivers) == []
    for receiver, base in zip(receivers, bases, strict=True):
        received = receiver.received()
        assert [p.sequence_number for p in received] == [(first - base + n) & 0xFFFF for n in range(9)]
        assert [p.payload for p in received] == [p.payload for p in packets]


def test_probes_carry_the_transport_wide_sequence_number_to_those_who_accept_it() -> None:
    accepts, does_not = Receiver(base=0x10000), Receiver(base=0x10000)
    packets = [p._replace(probe=ALL) for p in some_packets([MAX_PAYLOAD, 40])]
    for receiver, extension in ((accepts, 3), (does_not, 0)):
        fan_out(Parcel([packets], Group(SSRC, PAYLOAD_TYPE, extension)), 0x1FFFF, audience(receiver))
    assert max(map(len, accepts.target.datagrams)) <= 1_200 - 2, "room for the two bytes of RTX"
    extensions = rtp.HeaderExtensionsMap()
    uri = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    extensions.configure(RTCRtpParameters(headerExtensions=[RTCRtpHeaderExtensionParameters(3, uri)]))
    received = [rtp.RtpPacket.parse(accepts.rx.unprotect(d), extensions) for d in accepts.target.datagrams]
    assert [p.extensions.transport_sequence_number for p in received] == [0xFFFF, 0]
    assert [p.payload for p in received] == [p.payload for p in packets]
    assert [p.payload for p in does_not.received()] == [p.payload for p in packets]


def test_a_playout_delay_is_in_every_packet() -> None:
    receiver = Receiver(base=0x10000)
    group = Group(SSRC, PAYLOAD_TYPE, 3, element(6, 0.25))
    packets = some_packets([MAX_PAYLOAD, 40])
    for probe in (ALL, NOBODY):
        parcel = Parcel([[p._replace(probe=probe) for p in packets]], group)
        fan_out(parcel, 0x1FFFE if probe else 0x20000, audience(receiver))
    assert max(map(len, receiver.target.datagrams)) <= 1_200
    received = [receiver.rx.unprotect(datagram) for datagram in receiver.target.datagrams]
    for number, plain in zip((0xFFFE, 0xFFFF, 0, 1), received, strict=True):
        parsed = rtp.RtpPacket.parse(plain)
        assert parsed.sequence_number == number
        assert parsed.payload in [p.payload for p in packets]
        profile, elements = 0xBEDE, plain[16:24]
        assert plain[12:16] == struct.pack("!HH", profile, len(elements) // 4)
        assert rtp.unpack_header_extensions(profile, elements) == [
            (3, struct.pack("!H", number)),
            (6, ((25 << 12) | 1_000).to_bytes(3, "big")),  # 250 ms at least, 10 s at most
        ]


@given(st.lists(st.tuples(st.integers(1, MAX_PAYLOAD + 2), st.sampled_from([NOBODY, ALL, WATCHED])), max_size=200))
def test_runs_are_what_gso_can_send(sizes: list[tuple[int, int]]) -> None:
    packets = [Packet(bytes(size), 0, 0, probe) for size, probe in sizes]
    cut = list(runs(packets))
    assert [p for run in cut for p in run] == packets
    for run in cut:
        lengths = [len(p.payload) for p in run]
        assert set(lengths[:-1]) <= {lengths[0]}
        assert lengths[-1] <= lengths[0]
        assert len(run) <= MAX_SEGMENTS
        assert len({p.probe for p in run}) == 1
        assert sum(lengths) + len(run) * (HEADER_SIZE + GCM_TAG_SIZE) <= MAX_RUN_BYTES


BATCHES = st.one_of(
    st.tuples(st.integers(0, 90), st.sampled_from([MAX_PAYLOAD, 40, 1]), st.integers(1, MAX_PAYLOAD)).map(
        lambda shape: [*[shape[1]] * shape[0], shape[2]]
    ),
    st.lists(st.sampled_from([3, 5, MAX_PAYLOAD]), min_size=1, max_size=8),
)


@given(st.data(), st.sampled_from([(0, b""), (3, b""), (3, element(6, 0.25))]))
def test_batches_are_cut_and_written_as_their_packets_are(data: st.DataObject, ids: tuple[int, bytes]) -> None:
    history = History()
    for number, sizes in enumerate(data.draw(st.lists(BATCHES, min_size=1, max_size=3))):
        marker, probe = 0x80 * data.draw(st.booleans()), data.draw(st.sampled_from([NOBODY, ALL, WATCHED]))
        unit = Unit([os.urandom(size) for size in sizes], number, marker, probe, sum(sizes))
        history.append(unit, 0.0, keyframe=False)
    first = data.draw(st.integers(0, history.end - 1))
    count = data.draw(st.integers(1, history.end + 1))
    spans, packets, group = history.spans(first, count), history.slice(first, count), Group(SSRC, PAYLOAD_TYPE, *ids)
    assert packets == [history.get(index) for index in range(first, min(first + count, history.end))]
    at_once, one_by_one = Parcel.of_spans(spans, cuts_of(spans), group), Parcel(list(runs(packets)), group)
    assert at_once.packets == one_by_one.packets
    assert list(at_once.runs) == list(one_by_one.runs)
    if native.BUILT:
        assert at_once.compiled.packets[:2] == one_by_one.compiled.packets[:2]


def test_a_large_access_unit_takes_few_runs() -> None:
    sizes = [30, *[MAX_PAYLOAD] * 120, 7]
    assert [len(run) for run in runs(some_packets(sizes))] == [1, 53, 53, 15]


class Routed(FakeTarget):
    """One that the compiled loop could send to."""

    route = object()  # type: ignore[assignment]


def test_without_one_of_them_an_audience_still_knows_whom_the_compiled_loop_serves() -> None:
    lanes = [Lane(0, SSRC, None, bytes) for _ in range(7)]
    for lane in lanes[::2]:
        lane.compiled = object()
    members = [(lane, FakeTarget() if lane is lanes[2] else Routed()) for lane in lanes]
    audience = Audience(members)
    assert [lane for lane, _ in audience.members[: audience.border]] == [lanes[0], lanes[4], lanes[6]]
    for start in range(8):
        for at, (lane, _) in enumerate(audience.members):
            rest = audience.without(lane, start)
            if at < start:
                assert rest is None
                continue
            assert rest is not None
            assert rest.members == [*audience.members[start:at], *audience.members[at + 1 :]]
            assert rest.border == Audience(rest.members).border
