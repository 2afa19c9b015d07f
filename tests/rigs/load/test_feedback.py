from __future__ import annotations

import pytest
from aiortc.rtp import RtcpPacket, RtcpRrPacket, RtcpRtpfbPacket

from rigs.load.feedback import NACK_ATTEMPTS, Feedback
from rigs.load.rtp import Stream


def stream_of(*sequences: int) -> Stream:
    stream = Stream(7, "video", "h264", 90_000)
    for index, sequence in enumerate(sequences):
        stream.add(sequence, index * 3_000, 1_000, index * 1_000_000)
    return stream


def blocks(compound: bytes) -> list[tuple[int, int]]:
    [report] = [packet for packet in RtcpPacket.parse(compound) if isinstance(packet, RtcpRrPacket)]
    return [(block.fraction_lost, block.packets_lost) for block in report.reports]


def test_a_report_tells_the_loss_since_the_one_before() -> None:
    stream = stream_of(1, 2, 5, 6)  # 3 and 4 are missing
    feedback = Feedback(1, "viewer", {7: stream})
    assert blocks(feedback.report(0.0)) == [(2 * 256 // 6, 2)]
    assert blocks(feedback.report(1.0)) == [(0, 2)]


def test_a_packet_is_asked_for_some_times_and_no_more() -> None:
    stream = stream_of(1, 3)
    feedback = Feedback(1, "viewer", {7: stream})
    for _ in range(NACK_ATTEMPTS):
        packets = RtcpPacket.parse(feedback.nack(stream, [2]))
        assert [packet.lost for packet in packets if isinstance(packet, RtcpRtpfbPacket)] == [[2]]
    assert feedback.nack(stream, [2]) == b""


def test_the_age_of_the_last_packet_is_measured_by_the_senders_clock() -> None:
    stream = stream_of(1, 2)
    stream.report_ntp, stream.report_timestamp, stream.report_at = 2_208_988_800 << 32, 0, 0.5  # Unix time 0
    stream.last_timestamp, stream.last_ns = 90_000, 1_250_000_000  # captured a second after that
    feedback = Feedback(1, "viewer", {7: stream})
    feedback.report(1.0)
    assert feedback.capture_delays == [pytest.approx(0.25)]
