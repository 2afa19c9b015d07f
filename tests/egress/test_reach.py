from __future__ import annotations

import pytest

from common.media import Kind
from egress.path.quality import LOCAL_ROUND_TRIP
from egress.reach import DTLS_BURST, DTLS_RATE
from egress.wire.ice import AMPLIFICATION, CONNECT_TIMEOUT, Path
from rigs.ice import prove, request
from tests.fakes.session import Session
from tests.fakes.target import FakeTarget

ELSEWHERE = Path(("192.0.2.66", 66))


@pytest.mark.parametrize(
    ("round_trip", "waits", "thin"),
    [(0.0, 0.0, False), (LOCAL_ROUND_TRIP / 2, 0.0, False), (2 * LOCAL_ROUND_TRIP, 0.0, True), (0.0, 1.0, False)],
    ids=["local", "near", "far", "in a rush"],
)
def test_the_handshake_tells_whether_the_path_is_a_long_one(round_trip: float, waits: float, thin: bool) -> None:
    session = Session(round_trip=round_trip, waits=waits)
    assert session.viewer._quality.thin(session.now) is thin


def test_a_handshake_is_a_proof_where_our_checks_are_not_answered() -> None:
    session = Session(connect=False)
    session.nominate(answers=False)
    session.viewer.reach.agent.pairs[session.target.path.remote].received = 2_000
    session.browser.start_dtls()
    session.exchange()
    session.play(3)
    assert session.numbers(Kind.VIDEO) == list(range(9))
    assert session.viewer.reach.agent.selected == session.target.path


def test_a_handshake_of_which_something_went_elsewhere_proves_nothing() -> None:
    """A stranger who gets our flight at one address could send the end of the handshake in the name of another."""
    session, elsewhere = Session(connect=False), FakeTarget(ELSEWHERE)
    agent = session.viewer.reach.agent
    for target in (session.target, elsewhere):
        agent.heard(request(nominate=target is elsewhere), target.path, 2_000, session.now)
    session.browser.start_dtls()
    [hello] = session.browser.take()
    session.viewer.receive_dtls(hello, session.target, now=0.0)
    for datagram in session.target.take():
        session.browser.receive(datagram)
    session.viewer.receive_dtls(hello, elsewhere, now=0.0)
    session.viewer.sweep(now=0.1, unix_ns=session.unix_ns)
    session.viewer.sweep(now=0.3, unix_ns=session.unix_ns)
    assert elsewhere.take(), "so far an address in use for the handshake gets what may be sent to it"
    for datagram in session.browser.take():
        session.viewer.receive_dtls(datagram, elsewhere, now=0.4)
    for datagram in [*session.target.take(), *elsewhere.take()]:
        session.browser.receive(datagram)
    assert session.browser.connected
    session.play(3)
    assert agent.selected is None
    assert session.browser.packets == []
    assert elsewhere.take() == []
    session.viewer.sweep(now=CONNECT_TIMEOUT + 1, unix_ns=session.unix_ns)
    assert session.viewer.ended == "no address of the viewer answered"


def test_an_address_that_proved_nothing_is_sent_three_times_what_came_from_it() -> None:
    session = Session(connect=False)
    session.nominate(answers=False)
    pair = session.viewer.reach.agent.pairs[session.target.path.remote]
    session.browser.start_dtls()
    [hello] = session.browser.take()
    for repetition in range(5):
        session.viewer.receive_dtls(hello, session.target, now=float(repetition))
        for tick in range(10):
            session.viewer.sweep(now=repetition + tick / 10, unix_ns=session.unix_ns)
    assert session.target.datagrams
    assert sum(map(len, session.target.datagrams)) <= AMPLIFICATION * pair.received


def test_what_is_held_back_of_a_handshake_comes_with_the_proof() -> None:
    session = Session(connect=False)
    agent = session.viewer.reach.agent
    session.nominate(answers=False)
    pair = agent.pairs[session.target.path.remote]
    pair.received = 0
    session.browser.start_dtls()
    [hello] = session.browser.take()
    session.viewer.receive_dtls(hello, session.target, now=0.0)
    assert session.target.take() == []
    pair.received = 1_000
    prove(agent, pair, session.now)
    assert agent.select(pair, session.now)
    session.viewer.selected(session.target, session.now)
    session.exchange()
    session.play(1)
    assert session.numbers(Kind.VIDEO) == [0, 1, 2]


def test_where_it_was_heard_from_is_told_the_selected_path_first() -> None:
    session = Session(connect=False)
    assert session.viewer.reach.seen_at == []
    session.viewer.reach.agent.heard(request(nominate=False), ELSEWHERE, 100, 0.0)
    session.nominate()
    session.browser.start_dtls()
    session.exchange()
    assert session.viewer.reach.seen_at == ["192.0.2.1:5000", "192.0.2.66:66"]
    session.play(3)
    assert session.viewer.reach.ready
    assert session.viewer.octets > 900


def test_more_of_a_handshake_than_anybody_needs_is_ignored() -> None:
    session = Session(connect=False)
    session.nominate()
    for _ in range(DTLS_BURST + 3):
        session.viewer.receive_dtls(b"\x16", session.target, now=session.now)
    assert session.viewer.ignored == 3
    session.viewer.receive_dtls(b"\x16", session.target, now=session.now + 1 / DTLS_RATE)
    assert session.viewer.ignored == 3


class Shaking:
    """An association that answers each datagram, and is made by the third."""

    failure, over, doubted, came = "", False, False, 0

    @property
    def connected(self) -> bool:
        return self.came >= 3

    def receive(self, datagram: bytes) -> bool:
        self.came += 1
        return True


def test_where_we_answer_twice_the_round_trip_is_no_longer_than_from_the_first_answer() -> None:
    """Nobody knows which one was answered, and a path must not look shorter than it is."""
    session = Session(connect=False)
    session.nominate()
    reach = session.viewer.reach
    reach.dtls = Shaking()  # type: ignore[assignment]
    for now in (1.0, 1.4, 1.5, 2.0):
        reach.receive(b"\x16", session.target, now, waited=0.1)
    assert reach.round_trip == pytest.approx(0.4)
