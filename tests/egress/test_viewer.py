from __future__ import annotations

import gc
import time
import weakref

import pytest
from aiortc import rtp

from common.control import Report, Role, ViewerState, decode_for_broker, encode
from common.media import Kind
from egress.answer import negotiate
from egress.media.stream import Stream
from egress.path.quality import LOCAL_ROUND_TRIP
from egress.retransmission import BUDGET_INTERVAL
from egress.sender import Sender
from egress.viewer import MAX_FEEDBACK, MEDIA_PAUSE, Viewer
from egress.wire.dtls import Identity
from egress.wire.ice import AMPLIFICATION, CONNECT_TIMEOUT, CONSENT_TIMEOUT, Path
from rigs.browser import Browser
from rigs.ice import prove, request
from tests.fakes.media import audio, gop_stream, number
from tests.fakes.target import FakeTarget

IDENTITY = Identity(compiled=False)


class Session:
    """A browser that watches a stream, without a network."""

    def __init__(self, *, connect: bool = True, round_trip: float = 0.0, waits: float = 0.0) -> None:
        self.now = 0.0
        self.round_trip = round_trip  # seconds, of the handshake
        self.waits = waits  # seconds that each of its datagrams waits for us
        self.stream = Stream("front-door", lambda: None)
        self.source = gop_stream()
        self.sounds = 0
        self.browser = Browser()
        self.target = FakeTarget()
        self.behind: list[Sender] = []
        self.viewer = Viewer(
            "s1",
            self.stream,
            negotiate(self.browser.offer(), []),
            IDENTITY,
            cname="cname",
            on_behind=self.behind.append,
            now=0.0,
        )
        if connect:
            self.nominate()
            self.browser.start_dtls()
            self.exchange()

    def nominate(self, *, answers: bool = True) -> None:
        """The browser checks the path with USE-CANDIDATE and, unless told otherwise, answers our check."""
        agent = self.viewer.agent
        pair = agent.heard(request(), self.target.path, 100, self.now)
        if answers:
            prove(agent, pair, self.now)
        if agent.select(pair, self.now):
            self.viewer.selected(self.target, self.now)  # type: ignore[arg-type]

    def exchange(self) -> None:
        """Carry datagrams until there are none."""
        while (to_server := self.browser.take()) or self.target.datagrams:
            for datagram in to_server:
                if datagram[0] < 64:
                    self.now += self.round_trip / 2 + self.waits
                    self.viewer.receive_dtls(datagram, self.target, self.now, self.waits)  # type: ignore[arg-type]
                    self.now += self.round_trip / 2
                else:
                    self.viewer.receive_rtcp(datagram, self.now)
            for datagram in self.target.take():
                self.browser.receive(datagram)

    def play(self, count: int) -> None:
        for _ in range(count):
            batch = next(self.source)
            self.stream.incoming.receive(batch, now=self.now, unix_ns=batch.arrival_ns)
            sound = audio(self.sounds)
            self.sounds += 1
            self.stream.incoming.receive(sound, now=self.now, unix_ns=sound.arrival_ns)
        for sender in self.behind:
            sender.catch_up(self.now)
        self.exchange()

    def numbers(self, kind: Kind) -> list[int]:
        ssrc = self.stream.feeds[kind].ssrc
        return [number(p.payload) for p in self.browser.packets if p.ssrc == ssrc]


def test_from_offer_to_picture_and_sound() -> None:
    session = Session()
    assert session.browser.connected
    assert session.browser.profile.name == "SRTP_AEAD_AES_128_GCM"
    session.play(5)
    assert session.numbers(Kind.VIDEO) == list(range(15))
    assert session.numbers(Kind.AUDIO) == list(range(5))
    report = session.viewer.report(session.now)
    assert report.state is ViewerState.CONNECTED
    assert (report.video, report.audio, report.waiting) == ("H264", "opus", "")
    assert report.srtp == "SRTP_AEAD_AES_128_GCM"
    assert report.remote == "192.0.2.1:5000"
    assert report.packets == 20


def test_a_camera_that_is_down_keeps_its_viewers() -> None:
    session = Session()
    assert session.viewer.report(session.now).waiting == "for the camera"
    session.play(1)
    session.now += MEDIA_PAUSE + 1
    assert session.viewer.report(session.now).waiting == "for the camera"
    session.play(1)
    assert session.viewer.report(session.now).waiting == ""


def test_sender_reports_once_a_second_for_what_is_sent() -> None:
    session = Session()
    session.viewer.sweep(session.now)
    session.exchange()
    assert session.browser.reports == [], "nothing has been sent yet"
    session.play(2)
    for _ in range(15):
        session.now += 0.1
        if session.now >= session.viewer.due:
            session.viewer.sweep(session.now)
    session.exchange()
    reports = [p for p in session.browser.reports if isinstance(p, rtp.RtcpSrPacket)]
    assert {p.ssrc for p in reports} == {feed.ssrc for feed in session.stream.feeds.values()}
    assert len(reports) == 4
    video = [p for p in reports if p.ssrc == session.stream.feeds[Kind.VIDEO].ssrc]
    assert video[-1].sender_info.packet_count == 6


