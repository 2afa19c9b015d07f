"""A viewer that goes over to another stream of its camera."""

from __future__ import annotations

import itertools

from aiortc import rtp

from common.media import Batch, Kind, Rendition, as_it_came
from egress.feedback import LEAST_MISSED
from tests.fakes.media import audio, gop_stream
from tests.fakes.session import Session


def moved(session: Session, *batches: Batch) -> None:
    """The viewer is to see the sub-stream, and this comes of it."""
    session.viewer.showing.move("front-door/sub", dict.fromkeys(Kind, as_it_came("front-door/sub")), session.now)
    for batch in batches:
        session.others[0].incoming.receive(batch, now=session.now, unix_ns=batch.arrival_ns)
    session.exchange()


def test_a_viewer_keeps_its_picture_until_that_of_the_other_stream_begins() -> None:
    session = Session()
    session.play(5)
    source = gop_stream(epoch=9)
    first, *rest = itertools.islice(source, 3)
    moved(session, *rest)
    assert session.viewer.showing.camera == "front-door"
    session.play(1)
    before = len(session.numbers(Kind.VIDEO))
    assert before == 18, "what does not begin with a keyframe shows nothing"
    session.others[0].incoming.receive(first._replace(sequence=9, timestamp=99_000), now=0.0, unix_ns=0)
    session.exchange()
    report = session.viewer.report(session.now)
    assert (report.camera, report.beside) == ("front-door/sub", "front-door"), "its sound has yet to come"
    session.play(1)
    packets = [p for p in session.browser.packets if p.ssrc == session.sources[Kind.VIDEO].ssrc]
    assert len(packets) == before + 3, "no picture comes of the first stream any more"
    assert [p.sequence_number for p in packets] == list(range(before + 3))
    session.others[0].incoming.receive(audio(0, epoch=9), now=0.0, unix_ns=0)
    assert session.released == ["front-door", "front-door"], "its picture and its sound"
    assert session.viewer.report(session.now).beside == ""
    session.viewer.close(unix_ns=session.unix_ns)
    assert session.released[2:] == ["front-door/sub", "front-door/sub"]


def test_where_the_path_does_not_carry_the_old_picture_nothing_of_it_is_in_the_way_of_the_new_one() -> None:
    session = Session()
    session.play(12)  # of three packets each, and a keyframe in ten
    ssrc = session.sources[Kind.VIDEO].ssrc
    nack = rtp.RtcpRtpfbPacket(rtp.RTCP_RTPFB_NACK, 9, ssrc, list(range(2, 2 + LEAST_MISSED)))
    session.browser.send_rtcp(nack)
    session.exchange()
    before = len(session.numbers(Kind.VIDEO))
    assert session.viewer.feedback.flooded(session.now)
    sub = dict.fromkeys(Kind, as_it_came("front-door/sub"))
    session.viewer.showing.move("front-door/sub", sub, session.now, flooded=True)
    session.play(3)
    retransmitted = session.viewer.report(session.now).retransmitted
    session.browser.send_rtcp(nack)
    session.exchange()
    assert len(session.numbers(Kind.VIDEO)) == before
    assert session.viewer.report(session.now).retransmitted == retransmitted, "nor is anything of it sent again"
    first = next(gop_stream(epoch=9))
    session.others[0].incoming.receive(first, now=session.now, unix_ns=first.arrival_ns)
    session.exchange()
    assert session.viewer.showing.camera == "front-door/sub"
    packets = [p.sequence_number for p in session.browser.packets if p.ssrc == ssrc]
    assert packets == list(range(before + 3))


def test_a_viewer_that_is_to_leave_knows_it_until_it_has_gone_or_stays() -> None:
    session = Session()
    session.play(12)
    cursor = session.viewer.senders[session.sources[Kind.VIDEO].ssrc].cursor
    sub, main = (dict.fromkeys(Kind, as_it_came(name)) for name in ("front-door/sub", "front-door"))
    session.viewer.showing.move("front-door/sub", sub, session.now)
    assert cursor.leaves
    session.viewer.showing.move("front-door", main, session.now)
    assert not cursor.leaves
    session.viewer.showing.move("front-door/sub", sub, session.now)
    first = next(gop_stream(epoch=9))
    session.others[-1].incoming.receive(first, now=session.now, unix_ns=first.arrival_ns)
    assert (session.viewer.showing.camera, cursor.leaves) == ("front-door/sub", False)


def test_a_stream_without_sound_leaves_that_of_the_other() -> None:
    session = Session()
    session.play(5)
    moved(session, next(gop_stream(epoch=9)))
    session.play(5)
    assert session.viewer.showing.camera == "front-door/sub"
    assert session.numbers(Kind.AUDIO) == list(range(10))


