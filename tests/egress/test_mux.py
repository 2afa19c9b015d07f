from __future__ import annotations

import socket
from typing import Any

import pytest
from aioice import stun
from aiortc import rtp

from common.media import Kind
from common.sessions import ice_mark
from egress.feedback import FLOODED
from egress.media.stream import Stream
from egress.mux import Mux
from egress.path.sizes import SIZES, TRIES
from egress.position import Event, Position
from egress.probing import UNREPORTED
from egress.viewer import Viewer
from egress.wire.ice import (
    AMPLIFICATION,
    CONSENT_TIMEOUT,
    HEARD_BURST,
    MAX_PATHS,
    Address,
    Credentials,
    Generation,
    Path,
    TcpAddress,
)
from egress.wire.port import UdpTarget
from egress.wire.stun import BINDING_REQUEST, BINDING_SUCCESS, kind_of
from rigs.browser import PASSWORD, UFRAG, Browser
from rigs.ice import answer as respond
from tests.fakes.media import gop_stream
from tests.fakes.session import viewer_of

FEEDBACK = b"\x80\xc9" + bytes(30)
REMOTE = Credentials(UFRAG, PASSWORD.encode())


class Wire:
    """Stands in for a ``MediaSocket``, and keeps what is sent by address."""

    def __init__(self) -> None:
        self.socket = self
        self.family = socket.AF_INET
        self.gso = False
        self.sent: dict[Address, list[bytes]] = {}

    def way(self, path: Path) -> UdpTarget:
        return UdpTarget(self, path)  # type: ignore[arg-type]

    def sendto(self, data: bytes, address: Address) -> int:
        self.sent.setdefault(address, []).append(bytes(data))
        return len(data)

    def sendmsg(self, buffers: object, ancillary: object, flags: int, address: Address) -> int:
        raise AssertionError("no source address is known here")

    def take(self, address: Address) -> list[bytes]:
        """All that has been sent there since the last call."""
        return self.sent.pop(address, [])


BLACK_HOLE = Wire()


def viewer(session: str) -> Viewer:
    return viewer_of(Browser().offer(), Stream("front-door", lambda: None), session)


def receive(mux: Mux, data: bytes, address: Address, now: float = 0.0, wire: Wire = BLACK_HOLE) -> None:
    mux.receive(data, Path(address), wire, now, int(now * 1e9), 0.0)  # type: ignore[arg-type]


def check(
    mux: Mux,
    viewer: Viewer,
    address: Address,
    now: float = 0.0,
    *,
    nominate: bool = False,
    answer: bool = False,
    wire: Wire = BLACK_HOLE,
    former: Generation | None = None,
) -> int:
    """The browser checks ``address``; with ``answer`` it gets our check there and answers. Returns the check's size.

    By the credentials of now, or the ``former``.
    """
    generation = former or viewer.reach.agent.current
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{generation.ufrag}:theirs"
    if nominate:
        request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(generation.password.encode())
    wire.take(address)
    receive(mux, bytes(request), address, now, wire)
    for datagram in wire.sent.get(address, []) if answer else ():
        if kind_of(datagram) == BINDING_REQUEST:
            receive(mux, respond(datagram, generation.remote), address, now, wire)
    return len(bytes(request))


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


HOME, MOBILE, VICTIM = ("192.0.2.1", 1), ("198.51.100.1", 2), ("203.0.113.1", 3)


