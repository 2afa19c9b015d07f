"""All that is told of a viewer, by the API, in the log and to Prometheus, goes on where it was."""

from __future__ import annotations

from collections import Counter

import pytest
from aiortc import rtp

from common.histogram import Measure
from common.log import Quiet
from common.media import Kind
from egress.journal import Journal
from tests.fakes.log import Recorder
from tests.fakes.session import Session
from tests.fakes.successor import GOP, play, ready


def reported(session: Session, *, lost: int, fraction: int = 64, jitter: int = 900) -> None:
    """The browser reports on the picture, and asks for some packets again."""
    ssrc = session.sources[Kind.VIDEO].ssrc
    packets = [packet for packet in session.browser.packets if packet.ssrc == ssrc]
    highest = packets[-1].sequence_number
    info = rtp.RtcpReceiverInfo(ssrc, fraction, lost, highest, jitter, 0, 0)
    session.browser.send_rtcp(rtp.RtcpRrPacket(9, [info]))
    session.exchange()
    asked = [packet.sequence_number for packet in packets[-15:]]
    session.browser.send_rtcp(rtp.RtcpRtpfbPacket(1, 9, ssrc, asked))
    session.browser.send_rtcp(rtp.RtcpPsfbPacket(1, 9, ssrc))
    session.exchange()


def watched() -> Session:
    """One that was sent its first picture long ago, and has lost some since."""
    session = Session()
    play(session, GOP)
    session.now += 14.8
    return session


def journal() -> tuple[Journal, Recorder]:
    log = Recorder()
    return Journal(Quiet(log)), log  # type: ignore[arg-type]  # as much of a logger as is asked for


def counted(of: Journal, session: Session) -> Counter[str]:
    return of.counters([session.viewer], [session.viewer.report(session.now)])


def test_a_report_says_the_same_before_and_after() -> None:
    session = watched()
    successor = ready(session)
    reported(session, lost=40)
    before = session.viewer.report(session.now)
    assert before.lost > 40, "what was asked for since is counted, too"
    assert before.jitter
    assert before.nacked
    assert before.plis
    others = session.viewer.feedback.garbage, session.viewer.withheld, session.viewer.stuck
    successor.take_over()
    assert session.viewer.report(session.now) == before
    assert (session.viewer.feedback.garbage, session.viewer.withheld, session.viewer.stuck) == others


def test_what_is_asked_for_once_more_is_missed_once() -> None:
    session = watched()
    successor = ready(session)
    reported(session, lost=3)
    lost = session.viewer.report(session.now).lost
    successor.take_over()
    reported(session, lost=3)
    assert session.viewer.report(session.now).lost == lost


def test_the_line_at_leaving_says_when_the_first_picture_came() -> None:
    session = watched()
    successor = ready(session)
    (first, said), (second, says) = journal(), journal()
    first.begin(session.viewer)
    first.look(session.viewer)
    reported(session, lost=2)
    first.end(session.viewer, "compared", [], session.now)
    successor.take_over()
    second.inherit(session.viewer, session.now)
    second.end(session.viewer, "compared", [], session.now)
    [before], [after] = said.of("viewer left"), says.of("viewer left")
    assert (before["first_picture"], before["seconds"]) == (0.0, 14.8)
    assert after == before


def test_a_first_picture_that_is_yet_to_come_is_measured() -> None:
    session = Session()
    successor = ready(session)
    for sender in session.viewer.senders.values():
        sender.pictured_at = None
    second, _ = journal()
    successor.take_over()
    second.inherit(session.viewer, session.now)
    session.now += 2
    play(session, 1)
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    for _ in range(2):
        second.look(session.viewer)
    [measured] = [each for each in second.measured if each.measure is Measure.FIRST_PICTURE]
    assert sum(measured.counts) == 1


@pytest.mark.parametrize("leaves", [False, True])
def test_counters_of_the_new_process_begin_at_nothing(leaves: bool) -> None:
    """Prometheus takes what is less than before for all of it, so what was sent before would be counted twice."""
    session = watched()
    successor = ready(session)
    reported(session, lost=5)
    second, _ = journal()
    successor.take_over()
    second.inherit(session.viewer, session.now)
    assert set(counted(second, session).values()) == {0}
    packets = session.viewer.report(session.now).packets
    session.play(1)
    session.play(3)
    sent = session.viewer.report(session.now).packets - packets
    assert sent >= 9
    if leaves:
        second.end(session.viewer, "closed", [], session.now)
        assert second.counters([], [])["sent_packets"] == sent
    else:
        assert counted(second, session)["sent_packets"] == sent
