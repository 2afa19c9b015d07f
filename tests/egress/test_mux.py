from __future__ import annotations

import pytest
from aiortc import rtp

from common.media import Kind
from common.sessions import ice_mark
from egress.mux import Mux
from egress.position import Event, Position
from egress.wire.ice import (
    AMPLIFICATION,
    CONSENT_TIMEOUT,
    HEARD_BURST,
    MAX_PATHS,
    Address,
    Credentials,
    Path,
    TcpAddress,
)
from egress.wire.stun import BINDING_REQUEST, BINDING_SUCCESS, kind_of
from rigs.browser import PASSWORD, UFRAG
from rigs.ice import answer as respond
from tests.fakes.watched_mux import HOME, MOBILE, VICTIM, Watching, Wire, check, receive, viewer

FEEDBACK = b"\x80\xc9" + bytes(30)
REMOTE = Credentials(UFRAG, PASSWORD.encode())


async def test_an_address_belongs_to_who_checked_from_it_last() -> None:
    mux, first, second = Mux(), viewer("s1"), viewer("s2")
    mux.add(first)
    mux.add(second)
    shared = ("192.0.2.1", 1)
    check(mux, first, shared)
    check(mux, second, shared)
    receive(mux, FEEDBACK, shared)
    assert (first.feedback.garbage, second.feedback.garbage) == (0, 1)
    check(mux, first, shared)
    for number in range(MAX_PATHS):  # the second one forgets what is no longer its own
        check(mux, second, ("192.0.2.2", 1 + number))
    assert shared not in second.reach.agent.pairs
    receive(mux, FEEDBACK, shared)
    assert first.feedback.garbage == 1
    mux.remove(second)
    receive(mux, FEEDBACK, shared)
    assert first.feedback.garbage == 2
    mux.remove(first)
    receive(mux, FEEDBACK, shared)
    assert mux.counters == {"udp_unknown_source": 1}


async def test_a_forgotten_address_is_nobodys() -> None:
    mux, only = Mux(), viewer("s1")
    mux.add(only)
    for number in range(MAX_PATHS + 1):
        check(mux, only, ("192.0.2.1", 1 + number))
    receive(mux, FEEDBACK, ("192.0.2.1", 1))
    receive(mux, FEEDBACK, ("192.0.2.1", 2))
    assert mux.counters == {"udp_unknown_source": 1}
    assert only.feedback.garbage == 1


def test_how_long_feedback_waited_for_us_is_no_part_of_the_round_trip() -> None:
    watching = Watching()
    watching.now = 1_000.0
    watching.check(HOME, answer=True)
    watching.sweep()
    for datagram in watching.wire.take(HOME):
        if datagram[0] > 3:
            watching.browser.receive(datagram)
    report = next(each for each in watching.browser.reports if isinstance(each, rtp.RtcpSrPacket))
    middle = report.sender_info.ntp_timestamp >> 16 & 0xFFFFFFFF
    watching.browser.send_rtcp(rtp.RtcpRrPacket(9, [rtp.RtcpReceiverInfo(report.ssrc, 0, 0, 0, 0, middle, 0)]))
    [datagram] = watching.browser.take()
    later = 1_001_000_000_000  # a second after the report, most of which it waited
    watching.mux.receive(datagram, Path(HOME), watching.wire, 1_001.0, later, 0.97)  # type: ignore[arg-type]
    assert watching.viewer.report(1_001.0).round_trip == pytest.approx(0.03, abs=0.001)


def test_media_does_not_go_to_somebody_who_never_asked() -> None:
    """Somebody watches, and forges checks from a victim's address that nominate it."""
    watching = Watching()
    forged = sent = 0
    for second in range(1, 80):
        watching.now = float(second)
        forged += watching.check(VICTIM)
        watching.check(HOME, nominate=False, answer=True)
        watching.sweep()
        watching.play()
        for datagram in watching.wire.take(VICTIM):
            assert kind_of(datagram) in (BINDING_SUCCESS, BINDING_REQUEST)
            sent += len(datagram)
    assert 0 < sent <= AMPLIFICATION * forged
    assert watching.viewer.reach.agent.selected == Path(HOME)


