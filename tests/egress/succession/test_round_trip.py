"""A session that goes on in another process: to the browser it is the same one."""

from __future__ import annotations

import itertools

import pytest
from aiortc import rtp

from common.media import Kind
from egress.feedback import Feedback
from egress.position import Position
from egress.succession import parting
from egress.succession.places import warm
from egress.viewer import Viewer
from egress.wire.ice import CONSENT_TIMEOUT, DOUBT
from egress.wire.profiles import SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80, Profile
from rigs.browser import Browser
from tests.fakes.media import gop_stream
from tests.fakes.session import Session
from tests.fakes.successor import GOP, Successor, play, ready

PROFILES = [SRTP_AEAD_AES_128_GCM, SRTP_AES128_CM_SHA1_80]


def numbers(session: Session, kind: Kind) -> list[int]:
    """The RTP sequence numbers that came, unwrapped."""
    ssrc = session.sources[kind].ssrc
    found = [packet.sequence_number for packet in session.browser.packets if packet.ssrc == ssrc]
    steps = [(after - before + 0x8000 & 0xFFFF) - 0x8000 for before, after in itertools.pairwise(found)]
    return [*itertools.accumulate(steps, initial=found[0])]


@pytest.mark.parametrize("ahead", [False, True], ids=["at once", "ahead"])
@pytest.mark.parametrize("profile", PROFILES, ids=["gcm", "cm"])
def test_nothing_is_missing_and_nothing_comes_twice(profile: Profile, ahead: bool) -> None:
    session = Session(browser=Browser(profiles=[profile]))
    if ahead:
        cached = play(session, GOP + 5)[GOP:]
        successor = Successor(session, cached)
        successor.hear_ahead()
        play(session, 3, successor)
    else:
        successor = ready(session)
    before = session.viewer.report(session.now)
    successor.take_over()
    session.play(1)
    session.play(2 * GOP - 1)
    assert session.numbers(Kind.VIDEO) == list(range(3 * (3 * GOP + 8)))
    assert session.numbers(Kind.AUDIO) == list(range(3 * GOP + 8))
    video = numbers(session, Kind.VIDEO)
    assert video == list(range(video[0], video[0] + len(video)))
    assert session.browser.duplicates == 0
    stamps = [p.timestamp for p in session.browser.packets if p.ssrc == session.sources[Kind.VIDEO].ssrc]
    assert {after - before for before, after in itertools.pairwise(stamps)} == {0, 3_000}
    assert [sender.position for sender in session.viewer.senders.values()] == [Position.LIVE, Position.LIVE]
    after = session.viewer.report(session.now)
    assert after.packets - before.packets == 2 * GOP * 4
    assert (after.session, after.remote, after.srtp) == (before.session, before.remote, profile.name)


def test_a_rollover_counter_goes_on() -> None:
    session = Session(kinds=[Kind.VIDEO])
    session.stream.feeds[Kind.VIDEO].history.end = 0x7FFF  # its numbers begin as high as any may
    session.source = gop_stream(gop=200, packets=600, size=16)
    cached = play(session, 56)
    Successor(session, cached[-20:]).take_over()
    session.play(2)
    found = numbers(session, Kind.VIDEO)
    assert found == list(range(0x7FFF, 0x7FFF + len(found)))
    assert found[-600] > 1 << 16
    assert session.browser.duplicates == 0


def test_reports_go_on_with_their_indices() -> None:
    session = Session()
    successor = ready(session)
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    session.exchange()
    [sent] = session.viewer.reach.dtls.srtp.sent.indices.items()
    successor.take_over()
    session.now += 1.0
    session.play(1)
    session.viewer.sweep(now=session.now, unix_ns=session.unix_ns)
    session.exchange()
    reports = [packet for packet in session.browser.reports if isinstance(packet, rtp.RtcpSrPacket)]
    video = [p.sender_info.packet_count for p in reports if p.ssrc == session.sources[Kind.VIDEO].ssrc]
    assert video[0] == 3 * (GOP + 8)
    assert len(video) == 2, "libsrtp takes no index twice"
    assert session.viewer.reach.dtls.srtp.sent.indices[sent[0]] == sent[1] + 1


