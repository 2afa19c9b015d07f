from __future__ import annotations

import struct

import pytest
from aiortc import rtp

from common.control import Report, Role, decode_for_broker, encode
from common.media import Kind
from egress.feedback import (
    FEEDBACK_BURST,
    FEEDBACK_BYTES_BURST,
    FEEDBACK_BYTES_RATE,
    FEEDBACK_RATE,
    LEAST_MISSED,
)
from tests.fakes.session import Session


def test_feedback_is_acted_on_and_reported() -> None:
    session = Session()
    session.play(3)
    ssrc = session.stream.feeds[Kind.VIDEO].source.ssrc
    session.browser.packets.clear()
    session.browser.send_rtcp(
        rtp.RtcpRrPacket(9, [rtp.RtcpReceiverInfo(ssrc, 0, 2, 0, 900, 0, 0)]),
        rtp.RtcpRtpfbPacket(rtp.RTCP_RTPFB_NACK, 9, ssrc, [4]),
        rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 9, 0, rtp.pack_remb_fci(3_000_000, [ssrc])),
    )
    session.exchange()
    assert {p.ssrc for p in session.browser.packets} == {session.stream.feeds[Kind.VIDEO].source.rtx_ssrc}
    report = session.viewer.report(session.now)
    assert (report.nacked, report.retransmitted, report.lost) == (1, 1, 2)
    assert report.jitter == 0.01
    assert report.estimated_bandwidth == 3_000_000
    session.now = 5.0
    session.play(1)
    session.browser.send_rtcp(rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, ssrc))
    session.exchange()
    assert session.behind
    assert session.viewer.report(session.now).plis == 1


def test_nothing_that_a_viewer_says_of_itself_makes_a_report_invalid() -> None:
    session = Session()
    session.play(3)
    ssrc = session.stream.feeds[Kind.VIDEO].source.ssrc
    info = rtp.RtcpReceiverInfo(ssrc, 255, -(1 << 23), 0xFFFFFFFF, 0xFFFFFFFF, 1, 0)
    remb = b"REMB" + bytes([1]) + b"\xff\xff\xff" + ssrc.to_bytes(4, "big")
    session.browser.send_rtcp(rtp.RtcpRrPacket(9, [info] * 31), rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 9, 0, remb))
    session.exchange()
    report = session.viewer.report(session.now)
    whole = Report("n", Role.EGRESS, "i", viewers=(report,))
    assert decode_for_broker(encode(whole)) == whole
    assert report.estimated_bandwidth is not None
    assert report.estimated_bandwidth < 1 << 53, "a page's numbers are exact up to there"
    assert (report.lost, report.jitter) == (0, 60.0)


def _block(kind: int, count: int, body: bytes, words: int | None = None) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4 if words is None else words) + body


SSRCS = struct.pack("!II", 9, 0xFFFFFFFF)
ODD_BLOCKS = {
    "a report of more blocks than there are": _block(201, 31, SSRCS),
    "a sender report of nothing": _block(200, 0, SSRCS[:4]),
    "a description that is longer than it is": _block(202, 31, SSRCS[:4] + b"\x01\xff" + b"x" * 20),
    "a description of one letter, without an end": _block(202, 1, SSRCS[:4] + b"\x01\x02xx"),
    "an application's own": _block(204, 31, SSRCS[:4] + b"NAME" + b"\xff" * 400),
    "an extended report whose block is longer": _block(207, 0, SSRCS[:4] + b"\x04\xff\xff\xff" + b"\xff" * 40),
    "an extended report of times without end": _block(207, 0, SSRCS[:4] + (b"\x05\0\0\x03" + b"\xff" * 12) * 80),
    "a NACK of half an entry": _block(205, 1, SSRCS + b"\xff\xff", words=3)[:-2],
    "a NACK of nothing": _block(205, 1, SSRCS),
    "arrivals before time began": _block(205, 15, SSRCS + b"\0\1\0\x64\0\0\0\0\x40\x64" + b"\x80\0" * 100),
    "arrivals at the end of time": _block(
        205, 15, SSRCS + b"\xff\xff\0\x64\xff\xff\xff\xff\x40\x64" + b"\x7f\xff" * 100
    ),
    "arrivals of more than there can be": _block(205, 15, SSRCS + b"\0\0\xff\xff\0\0\0\0" + b"\x3f\xff" * 8),
    "a bit rate of nothing": _block(206, 15, SSRCS + b"REMB\1\0\0\0" + SSRCS[4:]),
    "a bit rate for 255": _block(206, 15, SSRCS + b"REMB\xff\xff\xff\xff" + SSRCS[4:]),
    "a full intra request for nobody": _block(206, 4, SSRCS),
    "a slice and a reference": _block(206, 2, SSRCS + b"\xff" * 40) + _block(206, 3, SSRCS + b"\xff" * 40),
    "what no standard has": b"".join(_block(kind, 31, SSRCS + b"\xff" * 8) for kind in range(192, 200)),
}


@pytest.mark.parametrize("odd", ODD_BLOCKS)
def test_a_block_of_any_kind_with_any_value_leaves_the_viewer_its_picture_and_its_report(odd: str) -> None:
    session = Session()
    session.play(3)
    ssrc = session.stream.feeds[Kind.VIDEO].source.ssrc
    block = ODD_BLOCKS[odd].replace(SSRCS[4:], ssrc.to_bytes(4))
    for _ in range(3):
        session.browser.send_rtcp(block)
        session.exchange()
    whole = Report("n", Role.EGRESS, "i", viewers=(session.viewer.report(session.now),))
    assert decode_for_broker(encode(whole)) == whole
    before = len(session.browser.packets)
    session.now = 5.0
    session.play(3)
    assert not session.viewer.ended
    assert len(session.browser.packets) > before