def test_feedback_is_acted_on_and_reported() -> None:
    session = Session()
    session.play(3)
    ssrc = session.stream.feeds[Kind.VIDEO].ssrc
    session.browser.packets.clear()
    session.browser.send_rtcp(
        rtp.RtcpRrPacket(9, [rtp.RtcpReceiverInfo(ssrc, 0, 2, 0, 900, 0, 0)]),
        rtp.RtcpRtpfbPacket(rtp.RTCP_RTPFB_NACK, 9, ssrc, [4]),
        rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_APP, 9, 0, rtp.pack_remb_fci(3_000_000, [ssrc])),
    )
    session.exchange()
    assert {p.ssrc for p in session.browser.packets} == {session.stream.feeds[Kind.VIDEO].rtx_ssrc}
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
    ssrc = session.stream.feeds[Kind.VIDEO].ssrc
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


def test_feedback_about_strangers_is_ignored() -> None:
    session = Session()
    session.play(1)
    session.browser.packets.clear()
    session.browser.send_rtcp(rtp.RtcpRtpfbPacket(rtp.RTCP_RTPFB_NACK, 9, 12345, [0]))
    session.exchange()
    assert session.browser.packets == []


def test_garbage_is_counted() -> None:
    session = Session()
    session.viewer.receive_rtcp(b"\x80\xc9" + bytes(30), session.now)
    assert session.viewer.garbage == 1
    early = Session(connect=False)
    early.viewer.receive_rtcp(b"\x80\xc9" + bytes(30), early.now)
    assert early.viewer.garbage == 1


def test_it_ends_when_the_browser_says_so() -> None:
    session = Session()
    session.play(1)
    session.browser.close()
    session.exchange()
    assert session.viewer.ended == "closed by the viewer"

    session = Session()
    session.browser.send_rtcp(rtp.RtcpByePacket([9]))
    session.exchange()
    assert session.viewer.ended == "closed by the viewer"


def test_it_ends_when_consent_does() -> None:
    session = Session()
    session.now = CONSENT_TIMEOUT - 1
    session.viewer.sweep(session.now)
    assert not session.viewer.ended
    session.now = CONSENT_TIMEOUT + 1
    session.viewer.sweep(session.now)
    assert session.viewer.ended == "consent expired"


def test_it_ends_when_nobody_ever_comes() -> None:
    session = Session(connect=False)
    session.viewer.sweep(CONNECT_TIMEOUT + 1)
    assert session.viewer.ended == "ICE never connected"


def test_it_ends_when_there_is_ice_and_never_dtls() -> None:
    session = Session(connect=False)
    session.now = CONNECT_TIMEOUT
    session.nominate()
    session.viewer.sweep(session.now)
    assert not session.viewer.ended
    session.viewer.sweep(session.now + 1)
    assert session.viewer.ended == "DTLS never connected"


def test_more_feedback_than_anybody_needs_is_ignored() -> None:
    session = Session()
    session.play(1)
    ssrc = session.stream.feeds[Kind.VIDEO].ssrc
    for _ in range(MAX_FEEDBACK + 3):
        session.browser.send_rtcp(rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, ssrc))
    session.exchange()
    assert session.viewer.report(session.now).plis == MAX_FEEDBACK
    assert session.viewer.ignored == 3
    session.now += BUDGET_INTERVAL
    session.browser.send_rtcp(rtp.RtcpPsfbPacket(rtp.RTCP_PSFB_PLI, 9, ssrc))
    session.exchange()
    assert session.viewer.report(session.now).plis == MAX_FEEDBACK + 1


def test_goodbye_is_said_properly() -> None:
    session = Session()
    session.play(1)
    session.viewer.close()
    session.exchange()
    assert any(isinstance(p, rtp.RtcpByePacket) for p in session.browser.reports)
    assert session.browser.closed
    session.browser.packets.clear()
    session.play(20)
    assert session.browser.packets == []


def test_what_a_viewer_was_is_freed_at_once() -> None:
    session = Session()
    session.play(20)
    gone = [weakref.ref(session.viewer), weakref.ref(session.viewer._dtls)]
    gc.collect()
    gc.disable()  # the collector walks through what is old once in millions of objects
    try:
        session.viewer.close()
        session.behind.clear()
        del session.viewer
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()


def test_a_codec_that_the_session_cannot_carry_ends_it_with_the_reason() -> None:
    session = Session()
    session.play(1)
    batch = next(session.source)._replace(codec="VP8")
    session.stream.incoming.receive(batch, now=0.0, unix_ns=batch.arrival_ns)
    session.viewer.sweep(session.now)
    assert session.viewer.ended == "the camera changed to VP8, which this session cannot carry"


