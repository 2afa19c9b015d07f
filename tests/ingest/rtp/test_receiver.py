"""From packets to batches, over paths that lose, repeat and shuffle."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable

import pytest
from aiortc.rtp import RtcpPacket, RtcpRrPacket
from hypothesis import given
from hypothesis import strategies as st

from common.media import Batch
from common.payload.output import GATHER_NS
from ingest import sdp
from ingest.payload.registry import choose
from ingest.rtp.reorder import HOLD_NS
from ingest.rtp.rtcp import receiver_report
from ingest.rtp.stream import CameraStream
from rigs.rtp import goodbye, rtp, rtp_all, sender_report
from rigs.video import TICKS, packetise, units_of
from tests.fakes.reception import FRAME_NS, NOW, UNITS, WANTED, Session, sound


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("sequence", [0, 65_500])
def test_clean(udp: bool, sequence: int) -> None:
    packets = rtp_all(packetise(UNITS), sequence=sequence)
    session = Session(udp=udp).feed(packets)
    assert units_of(session.batches) == WANTED
    stats = session.video.stats
    assert (stats.packets, stats.bytes) == (len(packets), sum(map(len, packets)))
    assert (stats.lost, stats.duplicates, stats.reordered, stats.dropped) == (0, 0, 0, 0)
    assert (stats.frames, stats.keyframes) == (30, 3)


def test_the_bytes_of_a_packet_become_a_batch() -> None:
    description = sdp.parse(b"m=audio 0 RTP/AVP 97\na=rtpmap:97 opus/48000/2\n")
    stream = CameraStream(choose(description)[0], udp=False, epoch=1_000)
    stream.receivers[0].receive(
        b"\x80\xe1\x00\x07"  # RFC 3550 5.1: version 2; marker, payload type 97; number
        b"\x00\x00\x03\xc0\xde\xad\xbe\xef"  # timestamp, SSRC
        b"\xf8opus",
        NOW,
    )
    stream.receivers[0].receive(
        b"\xb1\x61\x00\x08"  # padding, an extension, one contributing source; number
        b"\x00\x00\x07\x80\xde\xad\xbe\xef\x00\x00\x00\x2a"  # timestamp, SSRC, contributing source
        b"\xbe\xde\x00\x01\x10\x55\x00\x00"  # 5.3.1: the extension, of one word
        b"\xf8more\x00\x02",  # and two bytes of padding
        NOW,
    )
    first, second = stream.take(NOW + GATHER_NS)
    assert (first.kind, first.codec, first.epoch, first.sequence) == ("audio", "opus", 1_000, 0)
    assert (first.payloads, second.payloads) == ([b"\xf8opus"], [b"\xf8more"])
    assert (second.sequence, second.timestamp - first.timestamp) == (1, 960)


def test_shuffled_and_repeated() -> None:
    packets = rtp_all(packetise(UNITS))
    noise = random.Random(2)
    shuffled = packets[:1] + sorted(packets[1:] * 2, key=lambda p: packets.index(p) + noise.random() * 10)
    session = Session().feed(shuffled)
    assert units_of(session.batches) == WANTED
    stats = session.video.stats
    assert (stats.lost, stats.duplicates) == (0, len(packets) - 1)
    assert stats.reordered > 10


def test_a_lost_packet_costs_the_rest_of_its_group() -> None:
    packets = rtp_all(packetise(UNITS))
    first = next(i for i, packet in enumerate(packets) if packet[4:8] == struct.pack("!I", 13 * TICKS))
    session = Session().feed(packets[:first] + packets[first + 1 :], spacing_ns=FRAME_NS // 2)
    ended = [batch.timestamp // TICKS for batch in session.batches if batch.unit_end]
    assert ended == [*range(13), *range(20, 30)]
    assert session.video.stats.lost == 1
    assert session.video.stats.dropped > 7


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("sample", [b"\xff", b""], ids=["silence", "noise"])
@pytest.mark.parametrize("number", [lambda n: 7, lambda n: n // 2, lambda n: -n, lambda n: n << 8 & 0xFF00 | n >> 8])
def test_sound_is_heard_whatever_its_numbers_count(number: Callable[[int], int], sample: bytes, udp: bool) -> None:
    session, chance = Session(udp=udp), random.Random(1)
    for n in range(200):
        payload = sample * 160 or chance.randbytes(160)
        session.feed_audio([rtp(payload, number(n) & 0xFFFF, 160 * n, payload_type=0, ssrc=9)])
        session.now_ns += FRAME_NS // 2
        session.stream.expire(session.now_ns)
    assert sum(batch.arrival_ns >= NOW + 100 * FRAME_NS // 2 for batch in session.of("audio")) == 100


@pytest.mark.parametrize("udp", [True, False])
@pytest.mark.parametrize("number", [lambda n: 7, lambda n: 2 * n, lambda n: n % 256], ids=["one", "twos", "a byte"])
def test_a_picture_is_seen_whatever_its_numbers_count(number: Callable[[int], int], udp: bool) -> None:
    packets = rtp_all(packetise([*UNITS, *UNITS, *UNITS], size=300))
    packets = [packet[:2] + struct.pack("!H", number(n)) + packet[4:] for n, packet in enumerate(packets)]
    session = Session(udp=udp)
    for packet in packets:
        session.feed([packet], spacing_ns=FRAME_NS // 12)
        session.stream.expire(session.now_ns)
    ended = [batch.timestamp // TICKS for batch in session.batches if batch.unit_end]
    assert ended[-40:] == [*range(50, 90)]


def test_a_path_that_loses_repeats_and_shuffles_at_once_does_not_make_numbers_meaningless() -> None:
    chance = random.Random(3)
    sent = [(n, packet) for n, packet in enumerate(rtp_all(packetise(UNITS * 8, size=300))) if chance.random() > 0.2]
    copies = [(n + chance.choice([0, 0, 0, 3, 20, 70]), packet) for n, packet in sent for _ in range(3)]
    session = Session().feed([packet for _, packet in sorted(copies, key=lambda copy: copy[0])], spacing_ns=10**6)
    stats = session.video.stats
    assert stats.duplicates > len(sent)
    assert stats.packets - stats.duplicates - stats.dropped < len(sent)


def test_a_lost_packet_delays_nothing_for_long() -> None:
    packets = rtp_all(packetise(UNITS))
    session = Session().feed([*packets[:20], *packets[21:23]])
    assert session.stream.deadline_ns == NOW + HOLD_NS
    session.stream.expire(NOW + HOLD_NS)
    assert session.stream.deadline_ns is None
    assert session.video.stats.lost == 1


def test_sources_extensions_and_padding() -> None:
    packets = []
    for number, packet in enumerate(packetise(UNITS)):
        head = bytes(4 * (number % 4))
        first = 0x80 | number % 4
        if number % 3 == 0:
            first |= 0x10
            head += b"\xbe\xde\0\x02" + bytes(8)
        tail = b""
        if number % 5 == 0:
            first |= 0x20
            tail = b"\0\0\x03"
        packets.append(rtp(head + packet.payload + tail, number, packet.timestamp, marker=packet.marker, first=first))
    assert units_of(Session().feed(packets).batches) == WANTED


@pytest.mark.parametrize(
    ("packet", "dropped"),
    [
        (b"", 1),
        (b"\x80\x60", 1),
        (rtp(b"x", 1, 1)[:11], 1),
        (rtp(b"x", 1, 1, first=0x40), 1),
        (rtp(b"x", 1, 1, first=0xC0), 1),
        (rtp(b"x", 1, 1, payload_type=97), 1),
        (rtp(b"", 1, 1), 0),
        (rtp(b"\0\0\x03", 1, 1, first=0xA0), 0),  # padding alone
        (rtp(b"x\xff", 1, 1, first=0xA0), 0),  # more padding than packet: it is none
        (rtp(b"x", 1, 1, first=0x8F), 1),  # more sources than packet
        (rtp(b"abcd\xff\xff", 1, 1, first=0x91), 1),  # an extension that does not end
    ],
)
def test_packets_of_no_use(packet: bytes, dropped: int) -> None:
    session = Session(udp=False).feed([packet, *rtp_all(packetise(UNITS))])
    assert units_of(session.batches) == WANTED
    assert session.video.stats.dropped == dropped


def test_sender_reports_set_the_capture_clock() -> None:
    session = Session()
    ntp = (1_700_000_000 + 2_208_988_800) << 32  # the picture was taken at NOW
    session.now_ns = NOW + 80_000_000
    session.feed(rtp_all(packetise(UNITS))[:10])
    session.video.receive_rtcp(sender_report(0x1234, ntp, 0), session.now_ns)
    session.feed(rtp_all(packetise(UNITS))[10:], spacing_ns=FRAME_NS // 2)
    ends = [batch for batch in session.batches if batch.unit_end][8:]
    assert all(batch.capture_ns == pytest.approx(NOW + batch.timestamp // TICKS * FRAME_NS, abs=10) for batch in ends)


def test_rtcp_that_comes_among_the_rtp() -> None:
    session = Session()
    session.feed([*rtp_all(packetise(UNITS))[:5], sender_report(0x1234, 1 << 63, 0)])
    assert session.video.stats.dropped == 0
    assert session.stream.clock.distrusted == 1  # read, and a time in 1968


def test_goodbye() -> None:
    session = Session().feed(rtp_all(packetise(UNITS))[:5])
    session.video.receive_rtcp(goodbye(99), NOW)
    assert not session.video.said_goodbye
    session.video.receive_rtcp(goodbye(0x1234), NOW)
    assert session.video.said_goodbye
    session.feed(rtp_all(packetise(UNITS))[5:6])
    assert not session.video.said_goodbye


def test_report_block() -> None:
    session = Session()
    assert session.video.report_block(NOW) is None
    packets = rtp_all(packetise(UNITS), sequence=65_530)
    session.feed([*packets[:20], *packets[22:]])
    session.stream.expire(NOW + HOLD_NS)
    block = session.video.report_block(NOW)
    assert block is not None
    report = RtcpPacket.parse(receiver_report(1, "x", [block]))[0]
    assert isinstance(report, RtcpRrPacket)
    [info] = report.reports
    assert (info.ssrc, info.packets_lost, info.highest_sequence) == (0x1234, 2, 65_530 + len(packets) - 1)


@given(st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda b: b"\x80\x60" + b), max_size=30))
def test_any_packets(packets: list[bytes]) -> None:
    session = Session().feed(packets, spacing_ns=10**7)
    for packet in packets:
        session.video.receive_rtcp(packet, session.now_ns)
    assert session.video.report_block(session.now_ns + 10**9) is None or session.video.packets


@given(st.data())
def test_any_path_gives_whole_groups(data: st.DataObject) -> None:
    noise = data.draw(st.randoms(use_true_random=False))
    loss = data.draw(st.floats(0, 0.1))
    packets = rtp_all(packetise(UNITS), sequence=data.draw(st.integers(0, 65_535)))
    arriving = [packet for packet in packets if noise.random() >= loss]
    arriving.sort(key=lambda p: packets.index(p) + noise.random() * 5)
    session = Session().feed(arriving, spacing_ns=FRAME_NS // 2)
    session.stream.expire(session.now_ns + HOLD_NS)
    session.batches += session.stream.take(session.now_ns + GATHER_NS)
    units: dict[int, list[Batch]] = {}
    for batch in session.batches:
        units.setdefault(batch.timestamp // TICKS, []).append(batch)
    sequence = 0
    for batch in session.batches:
        assert batch.sequence == sequence
        sequence += len(batch.payloads)
    assert not session.batches or session.batches[0].keyframe
    whole = [number for number, batches in units.items() if batches[-1].unit_end]
    assert [units_of(units[number])[0] for number in whole] == [WANTED[number] for number in whole]
    for number in whole:  # each one's references are there
        assert all(earlier in whole for earlier in range(number - number % 10, number))


@pytest.mark.parametrize("udp", [True, False])
def test_a_picture_of_which_packets_are_always_missing_is_said_and_is_not_there(udp: bool) -> None:
    packets = rtp_all(packetise(UNITS))
    session = Session(udp=udp)
    session.feed([rtp(b"\x67sps", 0, 0)])
    session.video.review()
    session.feed(packets[2::2], spacing_ns=HOLD_NS)
    session.video.review()
    assert not session.video.stats.frames
    assert re.match(
        "(49|50)% of its packets never arrive, so no picture is complete", session.video.unpacking.hindrance
    )
    assert session.video.unpacking.unseen
    session.feed(rtp_all(packetise(UNITS), sequence=len(packets) + 1), spacing_ns=HOLD_NS)
    session.video.review()
    assert session.video.stats.frames
    assert "never come" not in session.video.unpacking.hindrance
    assert not session.video.unpacking.unseen


def test_sound_of_which_much_is_missing_is_heard() -> None:
    session = Session().feed_audio(sound(300)[::2])
    session.audio.review()
    assert session.audio.stats.frames
    assert not session.audio.unpacking.hindrance
