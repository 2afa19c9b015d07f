from __future__ import annotations

import struct

import pytest
from aiortc import rtp as foreign
from hypothesis import given
from hypothesis import strategies as st

from rigs.load import rtcp
from rigs.load.rtcp import Block


def test_a_receiver_report_as_a_foreign_parser_reads_it() -> None:
    block = Block(ssrc=5, fraction_lost=12, lost=34, highest=70_000, jitter=9, last_report=1 << 31, delay=65_536)
    report, description = foreign.RtcpPacket.parse(rtcp.receiver_report(1, [block], "viewer-1"))
    assert isinstance(report, foreign.RtcpRrPacket)
    assert isinstance(description, foreign.RtcpSdesPacket)
    info = report.reports[0]
    seen = (info.ssrc, info.fraction_lost, info.packets_lost, info.highest_sequence, info.jitter, info.lsr, info.dlsr)
    assert seen == (5, 12, 34, 70_000, 9, 1 << 31, 65_536)
    assert description.chunks[0].items == [(1, b"viewer-1")]


@given(st.lists(st.integers(0, 40), unique=True, min_size=1), st.integers(0, 65_535))
def test_lost_packets_as_a_foreign_parser_reads_them(offsets: list[int], first: int) -> None:
    numbers = [(first + offset) & 0xFFFF for offset in sorted(offsets)]
    [packet] = foreign.RtcpPacket.parse(rtcp.nack(1, 2, numbers))
    assert isinstance(packet, foreign.RtcpRtpfbPacket)
    assert (packet.fmt, packet.ssrc, packet.media_ssrc) == (1, 1, 2)
    assert [number & 0xFFFF for number in packet.lost] == numbers  # aiortc counts past the wrap


@pytest.mark.parametrize("bitrate", [1, 300_000, 3_000_000, 1 << 40])
def test_remb_as_a_foreign_parser_reads_it(bitrate: int) -> None:
    [packet] = foreign.RtcpPacket.parse(rtcp.remb(1, bitrate, [7, 8]))
    assert isinstance(packet, foreign.RtcpPsfbPacket)
    seen, sources = foreign.unpack_remb_fci(packet.fci)
    assert seen == pytest.approx(bitrate, rel=1 / (1 << 17))
    assert sources == [7, 8]


def test_sender_reports_are_found() -> None:
    info = foreign.RtcpSenderInfo(ntp_timestamp=1 << 40, rtp_timestamp=90, packet_count=1, octet_count=2)
    compound = bytes(foreign.RtcpRrPacket(ssrc=1)) + bytes(foreign.RtcpSrPacket(ssrc=9, sender_info=info))
    [report] = rtcp.sender_reports(compound)
    assert (report.ssrc, report.ntp, report.timestamp) == (9, 1 << 40, 90)


@given(st.binary(max_size=100))
def test_garbage_holds_no_reports(garbage: bytes) -> None:
    assert isinstance(rtcp.sender_reports(garbage), list)


@given(
    base=st.integers(0, 65_535),
    arrivals=st.dictionaries(st.integers(0, 200), st.integers(0, 2_000_000), min_size=1, max_size=60),
)
def test_transport_feedback_carries_every_arrival(base: int, arrivals: dict[int, int]) -> None:
    start = 64_000 * 1_000
    wanted = {(base + number) & 0xFFFF: start + at for number, at in arrivals.items()}
    decoded = _decode(rtcp.transport_feedback(1, 2, wanted, 3))
    assert decoded.keys() == wanted.keys()
    for number, at in wanted.items():
        assert abs(decoded[number] - at) <= rtcp.TWCC_TICK_US


def _decode(packet: bytes) -> dict[int, int]:
    """Arrivals of a transport-wide feedback packet, read straight from the draft's section 3.1."""
    kind, _sender, _media, base, count = struct.unpack_from("!2xHIIHH", packet, 0)
    assert (kind + 1) * 4 == len(packet)
    reference = int.from_bytes(packet[16:19], "big")
    at, symbols = 20, []
    while len(symbols) < count:
        (chunk,) = struct.unpack_from("!H", packet, at)
        at += 2
        if chunk >> 15 == 0:  # run length
            symbols += [chunk >> 13 & 3] * (chunk & 0x1FFF)
        elif chunk >> 14 & 1:  # two-bit vector
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    clock, found = reference * 64_000, {}
    for index, symbol in enumerate(symbols[:count]):
        if symbol == 0:
            continue
        delta = struct.unpack_from("!B" if symbol == 1 else "!h", packet, at)[0]
        at += symbol
        clock += delta * 250
        found[(base + index) & 0xFFFF] = clock
    return found