@pytest.mark.parametrize(
    ("round_trip", "waits", "thin"),
    [(0.0, 0.0, False), (LOCAL_ROUND_TRIP / 2, 0.0, False), (2 * LOCAL_ROUND_TRIP, 0.0, True), (0.0, 1.0, False)],
    ids=["local", "near", "far", "in a rush"],
)
def test_the_handshake_tells_whether_the_path_is_a_long_one(round_trip: float, waits: float, thin: bool) -> None:
    session = Session(round_trip=round_trip, waits=waits)
    assert session.viewer._quality.thin(session.now) is thin


def test_how_long_feedback_waited_is_no_part_of_the_round_trip() -> None:
    session = Session()
    session.play(1)
    session.viewer.sweep(session.now)
    session.exchange()
    report = next(p for p in session.browser.reports if isinstance(p, rtp.RtcpSrPacket))
    middle = report.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
    info = rtp.RtcpReceiverInfo(report.ssrc, 0, 0, 0, 0, middle, 0)
    session.browser.send_rtcp(rtp.RtcpRrPacket(9, [info]))
    [datagram] = session.browser.take()
    time.sleep(0.05)  # it waits for us
    session.viewer.receive_rtcp(datagram, session.now, waited=0.05)
    round_trip = session.viewer.report(session.now).round_trip
    assert round_trip is not None
    assert round_trip < 0.05


ELSEWHERE = Path(("192.0.2.66", 66))


def test_a_handshake_is_a_proof_where_our_checks_are_not_answered() -> None:
    session = Session(connect=False)
    session.nominate(answers=False)
    session.viewer.agent.pairs[session.target.path.remote].received = 2_000
    session.browser.start_dtls()
    session.exchange()
    session.play(3)
    assert session.numbers(Kind.VIDEO) == list(range(9))
    assert session.viewer.agent.selected == session.target.path


def test_a_handshake_of_which_something_went_elsewhere_proves_nothing() -> None:
    """Who gets our flight at one address could send the end of the handshake in the name of another."""
    session, elsewhere = Session(connect=False), FakeTarget(ELSEWHERE)
    agent = session.viewer.agent
    for target in (session.target, elsewhere):
        agent.heard(request(nominate=target is elsewhere), target.path, 2_000, session.now)
    session.browser.start_dtls()
    [hello] = session.browser.take()
    session.viewer.receive_dtls(hello, session.target, 0.0)  # type: ignore[arg-type]
    for datagram in session.target.take():
        session.browser.receive(datagram)
    session.viewer.receive_dtls(hello, elsewhere, 0.0)  # type: ignore[arg-type]
    session.viewer.sweep(0.1)
    session.viewer.sweep(0.3)
    assert elsewhere.take(), "so far an address in use for the handshake gets what may be sent to it"
    for datagram in session.browser.take():
        session.viewer.receive_dtls(datagram, elsewhere, 0.4)  # type: ignore[arg-type]
    for datagram in [*session.target.take(), *elsewhere.take()]:
        session.browser.receive(datagram)
    assert session.browser.connected
    session.play(3)
    assert agent.selected is None
    assert session.browser.packets == []
    assert elsewhere.take() == []
    session.viewer.sweep(CONNECT_TIMEOUT + 1)
    assert session.viewer.ended == "no address of the viewer answered"


def test_an_address_that_proved_nothing_is_sent_three_times_what_came_from_it() -> None:
    session = Session(connect=False)
    session.nominate(answers=False)
    pair = session.viewer.agent.pairs[session.target.path.remote]
    session.browser.start_dtls()
    [hello] = session.browser.take()
    for repetition in range(5):
        session.viewer.receive_dtls(hello, session.target, float(repetition))  # type: ignore[arg-type]
        for tick in range(10):
            session.viewer.sweep(repetition + tick / 10)
    assert session.target.datagrams
    assert sum(map(len, session.target.datagrams)) <= AMPLIFICATION * pair.received


def test_what_is_held_back_of_a_handshake_comes_with_the_proof() -> None:
    session = Session(connect=False)
    agent = session.viewer.agent
    session.nominate(answers=False)
    pair = agent.pairs[session.target.path.remote]
    pair.received = 0
    session.browser.start_dtls()
    [hello] = session.browser.take()
    session.viewer.receive_dtls(hello, session.target, 0.0)  # type: ignore[arg-type]
    assert session.target.take() == []
    pair.received = 1_000
    prove(agent, pair, session.now)
    assert agent.select(pair, session.now)
    session.viewer.selected(session.target, session.now)  # type: ignore[arg-type]
    session.exchange()
    session.play(1)
    assert session.numbers(Kind.VIDEO) == [0, 1, 2]


def test_where_it_was_heard_from_is_told_the_selected_path_first() -> None:
    session = Session(connect=False)
    assert session.viewer.seen_at == []
    session.viewer.agent.heard(request(nominate=False), ELSEWHERE, 100, 0.0)
    session.nominate()
    session.browser.start_dtls()
    session.exchange()
    assert session.viewer.seen_at == ["192.0.2.1:5000", "192.0.2.66:66"]
    session.play(3)
    assert session.viewer.connected
    assert session.viewer.octets > 900
