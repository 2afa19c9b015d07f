"""RTCP, read and written."""

from __future__ import annotations

import struct

import pytest
from aiortc.rtp import RtcpPacket, RtcpRrPacket, RtcpSdesPacket
from hypothesis import given
from hypothesis import strategies as st

from ingest.rtp.rtcp import Goodbye, Reception, SenderReport, parse, receiver_report

NTP_2024 = (1_704_067_200 + 2_208_988_800) << 32  # 2024-01-01
SR = struct.pack("!BBHIQIII", 0x80, 200, 6, 7, NTP_2024 | 1 << 31, 90_000, 10, 1_000)
REPORT = SenderReport(7, NTP_2024 | 1 << 31, 90_000)
SDES = struct.pack("!BBHIBB6s", 0x81, 202, 3, 7, 1, 4, b"name\0\0")
BYE = struct.pack("!BBHI", 0x81, 203, 1, 7)


def test_sender_report() -> None:
    assert parse(SR) == [REPORT]
    assert REPORT.ntp_ns == 1_704_067_200_500_000_000


@pytest.mark.parametrize(
    "packet",
    [
        SR + SDES + BYE,
        SR + SDES[:-2] + BYE[:0],  # SDES without its end
        SR + struct.pack("!BBH", 0x81, 202, 500) + b"x",  # a length that lies
        SR + struct.pack("!BBH", 0x80, 255, 0) + struct.pack("!BBH4s", 0x80, 77, 1, b"what"),  # unknown types
        SR + b"\0\0\0\0trailing",
        SR + b"\x80",
        SR[:20],  # without the counters
    ],
)
def test_what_cameras_get_wrong(packet: bytes) -> None:
    assert parse(packet)[0] == REPORT


def test_the_bytes_of_a_cameras_compound() -> None:
    assert parse(
        b"\x80\xc8\x00\x06\x00\x00\x00\x07"  # SR, 7 words; its SSRC
        b"\xe9\x3c\x7f\x00\x80\x00\x00\x00"  # 2024-01-01 and a half second, since 1900
        b"\x00\x01\x5f\x90\x00\x00\x00\x0a\x00\x00\x03\xe8"  # the same moment in RTP; packets; bytes
        b"\x81\xca\x00\x03\x00\x00\x00\x07\x01\x04name\x00\x00"  # SDES with a CNAME
        b"\x81\xcb\x00\x01\x00\x00\x00\x07"  # BYE
    ) == [SenderReport(7, 0xE93C7F00_80000000, 90_000), Goodbye((7,))]


def test_the_bytes_of_our_report() -> None:
    block = Reception(90_000).block(7, 65_536 + 9, 90, 10, 0)
    assert receiver_report(0x4D2, "camshaft", [block]) == (
        b"\x81\xc9\x00\x07\x00\x00\x04\xd2"  # RR with one block, 8 words; our SSRC
        b"\x00\x00\x00\x07\x19\x00\x00\x0a"  # of its SSRC 25/256 were lost, 10 since the start
        b"\x00\x01\x00\x09\x00\x00\x00\x00"  # highest number: 9 after one wrap; jitter
        b"\x00\x00\x00\x00\x00\x00\x00\x00"  # no sender report yet
        b"\x81\xca\x00\x04\x00\x00\x04\xd2\x01\x08camshaft\x00\x00"  # SDES with a CNAME
    )


def test_goodbye() -> None:
    assert parse(SR + BYE) == [REPORT, Goodbye((7,))]
    assert parse(struct.pack("!BBH", 0x9F, 203, 100) + bytes(7)) == [Goodbye((0,))]


@pytest.mark.parametrize("packet", [b"", b"\x80", b"\x00\xc8\x00\x06" + bytes(24), SR[:19], b"GET / HTTP/1.1\r\n"])
def test_nothing_in_it(packet: bytes) -> None:
    assert parse(packet) == []


@given(st.binary(max_size=200), st.integers(0, 60))
def test_any_bytes(data: bytes, cut: int) -> None:
    parse(data)
    parse(SR[:cut] + data)


@given(st.integers(0, 2**64 - 1))
def test_any_time(ntp: int) -> None:
    assert -(2**31) * 10**9 < SenderReport(0, ntp, 0).ntp_ns < 2**33 * 10**9


def test_the_seconds_wrap_in_2036() -> None:
    assert SenderReport(0, 0, 0).ntp_ns == 2_085_978_496 * 10**9


def test_receiver_report_is_what_others_read() -> None:
    reception = Reception(90_000)
    reception.reported(REPORT, 1_000_000_000)
    block = reception.block(7, 65_536 + 9, 90, 10, 1_500_000_000)
    report, description = RtcpPacket.parse(receiver_report(1_234, "camshaft", [block]))
    assert isinstance(report, RtcpRrPacket)
    assert isinstance(description, RtcpSdesPacket)
    assert report.ssrc == description.chunks[0].ssrc == 1_234
    assert description.chunks[0].items == [(1, b"camshaft")]
    [info] = report.reports
    assert (info.ssrc, info.highest_sequence, info.packets_lost, info.fraction_lost) == (7, 65_545, 10, 25)
    assert (info.lsr, info.dlsr) == ((NTP_2024 | 1 << 31) >> 16 & 0xFFFFFFFF, 32_768)


@pytest.mark.parametrize("cname", ["", "a", "ab", "abc", "abcd", "x" * 300])
def test_source_description_is_padded(cname: str) -> None:
    packet = receiver_report(1, cname, [])
    assert len(packet) % 4 == 0
    assert packet[-1] == 0
    _, description = RtcpPacket.parse(packet)
    assert isinstance(description, RtcpSdesPacket)
    assert description.chunks[0].items == [(1, cname.encode()[:255])]


def test_fraction_lost_is_that_of_the_interval() -> None:
    reception = Reception(8_000)
    fractions = [
        reception.block(1, 0, received, lost, 0)[4]
        for received, lost in [(100, 0), (150, 50), (250, 50), (250, 50), (250, 150), (300, 150)]
    ]
    assert fractions == [0, 128, 0, 0, 255, 0]


def test_loss_beyond_what_fits() -> None:
    report, _ = RtcpPacket.parse(receiver_report(1, "x", [Reception(8_000).block(1, 0, 1, 1 << 30, 0)]))
    assert isinstance(report, RtcpRrPacket)
    assert (report.reports[0].packets_lost, report.reports[0].fraction_lost) == (0x7FFFFF, 255)


def test_before_a_sender_report_there_is_nothing_to_refer_to() -> None:
    assert Reception(8_000).block(1, 0, 1, 0, 0)[16:] == bytes(8)


def test_jitter() -> None:
    reception = Reception(90_000)
    for number in range(200):
        reception.arrived(number * 3_600 & 0xFFFFFFFF, number * 40_000_000)
    assert reception.jitter == 0
    for number in range(200, 600):  # every other one 10 ms late
        reception.arrived(number * 3_600, number * 40_000_000 + (number % 2) * 10_000_000)
    assert reception.jitter == pytest.approx(0.010, rel=0.01)


def test_jitter_across_the_wrap_of_timestamps() -> None:
    reception = Reception(90_000)
    for number in range(200):
        reception.arrived((2**32 - 50 * 3_600 + number * 3_600) & 0xFFFFFFFF, number * 40_000_000)
    assert reception.jitter == 0