def test_much_that_is_asked_for_again_is_an_alarm_before_a_report_counts_it() -> None:
    session = Session()
    session.play(10)  # of three packets each
    ssrc = session.stream.feeds[Kind.VIDEO].source.ssrc

    def ask(*numbers: int) -> bool:
        session.viewer.feedback.alarming = False
        session.browser.send_rtcp(rtp.RtcpRtpfbPacket(rtp.RTCP_RTPFB_NACK, 9, ssrc, list(numbers)))
        session.exchange()
        return session.viewer.feedback.alarming

    assert not ask(*range(2, 2 + LEAST_MISSED - 1))
    assert not ask(*range(2, 2 + LEAST_MISSED - 1)), "they are the same"
    assert ask(25)
    assert session.viewer.report(session.now).lost == LEAST_MISSED
    assert not ask(26), "it is known"
    session.browser.send_rtcp(rtp.RtcpRrPacket(9, [rtp.RtcpReceiverInfo(ssrc, 0, LEAST_MISSED + 1, 0, 0, 0, 0)]))
    session.exchange()
    assert session.viewer.report(session.now).lost == LEAST_MISSED + 1, "no packet is counted twice"


def test_feedback_about_strangers_is_ignored() -> None:
    session = Session()
    session.play(1)
    session.browser.packets.clear()
    session.browser.send_rtcp(rtp.RtcpRtpfbPacket(rtp.RTCP_RTPFB_NACK, 9, 12345, [0]))
    session.exchange()
    assert session.browser.packets == []


def test_garbage_is_counted() -> None:
    session = Session()
    session.viewer.receive_rtcp(b"\x80\xc9" + bytes(30), now=session.now, unix_ns=session.unix_ns)
    assert session.viewer.feedback.garbage == 1
    early = Session(connect=False)
    early.viewer.receive_rtcp(b"\x80\xc9" + bytes(30), now=early.now, unix_ns=early.unix_ns)
    assert early.viewer.feedback.garbage == 1


def test_more_feedback_than_anybody_needs_is_ignored() -> None:
    session = Session()
    session.play(1)
    ssrc = session.stream.feeds[Kind.VIDEO].source.ssrc
    for _ in range(FEEDBACK_BURST + 3):
        session.browser.send_rtcp(rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, ssrc))
    session.exchange()
    assert session.viewer.report(session.now).plis == FEEDBACK_BURST
    assert session.viewer.ignored == 3
    session.now += 1 / FEEDBACK_RATE
    session.browser.send_rtcp(rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, ssrc))
    session.exchange()
    assert session.viewer.report(session.now).plis == FEEDBACK_BURST + 1


def test_feedback_is_bounded_in_bytes_since_its_cost_grows_with_them() -> None:
    session = Session()
    session.play(1)
    feedback, video = session.viewer.feedback, session.stream.feeds[Kind.VIDEO].source.ssrc
    losses = [rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, video)] * 110  # 1,320 bytes, twenty times as dear as one is
    for _ in range(400):
        session.now += 1 / FEEDBACK_RATE
        session.browser.send_rtcp(*losses)
        session.exchange()
    heard = 400 - feedback.ignored
    assert feedback.ignored
    assert heard * 1_300 < FEEDBACK_BYTES_BURST + 2 * FEEDBACK_BYTES_RATE
    session.now += 0.1
    session.browser.send_rtcp(rtp.RtcpByePacket([9]))
    session.exchange()
    assert session.viewer.ended, "what is small is heard soon again"


def test_a_viewer_that_tells_of_nothing_but_losses_is_an_alarm_once_a_second() -> None:
    session = Session()
    session.play(3)
    feedback, ssrc = session.viewer.feedback, session.stream.feeds[Kind.VIDEO].source.ssrc
    alarms = 0
    for number in range(300):
        session.now += 0.01
        session.browser.send_rtcp(rtp.RtcpRrPacket(9, [rtp.RtcpReceiverInfo(ssrc, 255, number, 0, 900, 0, 0)]))
        session.exchange()
        assert feedback.flooded(session.now)
        alarms, feedback.alarming = alarms + feedback.alarming, False
    assert 3 <= alarms <= 4


def test_the_round_trip_is_that_of_a_report_and_its_answer() -> None:
    session = Session()
    session.play(1)
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    session.exchange()
    report = next(p for p in session.browser.reports if isinstance(p, rtp.RtcpSrPacket))
    middle = report.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
    info = rtp.RtcpReceiverInfo(report.ssrc, 0, 0, 0, 0, middle, 0)
    session.browser.send_rtcp(rtp.RtcpRrPacket(9, [info]))
    [datagram] = session.browser.take()
    session.viewer.receive_rtcp(datagram, now=session.now, unix_ns=session.unix_ns + 30_000_000)
    assert session.viewer.report(session.now).round_trip == pytest.approx(0.03, abs=0.001)


def test_a_path_that_is_reported_as_lossy_is_spared_at_once() -> None:
    session = Session()
    session.play(3)
    ssrc = session.stream.feeds[Kind.VIDEO].source.ssrc
    assert not session.viewer.senders[ssrc].cursor.thin
    session.browser.send_rtcp(rtp.RtcpRrPacket(9, [rtp.RtcpReceiverInfo(ssrc, 64, 2, 0, 900, 0, 0)]))
    session.exchange()
    assert session.viewer.senders[ssrc].cursor.thin
