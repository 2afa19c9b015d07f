import contextlib
import struct

import pytest
from aiortc import rtp
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ProtocolError
from egress.wire.rtcp import (
    Arrivals,
    Bandwidth,
    Bye,
    Nack,
    PictureLoss,
    ReceptionReport,
    SenderInfo,
    ntp_time,
    parse,
    round_trip,
    sender_reports,
)

SECOND_NS = 1_000_000_000


def test_feedback_becomes_events() -> None:
    compound = b"".join(
        map(
            bytes,
            [
                rtp.RtcpRrPacket(9, [rtp.RtcpReceiverInfo(1, 64, 17, 5, 90, 0x12345678, 65_536)]),
                rtp.RtcpSdesPacket([rtp.RtcpSourceInfo(9, [(1, b"viewer")])]),
                rtp.RtcpRtpfbPacket(rtp.RTCP_RTPFB_NACK, 9, 1, [65_535, 65_536, 65_540]),
                rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, 1),
                rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_FIR, 9, 0, struct.pack("!IBxxx", 1, 4)),
                rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 9, 0, rtp.pack_remb_fci(4_160_000, [1])),
                rtp.RtcpByePacket([9]),
            ],
        )
    )
    assert parse(compound) == [
        ReceptionReport(1, 0.25, 17, 5, 90, 0x12345678, 65_536),
        Nack(1, (65_535, 0, 4)),
        PictureLoss(1),
        PictureLoss(1),
        Bandwidth(4_160_000),
        Bye(),
    ]


def test_the_bytes_of_a_browsers_compound() -> None:
    assert parse(
        b"\x81\xc9\x00\x07\x00\x00\x00\x09"  # RR with one block, 8 words; the viewer's SSRC
        b"\x12\x34\x56\x78\x40\x00\x00\x11"  # of our SSRC 64/256 were lost; 17 since the start
        b"\x00\x01\x00\x02\x00\x00\x00\x5a"  # highest number: 2 after one wrap; jitter 90
        b"\xaa\xbb\xcc\xdd\x00\x01\x00\x00"  # LSR; DLSR: one second
        b"\x81\xcd\x00\x03\x00\x00\x00\x09\x12\x34\x56\x78"  # NACK …
        b"\xff\xff\x00\x09"  # … of 65535, and of the first and the fourth after it
        b"\x81\xce\x00\x02\x00\x00\x00\x09\x12\x34\x56\x78"  # PLI
        b"\x8f\xce\x00\x05\x00\x00\x00\x09\x00\x00\x00\x00"  # REMB …
        b"REMB\x01\x07\xd0\x90\x12\x34\x56\x78"  # … for one SSRC: 2**1 * 250,000 bit/s
    ) == [
        ReceptionReport(0x12345678, 0.25, 17, 0x10002, 90, 0xAABBCCDD, 65_536),
        Nack(0x12345678, (65_535, 0, 3)),
        PictureLoss(0x12345678),
        Bandwidth(500_000),
    ]


def test_the_bytes_of_a_sender_report() -> None:
    info = SenderInfo(0x12345678, timestamp=90_000, packets=450, octets=500_000)
    assert sender_reports([info], "ca", 1_704_067_200 * SECOND_NS + SECOND_NS // 2, bye=True) == (
        b"\x80\xc8\x00\x06\x12\x34\x56\x78"  # SR, 7 words
        b"\xe9\x3c\x7f\x00\x80\x00\x00\x00"  # 2024-01-01 and a half second, since 1900
        b"\x00\x01\x5f\x90\x00\x00\x01\xc2\x00\x07\xa1\x20"  # the same moment in RTP; packets; bytes
        b"\x81\xca\x00\x03\x12\x34\x56\x78\x01\x02ca\x00\x00\x00\x00"  # SDES with a CNAME
        b"\x81\xcb\x00\x01\x12\x34\x56\x78"  # BYE
    )


