"""A viewer that loses much is asked, by padded checks, which sizes of datagrams it gets."""

from __future__ import annotations

import pytest
from aiortc import rtp

from common.media import Kind
from egress.feedback import FLOODED
from egress.path.sizes import SIZES, TRIES
from egress.probing import UNREPORTED
from egress.wire.ice import Address, Credentials
from rigs.browser import PASSWORD, UFRAG
from rigs.ice import answer as respond
from tests.fakes.watched_mux import HOME, MOBILE, Watching, receive

REMOTE = Credentials(UFRAG, PASSWORD.encode())


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
        if watching.viewer.report(watching.now).datagram:
            break
    assert watching.viewer.report(watching.now).datagram == 880
    assert not watching.mux.counters["stun_unasked"]
    assert watching.viewer.probing.waits
    watching.now += FLOODED
    assert asked_by_size(watching, 900) == [], "nothing is lost any more"
    assert not watching.viewer.probing.waits
    watching.check(MOBILE, answer=True)
    assert not watching.viewer.report(watching.now).datagram, "of another address nothing is known"


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
    assert not watching.viewer.report(watching.now).datagram


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