def test_media_stops_where_nobody_answers_though_checks_come_from_elsewhere() -> None:
    watching = Watching()
    for second in range(1, 40):
        watching.now = float(second)
        watching.check(HOME, nominate=False)
        watching.check(MOBILE, nominate=False, answer=True)
        watching.sweep()
        if watching.viewer.ended:
            break
    assert watching.viewer.ended == "consent expired"
    assert watching.now == pytest.approx(CONSENT_TIMEOUT, abs=2)


def test_a_phone_that_leaves_its_wifi_is_followed_at_once() -> None:
    watching = Watching()
    watching.now = 7.0
    watching.check(MOBILE, answer=True)
    watching.play()
    assert watching.media(MOBILE)
    assert not watching.media(HOME)


def test_a_phone_that_restarts_ice_goes_on_in_its_session() -> None:
    watching = Watching()
    agent, lane = watching.viewer.reach.agent, next(iter(watching.viewer.senders.values())).lane
    former = agent.current
    watching.now = 7.0
    assert watching.viewer.restart(Credentials("newer", b"another password of theirs"), 7.0)
    watching.mux.restarted(watching.viewer)
    watching.check(HOME, nominate=False, answer=True, former=former)
    watching.play()
    assert watching.media(HOME), "until the other address is nominated"
    watching.check(MOBILE, answer=True)
    watching.play()
    assert watching.media(MOBILE)
    assert not watching.media(HOME)
    watching.check(HOME, nominate=False, former=former)
    assert watching.mux.counters == {"stun_unknown_ufrag": 1}, "the former credentials are over"
    assert watching.viewer.reach.dtls.connected
    assert next(iter(watching.viewer.senders.values())).lane is lane, "the numbers go on"
    report = watching.viewer.report(watching.now)
    assert (report.restarts, report.ice, report.remote) == (1, ice_mark("s1", "newer"), "198.51.100.1:2")
    watching.mux.remove(watching.viewer)
    assert not watching.mux._by_ufrag


def test_nothing_is_kept_of_a_viewer_that_goes_while_it_restarts_ice() -> None:
    watching = Watching()
    for number in range(3):
        assert watching.viewer.restart(Credentials(f"newer{number}", b"another password of theirs"), 1.0)
        watching.mux.restarted(watching.viewer)
    assert len(watching.mux._by_ufrag) == 2
    watching.mux.remove(watching.viewer)
    assert not watching.mux._by_ufrag


def test_a_path_that_was_stuck_is_forgotten_with_the_address() -> None:
    watching = Watching()
    sender = watching.viewer.showing.sender(Kind.VIDEO)
    assert sender is not None
    assert sender._stuck is not None
    sender._stuck.held, sender._stuck._until = True, 1_000.0
    sender.cursor.move(Event.GOT_STUCK)
    watching.viewer._quality.measured(0.001)
    assert not watching.viewer._quality.thin(0.0)
    watching.now = 1.0
    watching.check(MOBILE, answer=True)
    assert sender.position is not Position.ON_HOLD
    watching.play()
    assert watching.media(MOBILE)


def test_what_is_known_of_a_path_is_not_believed_of_another() -> None:
    watching = Watching()
    quality = watching.viewer._quality
    quality.measured(0.001)
    watching.now = 1.0
    watching.check(("192.0.2.1", 7), answer=True)
    assert not quality.thin(1.0), "another port of the same host"
    watching.check(MOBILE)
    [ours] = [each for each in watching.wire.take(MOBILE) if kind_of(each) == BINDING_REQUEST]
    receive(watching.mux, respond(ours, REMOTE), MOBILE, 1.2, watching.wire)  # after 0.2 s
    assert watching.viewer.reach.agent.selected == Path(MOBILE)
    assert quality.thin(1.2)