def transport_feedback(number: int, count: int, reference: int, chunks: bytes, deltas: bytes) -> bytes:
    body = struct.pack("!IIHHI", 9, 1, number, count, reference << 8 | 7) + chunks + deltas
    body += bytes(-len(body) % 4)
    return struct.pack("!BBH", 0x80 | 15, 205, len(body) // 4) + body


def test_transport_wide_feedback_tells_arrival_times() -> None:
    run_of_three = struct.pack("!H", 1 << 13 | 3)  # three times a small delta
    one_bit = struct.pack("!H", 0x8000 | 0b10_0000_0000_0000)  # received, then 13 not
    two_bits = struct.pack("!H", 0xC000 | 0b10_00_01_00_00_00_00)  # large delta, lost, small delta
    deltas = bytes([4, 8, 0]) + bytes([2]) + struct.pack("!h", -3) + bytes([1])
    packet = transport_feedback(0xFFFE, 3 + 14 + 3, 2, run_of_three + one_bit + two_bits, deltas)
    (event,) = parse(packet)
    assert isinstance(event, Arrivals)
    start = 2 * 0.064
    assert event.seconds == pytest.approx(
        {
            0xFFFE: start + 0.001,
            0xFFFF: start + 0.003,
            0: start + 0.003,
            1: start + 0.0035,
            15: start + 0.00275,
            17: start + 0.003,
        }
    )


def test_padded_feedback_costs_its_compound_nothing() -> None:
    for count in range(1, 9):  # libwebrtc sets the padding bit, and the length then is no multiple of anything
        body = bytearray(transport_feedback(7, count, 1, struct.pack("!H", 1 << 13 | count), bytes([4]) * count))
        if padding := -(count + 2) % 4:
            body[0] |= 0x20
            body[-1] = padding
        arrivals, *others = parse(bytes(body) + bytes(rtp.RtcpByePacket([9])))
        assert isinstance(arrivals, Arrivals)
        assert len(arrivals.seconds) == count
        assert others == [Bye()]


def test_feedback_and_nacks_are_bounded() -> None:
    run = struct.pack("!H", 1 << 13 | 1_000)
    with pytest.raises(ProtocolError):
        parse(transport_feedback(0, 1_001, 0, run, bytes(1_001)) * 2)
    many = rtp.RtcpRtpfbPacket(1, 9, 1, list(range(0, 65_000, 17)))
    assert parse(bytes(many)) == []


def test_a_feedback_packet_that_lies_about_its_size_raises() -> None:
    for packet in (
        bytes(rtp.RtcpRtpfbPacket(15, 9, 1, [5])),
        transport_feedback(0, 1_000, 0, struct.pack("!H", 1 << 13 | 1), b""),
        transport_feedback(0, 100, 0, struct.pack("!H", 2 << 13 | 100), b""),
    ):
        with pytest.raises(ProtocolError):
            parse(packet)


def test_unknown_packet_types_are_skipped() -> None:
    extended_report = struct.pack("!BBHI", 0x80, 207, 1, 9)
    assert parse(extended_report + bytes(rtp.RtcpByePacket([9]))) == [Bye()]


@pytest.mark.parametrize("data", [b"\x80", b"\x00" * 8, b"\x80\xc9\xff\xff", b"\x81\xc9\x00\x01\0\0\0\0"])
def test_what_is_not_rtcp_raises(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(data)


@given(st.binary(max_size=100), st.integers(200, 207), st.integers(0, 31), st.booleans())
def test_garbage_never_does_more_than_raise(body: bytes, kind: int, count: int, padded: bool) -> None:
    body += bytes(-len(body) % 4)
    for data in (body, struct.pack("!BBH", 0x80 | padded << 5 | count, kind, len(body) // 4) + body):
        with contextlib.suppress(ProtocolError):
            parse(data)


def test_sender_reports_of_audio_and_video_name_the_same_moment() -> None:
    infos = [SenderInfo(1, 1_000, 2**32 + 5, 600), SenderInfo(2, 2_000, 7, 700)]
    first, second, *names = rtp.RtcpPacket.parse(sender_reports(infos, "cname", 1_700_000_000 * SECOND_NS))
    assert isinstance(first, rtp.RtcpSrPacket)
    assert isinstance(second, rtp.RtcpSrPacket)
    assert first.sender_info.ntp_timestamp == second.sender_info.ntp_timestamp
    assert (first.ssrc, first.sender_info.rtp_timestamp, first.sender_info.packet_count) == (1, 1_000, 5)
    assert second.sender_info.octet_count == 700
    assert names == [rtp.RtcpSdesPacket([rtp.RtcpSourceInfo(ssrc, [(1, b"cname")])]) for ssrc in (1, 2)]


def test_bye_comes_last() -> None:
    packets = rtp.RtcpPacket.parse(sender_reports([SenderInfo(1, 0, 0, 0)], "cname", 0, bye=True))
    assert packets[-1] == rtp.RtcpByePacket([1])


def test_ntp_time() -> None:
    assert ntp_time(0) == 2_208_988_800 << 32
    assert ntp_time(SECOND_NS // 2) & 0xFFFFFFFF == 1 << 31


def test_round_trip() -> None:
    sent = 1_700_000_000 * SECOND_NS
    last_report = (ntp_time(sent) >> 16) & 0xFFFFFFFF
    report = ReceptionReport(1, 0.0, 0, 0, 0, last_report, delay=65_536)
    measured = round_trip(report, sent + SECOND_NS + 50_000_000)
    assert measured == pytest.approx(0.05, abs=0.001)
    assert round_trip(ReceptionReport(1, 0.0, 0, 0, 0, 0, 0), sent) is None
    assert round_trip(report, sent + SECOND_NS - 50_000_000) == 0.0, "a viewer that rounds up is not in the future"


@pytest.mark.parametrize("padding", [0, 13, 255])
def test_padding_that_cannot_be_raises(padding: int) -> None:
    loss = bytearray(bytes(rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, 1)))
    loss[0] |= 0x20
    loss[-1] = padding
    with pytest.raises(ProtocolError):
        parse(bytes(loss) + bytes(rtp.RtcpByePacket([9])))


_words = st.integers(0, 2**32 - 1)
_reports = st.builds(
    rtp.RtcpReceiverInfo, _words, st.integers(0, 255), st.integers(-(2**23), 2**23 - 1), _words, _words, _words, _words
)
_nacks = st.sets(st.integers(0, 65_000), max_size=40).map(sorted)
_sender_infos = st.builds(rtp.RtcpSenderInfo, _words, _words, _words, _words)
_packets = st.one_of(
    st.builds(rtp.RtcpRrPacket, _words, st.lists(_reports, max_size=31)),
    st.builds(
        rtp.RtcpSrPacket,
        _words,
        st.builds(rtp.RtcpSenderInfo, _words, _words, _words, _words),
        st.lists(_reports, max_size=31),
    ),
    st.builds(rtp.RtcpRtpfbPacket, st.just(rtp.RTCP_RTPFB_NACK), _words, _words, _nacks),
    st.builds(rtp.RtcpPsfbPacket, st.just(rtp.RTCP_PSFB_PLI), _words, _words),
    st.builds(
        lambda bitrate, ssrcs: rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 9, 0, rtp.pack_remb_fci(bitrate, ssrcs)),
        st.integers(0, 1 << 40),
        st.lists(_words, max_size=255),
    ),
    st.builds(rtp.RtcpByePacket, st.lists(_words, max_size=31)),
)


@given(st.lists(_packets, max_size=5))
def test_it_reads_what_aiortc_writes(packets: list[rtp.AnyRtcpPacket]) -> None:
    events: list[object] = []
    for packet in packets:
        match packet:
            case rtp.RtcpRrPacket(reports=reports) | rtp.RtcpSrPacket(reports=reports):
                events += [
                    ReceptionReport(
                        r.ssrc, r.fraction_lost / 256, r.packets_lost, r.highest_sequence, r.jitter, r.lsr, r.dlsr
                    )
                    for r in reports
                ]
            case rtp.RtcpRtpfbPacket():
                events.append(Nack(packet.media_ssrc, tuple(packet.lost)))
            case rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, fci=fci):
                events.append(Bandwidth(rtp.unpack_remb_fci(fci)[0]))
            case rtp.RtcpPsfbPacket():
                events.append(PictureLoss(packet.media_ssrc))
            case rtp.RtcpByePacket():
                events.append(Bye())
    assert parse(b"".join(map(bytes, packets))) == events


def test_no_bitrate_is_more_than_a_report_can_hold() -> None:
    for exponent in (40, 63):
        fci = b"REMB" + bytes([1]) + ((exponent << 18) | 0x3FFFF).to_bytes(3, "big") + bytes(4)
        [estimate] = parse(bytes(rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 9, 0, fci)))
        assert isinstance(estimate, Bandwidth)
        assert estimate.bitrate == 1 << 40


@pytest.mark.parametrize("size", [4, 8, 12])
def test_a_bitrate_that_is_cut_off_raises(size: int) -> None:
    fci = rtp.pack_remb_fci(1_000, [1, 2])
    with pytest.raises(ProtocolError):
        parse(bytes(rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 9, 0, fci[:size])))


@pytest.mark.parametrize("delay", [0, 1 << 20, 0xFFFFFFFF])
@pytest.mark.parametrize("last_report", [1, 0x12345678, 0xFFFFFFFF])
def test_no_round_trip_is_longer_than_one_can_be(last_report: int, delay: int) -> None:
    for second in range(0, 70_000, 997):
        seconds = round_trip(ReceptionReport(1, 0.0, 0, 0, 0, last_report, delay), second * 10**9)
        assert seconds is None or 0 <= seconds <= 60