def test_feedback_of_before_is_not_taken_again() -> None:
    session = Session()
    play(session, 5)
    session.browser.send_rtcp(rtp.RtcpPsfbPacket(1, 9, session.sources[Kind.VIDEO].ssrc))
    [old] = session.browser.take()
    session.viewer.receive_rtcp(old, now=session.now, unix_ns=session.unix_ns)
    Successor(session).take_over()
    session.viewer.receive_rtcp(old, now=session.now, unix_ns=session.unix_ns)
    assert (session.viewer.report(session.now).plis, session.viewer.feedback.garbage) == (1, 1)
    session.browser.send_rtcp(rtp.RtcpByePacket([9]))
    session.exchange()
    assert session.viewer.ended == "closed by the viewer"


def test_losses_of_before_are_repaired_by_rtx_as_far_as_both_saw_them() -> None:
    session = Session()
    ready(session).take_over()
    session.play(1)
    ssrc, rtx = session.sources[Kind.VIDEO].ssrc, session.sources[Kind.VIDEO].rtx_ssrc
    packets = [packet for packet in session.browser.packets if packet.ssrc == ssrc]
    known, before = packets[-6], packets[3 * GOP]
    for lost in (known, before):
        session.browser.send_rtcp(rtp.RtcpRtpfbPacket(1, 9, ssrc, [lost.sequence_number]))
    session.exchange()
    [again] = [packet for packet in session.browser.packets if packet.ssrc == rtx]
    assert again.payload[:2] == known.sequence_number.to_bytes(2, "big")
    assert again.payload[2:] == known.payload


@pytest.mark.parametrize("seen", ["nothing", "with a gap", "another epoch"])
def test_what_is_not_found_goes_on_at_the_next_keyframe_without_a_gap(seen: str) -> None:
    session = Session(kinds=[Kind.VIDEO])
    play(session, GOP + 5)
    successor = Successor(session)
    if seen != "nothing":
        pictures = play(session, 3)
        successor.stream.incoming.receive_replay(pictures[:1], now=session.now)
    if seen == "another epoch":
        batch = next(gop_stream(epoch=2))
        successor.stream.incoming.receive(batch, now=session.now, unix_ns=batch.arrival_ns)
        session.source = gop_stream(epoch=2)
        next(session.source)
    successor.take_over()
    session.play(1)
    session.play(2 * GOP)
    found = numbers(session, Kind.VIDEO)
    assert found == list(range(found[0], found[0] + len(found)))
    assert session.browser.duplicates == 0
    assert next(iter(session.viewer.senders.values())).position is Position.LIVE


def test_a_successor_is_warm_when_what_flows_has_come() -> None:
    session = Session(kinds=[Kind.VIDEO])
    silent = Successor(session)
    assert warm(silent.before[Kind.VIDEO], silent.witnesses[Kind.VIDEO]), "nothing flows"
    cached = play(session, GOP + 5)[GOP:]
    successor = Successor(session)
    told, witness = successor.before[Kind.VIDEO], successor.witnesses[Kind.VIDEO]
    assert not warm(told, witness)
    successor.stream.incoming.receive_replay(cached[:-1], now=session.now)
    assert not warm(told, witness), "the last picture is yet to come"
    successor.stream.incoming.receive(cached[-1], now=session.now, unix_ns=cached[-1].arrival_ns)
    assert warm(told, witness)
    session.now += parting.FLOWS
    assert warm(successor.told(Kind.VIDEO), Successor(session).witnesses[Kind.VIDEO]), "the camera is silent"


def test_nobody_took_it_and_it_goes_on() -> None:
    session = Session()
    play(session, 5)
    stopped = parting.stop(session.viewer)
    play(session, 2)
    session.viewer.sweep(now=session.now + 1, unix_ns=session.unix_ns)
    assert session.numbers(Kind.VIDEO) == list(range(15)), "nothing is sent meanwhile"
    stopped.go_on(session.now)
    session.play(3)
    assert session.numbers(Kind.VIDEO) == list(range(30))
    assert session.browser.duplicates == 0


def test_goodbye_in_words_that_cannot_be_read_has_consent_asked_for() -> None:
    session = Session()
    play(session, 5)
    Successor(session).take_over()
    assert session.viewer.reach.agent.expired(session.now + CONSENT_TIMEOUT - 1) == ""
    session.browser.close()
    session.exchange()
    assert not session.viewer.ended
    assert session.viewer.reach.agent.expired(session.now + DOUBT - 1) == ""
    session.viewer.sweep(now=session.now + DOUBT + 1, unix_ns=session.unix_ns)
    assert session.viewer.ended == "consent expired"


