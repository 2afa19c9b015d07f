from __future__ import annotations

import gc
import itertools
import weakref

import pytest
from aiortc import rtp

from common.control import ViewerState
from common.media import Kind, Rendition, as_it_came
from egress.showing import CONVERTED_WITHIN
from egress.viewer import MEDIA_PAUSE
from egress.wire.ice import CONNECT_TIMEOUT, CONSENT_TIMEOUT
from tests.fakes.media import audio, gop_stream
from tests.fakes.session import Session


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
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    session.exchange()
    assert session.browser.reports == [], "nothing has been sent yet"
    session.play(2)
    for _ in range(15):
        session.now += 0.1
        if session.now >= session.viewer.due:
            session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    session.exchange()
    reports = [p for p in session.browser.reports if isinstance(p, rtp.RtcpSrPacket)]
    assert {p.ssrc for p in reports} == {feed.source.ssrc for feed in session.stream.feeds.values()}
    assert len(reports) == 4
    video = [p for p in reports if p.ssrc == session.stream.feeds[Kind.VIDEO].source.ssrc]
    assert video[-1].sender_info.packet_count == 6


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
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    assert not session.viewer.ended
    session.now = CONSENT_TIMEOUT + 1
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    assert session.viewer.ended == "consent expired"


def test_it_ends_when_nobody_ever_comes() -> None:
    session = Session(connect=False)
    session.viewer.sweep(now=CONNECT_TIMEOUT + 1, unix_ns=session.unix_ns)
    assert session.viewer.ended == "ICE never connected"


def test_it_ends_when_there_is_ice_and_never_dtls() -> None:
    session = Session(connect=False)
    session.now = CONNECT_TIMEOUT
    session.nominate()
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    assert not session.viewer.ended
    session.viewer.sweep(now=session.now + 1, unix_ns=session.unix_ns)
    assert session.viewer.ended == "DTLS never connected"


def test_goodbye_is_said_properly() -> None:
    session = Session()
    session.play(1)
    session.viewer.close(unix_ns=session.unix_ns)
    session.exchange()
    assert any(isinstance(p, rtp.RtcpByePacket) for p in session.browser.reports)
    assert session.browser.closed
    session.browser.packets.clear()
    session.play(20)
    assert session.browser.packets == []


def test_what_a_viewer_was_is_freed_at_once() -> None:
    session = Session()
    session.play(20)
    gone = [weakref.ref(session.viewer), weakref.ref(session.viewer.reach.dtls)]
    gc.collect()
    gc.disable()  # the collector walks through what is old once in millions of objects
    try:
        session.viewer.close(unix_ns=session.unix_ns)
        session.behind.clear()
        del session.viewer
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()


def test_a_codec_that_the_session_cannot_carry_ends_it_with_the_reason() -> None:
    session = Session()
    session.play(1)
    batch = next(session.source)._replace(codec="VP9")
    session.stream.incoming.receive(batch, now=0.0, unix_ns=batch.arrival_ns)
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    assert session.viewer.ended == "the camera changed to VP9, which this session cannot carry"


def test_what_a_camera_sent_before_says_nothing_of_what_it_sends() -> None:
    """It was added again with another codec, and nothing has come of it yet."""
    for convertible in ((), tuple(Kind)):
        session = Session(connect=False, convertible=convertible)
        former = next(session.source)._replace(codec="VP9")
        session.stream.incoming.receive(former, now=session.now, unix_ns=former.arrival_ns)
        session.now += 1.0
        session.nominate()
        session.browser.start_dtls()
        session.exchange()
        session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
        assert not session.viewer.ended
        assert not session.others, "nothing is converted"
        for batch in itertools.islice(gop_stream(epoch=7), 5):
            session.stream.incoming.receive(batch, now=session.now, unix_ns=batch.arrival_ns)
        session.exchange()
        assert len(session.numbers(Kind.VIDEO)) == 15


def sends(session: Session, kind: Kind, codec: str) -> None:
    """The camera sends something else of one kind, and the viewer is swept."""
    made = next(session.source) if kind is Kind.VIDEO else audio(session.sounds)
    batch = made._replace(codec=codec)
    session.stream.incoming.receive(batch, now=session.now, unix_ns=batch.arrival_ns)
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)