def test_consent_is_asked_for_where_media_goes() -> None:
    watching = Watching()
    for second in range(1, 100):
        watching.now = float(second)
        watching.sweep()
        for datagram in watching.wire.take(HOME):
            if kind_of(datagram) == BINDING_REQUEST:
                receive(watching.mux, respond(datagram, REMOTE), HOME, watching.now, watching.wire)
        assert not watching.viewer.ended


def test_an_address_is_not_taken_from_who_has_proved_to_be_there() -> None:
    mux, own, forger = Mux(), viewer("s1"), viewer("s2")
    mux.add(own)
    mux.add(forger)
    check(mux, own, HOME, answer=True)
    check(mux, forger, HOME)
    receive(mux, FEEDBACK, HOME)
    assert (own.feedback.garbage, forger.feedback.garbage) == (1, 0)
    check(mux, forger, HOME, now=1.0, answer=True)
    receive(mux, FEEDBACK, HOME)
    assert (own.feedback.garbage, forger.feedback.garbage) == (1, 1)


def test_answers_to_nothing_are_counted() -> None:
    mux, only, wire = Mux(), viewer("s1"), Wire()
    mux.add(only)
    check(mux, only, HOME, wire=wire)
    [ours] = [datagram for datagram in wire.take(HOME) if kind_of(datagram) == BINDING_REQUEST]
    receive(mux, respond(ours, REMOTE), MOBILE)
    receive(mux, respond(ours, Credentials(UFRAG, b"wrong")), HOME)
    receive(mux, b"\x01\x01" + bytes(18), HOME)
    assert (mux.counters["stun_unasked"], mux.counters["udp_garbage"]) == (2, 1)
    receive(mux, respond(ours, REMOTE), HOME)
    receive(mux, respond(ours, REMOTE), HOME)
    assert mux.counters["stun_unasked"] == 3


def test_nothing_is_kept_of_a_viewer_that_is_gone() -> None:
    mux, only = Mux(), viewer("s1")
    mux.add(only)
    for number in range(3 * MAX_PATHS):
        check(mux, only, ("192.0.2.1", 1 + number))
    mux.remove(only)
    assert not mux._by_address
    assert not mux._by_transaction
    assert not mux._by_ufrag


def test_checks_by_the_thousand_are_not_all_answered() -> None:
    mux, only, wire = Mux(), viewer("s1"), Wire()
    mux.add(only)
    for _ in range(1_000):
        check(mux, only, HOME, wire=wire)
        check(mux, only, HOME, wire=wire)
    assert mux.counters["stun_ignored"] == 2_000 - HEARD_BURST
    wire.take(HOME)
    check(mux, only, HOME, now=1.0, wire=wire)
    assert wire.take(HOME), "a second later it is heard again"


async def test_connections_of_addresses_that_are_nobodys_are_closed() -> None:
    closed: list[Address] = []
    mux, one = Mux(closed.append), viewer("s1")
    mux.add(one)
    first = TcpAddress("192.0.2.1", 5, 0)
    check(mux, one, first)
    check(mux, one, ("192.0.2.1", 5))
    assert mux.holds(first)
    assert not mux.holds(TcpAddress("192.0.2.1", 5, 1))
    for number in range(MAX_PATHS):
        check(mux, one, TcpAddress("192.0.2.2", 1, 1 + number))
    assert closed == [first, ("192.0.2.1", 5)]
    assert not mux.holds(first)
    mux.remove(one)
    assert len(closed) == 2 + MAX_PATHS


async def test_a_closed_connection_is_forgotten() -> None:
    mux, one = Mux(), viewer("s1")
    mux.add(one)
    address = TcpAddress("192.0.2.1", 5, 0)
    mux.lost(address)
    check(mux, one, address)
    mux.lost(address)
    assert not mux.holds(address)
    assert not one.reach.agent.pairs
    assert not mux._by_transaction
    check(mux, one, TcpAddress("192.0.2.1", 5, 1), nominate=True, answer=True)
    mux.lost(TcpAddress("192.0.2.1", 5, 1))
    assert one.reach.agent.selected is not None, "until its consent expires"