def test_the_last_flight_is_repeated_where_it_was_lost() -> None:
    session = Session(connect=False)
    session.nominate()
    session.browser.start_dtls()
    while not session.viewer.reach.dtls.connected:
        for datagram in session.browser.take():
            session.viewer.receive_dtls(datagram, session.target, now=session.now)
        if not session.viewer.reach.dtls.connected:
            for datagram in session.target.take():
                session.browser.receive(datagram)
    session.target.take()  # lost
    Successor(session).take_over()
    assert not session.browser.connected
    session.viewer.receive_dtls(b"\x16\xfe\xfd" + bytes(20), session.target, now=session.now)
    session.exchange()
    assert session.browser.connected


def test_goodbye_is_said_as_far_as_it_can_be() -> None:
    session = Session()
    ready(session).take_over()
    session.viewer.close(unix_ns=session.unix_ns)
    session.exchange()
    assert any(isinstance(packet, rtp.RtcpByePacket) for packet in session.browser.reports)
    assert not session.browser.closed, "close_notify cannot be written any more"


def test_who_is_still_shaking_hands_cannot_be_moved() -> None:
    session = Session(connect=False)
    assert not parting.movable(session.viewer)
    session = Session()
    assert parting.movable(session.viewer)
    session.viewer.ended = "hung up"
    assert not parting.movable(session.viewer)


def test_its_path_is_probed_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feedback, "unreported", True)
    session = Session()
    ready(session).take_over()
    session.play(1)
    session.viewer._quality.reliable = False
    later = session.now + 10.0
    assert session.viewer.probing.checks(session.now) == []
    assert session.viewer.probing.checks(later) != [], "its agent is the one that was handed over"


def attributes(viewer: Viewer) -> dict[str, set[str]]:
    """The names of what a session's objects hold."""
    sender = next(iter(viewer.senders.values()))
    agent = viewer.reach.agent
    pair = next(iter(agent.pairs.values()))
    objects = (
        viewer,
        viewer.reach,
        viewer.reach.dtls,
        viewer.reach.dtls.srtp,
        viewer.feedback,
        viewer._quality,
        agent,
        pair,
        sender,
        sender.cursor,
        sender.lane,
        sender.retransmission,
        sender.feed.timeline,
    )
    return {
        type(each).__name__: {name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())}
        | set(getattr(each, "__dict__", ()))
        for each in objects
    }


def test_nothing_of_a_session_is_left_out_unseen() -> None:
    """A new attribute has to be handed over, or known to begin anew."""
    session = Session()
    play(session, 1)
    found = attributes(session.viewer)
    new = {name: more for name, names in found.items() if (more := names - {*KNOWN[name].split()})}
    assert new == {}, "say in parting and resuming what becomes of it"


KNOWN = {
    "Viewer": "_cname _holder _ice _on_behind _pace _quality _restarts _started due ended feedback hurry "
    "joined_at probing reach senders session showing",
    "Reach": "_answered_at _budget _pair _shown _withheld agent dtls ignored round_trip way",
    "DtlsServer": "_connection _flight _flights _identity _inherited _remote _repeat_at _repeats _srtp _state "
    "_transmit doubted failure heard",
    "Srtp": "_compiled _former _inbound gcm_keys heard ours profile sent theirs",
    "Feedback": "_alarmed_at _told_at _bytes _lost _reported _budget _quality _senders alarming bandwidth bye garbage "
    "ignored reports round_trip",
    "PathQuality": "_lossy_until _round_trip capacity reliable sizes watched",
    "IceAgent": "_checks _renewed _restarts _switches _tie_breaker answers created current former hearing "
    "nominated pairs retired selected spent",
    "Pair": "by_handshake checked_at generation path proved_at received round_trip sent transaction",
    "Sender": "_confirmed _on_behind _pace _quality _measuring _stuck cursor lane pictured_at retransmission stats",
    "Cursor": "_chosen_of _group _held _lane _leaves _on_move _thin _watches blocked feed format live_from next "
    "numbering playout position section target",
    "Lane": "_base _octets _packets compiled encrypt_into iv keys protect ssrc",
    "Retransmission": "_asked _budget _budget_until _cursor _lane _next _next_replay _pace _repeats _spare stats",
    "Timeline": "_epoch _offset _origin capture_ns clock_rate timestamp",
}