def test_a_codec_that_the_session_cannot_carry_is_converted_where_it_can_be_and_the_session_goes_on() -> None:
    session = Session(convertible=tuple(Kind))
    session.play(5)
    sends(session, Kind.VIDEO, "JPEG")
    assert [stream.rendition for stream in session.others] == ["front-door/h264"]
    before = [p for p in session.browser.packets if p.ssrc == session.sources[Kind.VIDEO].ssrc]
    for batch in itertools.islice(gop_stream(epoch=7), 5):
        session.others[0].incoming.receive(batch, now=session.now, unix_ns=batch.arrival_ns)
    session.exchange()
    after = [p for p in session.browser.packets if p.ssrc == session.sources[Kind.VIDEO].ssrc]
    assert len(after) == len(before) + 15
    numbers = [p.sequence_number for p in after]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    session.now += 2 * CONVERTED_WITHIN
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    assert not session.viewer.ended
    assert session.viewer.showing.streams[Kind.AUDIO] is session.stream, "sound goes on as it came"


@pytest.mark.parametrize("ordered_first", [True, False])
def test_what_is_ordered_and_needed_as_well_begins_once(ordered_first: bool) -> None:
    session = Session(convertible=tuple(Kind))
    order = {Kind.VIDEO: Rendition("front-door/h264"), Kind.AUDIO: as_it_came("front-door")}
    session.play(1)
    if ordered_first:
        session.viewer.showing.move("front-door", order, session.now)
    sends(session, Kind.VIDEO, "JPEG")
    if not ordered_first:
        session.viewer.showing.move("front-door", order, session.now)
    ssrc = session.sources[Kind.VIDEO].ssrc
    before = sum(packet.ssrc == ssrc for packet in session.browser.packets)
    for batch in itertools.islice(gop_stream(epoch=7), 5):
        session.others[-1].incoming.receive(batch, now=session.now, unix_ns=batch.arrival_ns)
    session.exchange()
    numbers = [packet.sequence_number for packet in session.browser.packets if packet.ssrc == ssrc]
    assert numbers == list(range(numbers[0], numbers[0] + before + 15))
    session.now += 2 * CONVERTED_WITHIN
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    assert not session.viewer.ended
    session.viewer.close(unix_ns=session.unix_ns)
    assert sorted(session.released) == sorted(["front-door"] * 2 + ["front-door/h264"] * (2 if ordered_first else 1))


def test_a_session_whose_camera_was_not_known_gets_converted_sound_too() -> None:
    session = Session(convertible=tuple(Kind))
    sends(session, Kind.AUDIO, "G726-32")
    assert [stream.rendition for stream in session.others] == ["front-door/opus"]
    session.others[0].incoming.receive(audio(0), now=session.now, unix_ns=0)
    session.exchange()
    assert [p.payload_type for p in session.browser.packets] == [111]


def test_a_session_ends_where_nothing_is_converted_in_time() -> None:
    session = Session(convertible=tuple(Kind))
    session.play(1)
    sends(session, Kind.VIDEO, "JPEG")
    session.now += CONVERTED_WITHIN + 0.1
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    assert session.viewer.ended == "the camera changed to JPEG, which this session cannot carry"


def test_a_picture_goes_on_where_its_sound_is_converted_later_or_never() -> None:
    session = Session(convertible=tuple(Kind))
    session.play(1)
    sends(session, Kind.AUDIO, "AAC")
    session.now += 2 * CONVERTED_WITHIN
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    assert not session.viewer.ended
    assert session.viewer.report(session.now).video == "H264"
    session.others[0].incoming.receive(audio(0), now=session.now, unix_ns=0)
    session.exchange()
    assert session.browser.packets[-1].payload_type == 111, "it comes when there is room"
    alone = Session(convertible=tuple(Kind), kinds=(Kind.AUDIO,))
    sends(alone, Kind.AUDIO, "AAC")
    alone.now += 2 * CONVERTED_WITHIN
    alone.viewer.sweep(now=alone.now, unix_ns=alone.unix_ns)
    assert alone.viewer.ended == "the camera changed to AAC, which this session cannot carry"


def test_a_report_of_much_loss_is_passed_on_at_once() -> None:
    session = Session()
    session.play(5)
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    for lost, alarming in ((12, False), (60, True)):  # of 256
        ssrc = session.sources[Kind.VIDEO].ssrc
        info = rtp.RtcpReceiverInfo(ssrc, lost, 1, 10, 0, 0, 0)
        session.browser.send_rtcp(rtp.RtcpRrPacket(9, [info]))
        session.exchange()
        assert session.viewer.feedback.alarming is alarming
        assert (session.viewer.due <= session.now) is alarming