class Watching:
    """A browser at HOME that has connected and gets a picture."""

    def __init__(self) -> None:
        self.mux, self.wire, self.browser = Mux(), Wire(), Browser()
        self.stream = Stream("front-door", lambda: None)
        self.source = gop_stream()
        self.viewer = viewer_of(self.browser.offer(), self.stream)
        self.mux.add(self.viewer)
        self.now = 0.0
        self.check(HOME, answer=True)
        self.browser.start_dtls()
        while datagrams := self.browser.take():
            for datagram in datagrams:
                receive(self.mux, datagram, HOME, self.now, self.wire)
            for datagram in self.wire.take(HOME):
                if datagram[0] > 3:
                    self.browser.receive(datagram)
        self.play()
        assert self.media(HOME)

    def check(
        self, address: Address, *, nominate: bool = True, answer: bool = False, former: Generation | None = None
    ) -> int:
        how: dict[str, Any] = {"nominate": nominate, "answer": answer, "former": former}
        return check(self.mux, self.viewer, address, self.now, wire=self.wire, **how)

    def play(self) -> None:
        batch = next(self.source)
        self.stream.incoming.receive(batch, now=self.now, unix_ns=batch.arrival_ns)
        for sender in self.viewer.senders.values():
            sender.catch_up(self.now)

    def media(self, address: Address) -> int:
        """Bytes of media that have gone to an address since the last call."""
        return sum(len(datagram) for datagram in self.wire.take(address) if datagram[0] >= 128)

    def sweep(self) -> None:
        self.viewer.sweep(now=self.now, unix_ns=int(self.now * 1e9))
        self.mux.keep_consent(self.viewer, self.now)


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


def lose(watching: Watching) -> None:
    """The viewer's receiver reports that half of the picture was lost, and one small packet after another arrives."""
    video = watching.stream.feeds[Kind.VIDEO].source.ssrc
    watching.browser.send_rtcp(rtp.RtcpRrPacket(9, [rtp.RtcpReceiverInfo(video, 128, 9, 0, 0, 0, 0)]))
    for datagram in watching.browser.take():
        receive(watching.mux, datagram, HOME, watching.now, watching.wire)


def asked_by_size(watching: Watching, answered: int, *, address: Address = HOME) -> list[int]:
    """A sweep asks for sizes; the viewer answers those of up to ``answered`` bytes, from ``address``."""
    watching.wire.take(HOME)
    watching.mux.probe(watching.viewer, watching.now)
    checks = watching.wire.take(HOME)
    for check in checks:
        if len(check) <= answered:
            receive(watching.mux, respond(check, REMOTE), address, watching.now, watching.wire)
    return [len(check) for check in checks]


def test_a_viewer_that_loses_much_is_asked_which_sizes_it_gets() -> None:
    watching = Watching()
    watching.now = 1.0
    assert asked_by_size(watching, 1_500) == [], "nothing is lost"
    for _ in range(2 * TRIES):
        lose(watching)
        watching.now += 0.5
        bare, *sizes = asked_by_size(watching, 900)
        assert bare < 200
        assert set(sizes) <= set(SIZES)
        watching.now += 0.1
        assert asked_by_size(watching, 900) == [], "a round is waited for"
        watching.now += 1.0
        if watching.viewer.report(watching.now).bound:
            break
    assert watching.viewer.report(watching.now).bound == 880
    assert not watching.mux.counters["stun_unasked"]
    assert watching.viewer.probing.waits
    watching.now += FLOODED
    assert asked_by_size(watching, 900) == [], "nothing is lost any more"
    assert not watching.viewer.probing.waits
    watching.check(MOBILE, answer=True)
    assert not watching.viewer.report(watching.now).bound, "of another address nothing is known"


@pytest.mark.parametrize("how", ["nothing arrives", "answers come from elsewhere", "a round trip of two seconds"])
def test_no_size_is_said_to_be_lost_where_that_does_not_follow(how: str) -> None:
    watching = Watching()
    selected = watching.viewer.reach.agent.selected_pair
    assert selected is not None
    selected.round_trip = 2.0 if how == "a round trip of two seconds" else 0.01
    rounds = 0
    for _ in range(4 * TRIES):
        lose(watching)
        answered = 0 if how == "nothing arrives" else 900
        address = MOBILE if how == "answers come from elsewhere" else HOME
        rounds += bool(asked_by_size(watching, answered, address=address))
        watching.now += 1.0
        if how == "a round trip of two seconds" and rounds == TRIES:
            break
    assert not watching.viewer.report(watching.now).bound


def test_a_viewer_that_never_reports_is_asked_too() -> None:
    watching = Watching()
    assert asked_by_size(watching, 900) == []
    watching.now = UNREPORTED
    assert asked_by_size(watching, 900) == []
    watching.now += 0.1
    assert asked_by_size(watching, 900)
    watching.viewer._quality.reliable = True
    watching.now += 2.0
    assert asked_by_size(watching, 900) == [], "by TCP all sizes arrive"


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
