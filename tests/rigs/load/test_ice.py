from __future__ import annotations

import pytest

from rigs.load.ice import CONSENT_TIMEOUT, Address, IceAgent
from rigs.load.stun import StunError

HERE, THERE = ("192.0.2.1", 1000), ("192.0.2.2", 2000)


class Pair:
    """Two agents and the network between them: a list of datagrams under way."""

    def __init__(self, *, known: bool = True) -> None:
        self.agents = {HERE: IceAgent(controlling=True), THERE: IceAgent(controlling=False)}
        self.now = 100.0
        self.lose: set[int] = set()  # numbers of datagrams that never arrive
        self.sent = 0
        a, b = self.agents[HERE], self.agents[THERE]
        a.set_remote(b.ufrag, b.password, [THERE], self.now)
        b.set_remote(a.ufrag, a.password, [HERE] if known else [], self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            under_way = [(data, to, at) for at, agent in self.agents.items() for data, to in agent.due(self.now)]
            while under_way:
                data, to, source = under_way.pop(0)
                self.sent += 1
                if self.sent not in self.lose:
                    under_way += [(d, t, to) for d, t in self.agents[to].receive(data, source, self.now)]
            self.now += 0.05


def test_both_agree_on_the_pair() -> None:
    pair = Pair()
    pair.run(0.2)
    assert pair.agents[HERE].nominated == THERE
    assert pair.agents[THERE].nominated == HERE


def test_a_peer_whose_address_was_not_told_is_learnt() -> None:
    pair = Pair(known=False)
    pair.run(0.2)
    assert pair.agents[THERE].nominated == HERE


def test_only_one_of_several_addresses_is_nominated() -> None:
    """A lite peer with two addresses takes every nomination for the current one."""
    agent, peer = IceAgent(controlling=True), IceAgent(controlling=False)
    other = ("192.0.2.3", 2000)
    agent.set_remote(peer.ufrag, peer.password, [THERE, other], 0.0)
    nominated = []
    under_way = agent.due(0.0)
    assert {to for _data, to in under_way} == {THERE, other}
    while under_way:
        data, to = under_way.pop(0)
        if b"\x00\x25\x00\x00" in data:
            nominated.append(to)
        for answer, _back in peer.receive(data, HERE, 0.0):
            under_way += agent.receive(answer, to, 0.0)
    assert nominated == [agent.nominated]


@pytest.mark.parametrize("first", [1, 2, 3, 4, 5])
def test_losses_are_made_up_for(first: int) -> None:
    pair = Pair()
    pair.lose = set(range(first, first + 6))
    pair.run(5.0)
    assert pair.agents[HERE].nominated == THERE
    assert pair.agents[THERE].nominated == HERE


def test_consent_is_kept_while_the_peer_answers_and_expires_when_it_does_not() -> None:
    pair = Pair()
    pair.run(2 * CONSENT_TIMEOUT)
    agent = pair.agents[HERE]
    assert not agent.expired(pair.now)
    assert len(agent.round_trips) >= 2 * CONSENT_TIMEOUT / 6
    pair.lose = set(range(pair.sent, pair.sent + 1000))
    pair.run(CONSENT_TIMEOUT + 1)
    assert agent.expired(pair.now)


def test_an_answer_from_elsewhere_counts_for_nothing() -> None:
    pair = Pair()
    agent, peer = pair.agents[HERE], pair.agents[THERE]
    [(request, _to)] = agent.due(pair.now)
    [(response, _back), *_rest] = peer.receive(request, HERE, pair.now)
    elsewhere: Address = ("192.0.2.9", 9)
    with pytest.raises(StunError, match="answers nothing"):
        agent.receive(response, elsewhere, pair.now)
    assert agent.nominated is None


def test_a_request_for_somebody_else_is_refused() -> None:
    pair, stranger = Pair(), IceAgent(controlling=True)
    peer = pair.agents[THERE]
    stranger.set_remote("somebody", peer.password, [THERE], pair.now)
    [(request, _to)] = stranger.due(pair.now)
    with pytest.raises(StunError, match="another agent"):
        peer.receive(request, HERE, pair.now)