def test_what_comes_of_the_other_stream_and_is_not_taken_is_declined_before_the_picture_goes() -> None:
    session = Session()
    session.play(5)
    moved(session, next(gop_stream(epoch=9))._replace(codec="VP9"))
    session.play(1)
    report = session.viewer.report(session.now)
    assert (report.camera, report.declined) == ("front-door", "front-door/sub")
    assert session.numbers(Kind.VIDEO) == list(range(18))
    assert session.released == ["front-door/sub", "front-door/sub"]


def test_or_it_is_converted_where_that_can_be() -> None:
    session = Session(convertible=tuple(Kind))
    session.play(5)
    moved(session, next(gop_stream(epoch=9))._replace(codec="JPEG"))
    session.play(1)
    assert session.viewer.showing.camera == "front-door", "it still has its picture"
    assert [stream.rendition for stream in session.others] == ["front-door/sub", "front-door/sub/h264"]
    released = list(session.released)
    moved(session)  # ordered again, as long as it has not happened
    assert session.released == released, "what is to be converted is waited for"
    session.others[1].incoming.receive(next(gop_stream(epoch=9)), now=0.0, unix_ns=0)
    assert session.viewer.showing.camera == "front-door/sub"
    assert session.viewer.showing.streams[Kind.VIDEO].rendition == "front-door/sub/h264"


def test_a_move_is_revised_when_more_is_known_of_the_stream() -> None:
    session = Session(convertible=tuple(Kind))
    session.play(5)
    moved(session)
    session.viewer.showing.move("front-door/sub", {Kind.VIDEO: Rendition("front-door/sub/h264")}, session.now)
    assert session.released == ["front-door/sub", "front-door/sub"]
    session.viewer.showing.move("front-door/sub", {Kind.VIDEO: Rendition("front-door/sub/h264")}, session.now)
    assert len(session.released) == 2, "the same again changes nothing"
    session.others[-1].incoming.receive(next(gop_stream(epoch=9)), now=0.0, unix_ns=0)
    assert session.viewer.showing.camera == "front-door/sub"


def test_a_viewer_of_sound_alone_declines_a_stream_that_has_none() -> None:
    session = Session(kinds=[Kind.AUDIO])
    session.play(2)
    session.viewer.showing.move("front-door/sub", {Kind.VIDEO: as_it_came("front-door/sub")}, session.now)
    assert session.viewer.report(session.now).declined == "front-door/sub"


def test_sound_follows_the_picture() -> None:
    session = Session()
    session.play(5)
    moved(session, *(audio(number, epoch=9) for number in range(4)))
    heard = len(session.numbers(Kind.AUDIO))
    moved(session, next(gop_stream(epoch=9)), *(audio(number, epoch=9) for number in range(4, 6)))
    assert len(session.numbers(Kind.AUDIO)) == heard + 2


def test_a_viewer_that_was_not_sent_anything_begins_with_the_other_stream() -> None:
    session = Session(connect=False)
    moved(session)
    assert session.viewer.showing.camera == "front-door/sub"
    assert {stream.rendition for stream in session.viewer.showing.streams.values()} == {"front-door/sub"}


def test_a_move_that_is_taken_back_leaves_everything_as_it_was() -> None:
    session = Session()
    session.play(5)
    moved(session)
    session.viewer.showing.move("front-door", dict.fromkeys(Kind, as_it_came("front-door")), session.now)
    assert session.released == ["front-door/sub", "front-door/sub"]
    keyframe = next(gop_stream(epoch=9))
    session.others[0].incoming.receive(keyframe, now=0.0, unix_ns=0)
    session.play(1)
    assert session.viewer.showing.camera == "front-door"
    assert session.numbers(Kind.VIDEO) == list(range(18))


def test_a_stream_of_whose_picture_the_viewer_takes_nothing_is_declined() -> None:
    session = Session()
    session.play(5)
    session.viewer.showing.move("front-door/sub", {Kind.AUDIO: as_it_came("front-door/sub")}, session.now)
    report = session.viewer.report(session.now)
    assert (report.camera, report.declined) == ("front-door", "front-door/sub")
    assert session.others == []


def test_a_stream_that_is_cached_already_is_shown_at_once() -> None:
    session = Session()
    session.play(5)
    other = session.acquire(as_it_came("front-door/sub"))
    source = gop_stream(epoch=9)
    for batch in itertools.islice(source, 13):
        other.incoming.receive(batch, now=session.now, unix_ns=batch.arrival_ns)
    moved(session)
    assert session.viewer.showing.camera == "front-door/sub"
    for sender in session.behind:
        sender.catch_up(session.now)
    session.exchange()
    assert session.numbers(Kind.VIDEO)[15:] == list(range(30, 39)), "from its last keyframe on"
