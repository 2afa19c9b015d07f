"""Viewers that are asked to come again where fewer are."""

from __future__ import annotations

import pytest

from broker.director.commands import RenewSession
from broker.director.events import EvenOut
from broker.director.rebalancing import AT_ONCE, LASTS
from common.control import HangUp
from tests.fakes.stage import Stage, camera, of, sent, viewer

TICK = 0.25


class Egresses:
    """Egresses whose viewers do as they are asked a second later, but for those that do not listen."""

    def __init__(self, count: int, *others: str, plain: int = 0) -> None:
        self.stage = Stage(camera())
        self.stage.egress("out-1")
        self.has: dict[str, list[str]] = {"out-1": [], **{node: [] for node in others}}
        for number in range(count):
            self.has[self.stage.watch(f"s{number:03}")].append(f"s{number:03}")
        self.stage.tick()
        for node in others:
            self.stage.egress(node)
        self.plain = {f"s{number:03}" for number in range(plain)}
        self.asked: list[str] = []
        self.most = 0
        self._coming: list[tuple[float, str]] = []

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds / TICK)):
            asked = [renew.session for renew in of(RenewSession, self.stage.tick(TICK))]
            self.most = max(self.most, len(asked))
            self.asked += asked
            self._coming += [(self.stage.now + 1, id) for id in asked if id not in self.plain]
            for due, id in list(self._coming):
                if self.stage.now >= due:
                    self._coming.remove((due, id))
                    node = self.stage.watch(f"{id}+")
                    self.has[node].append(f"{id}+")
                    self._leave(id)
            for node, sessions in self.has.items():
                self.stage.egress(node, *map(viewer, sessions), cpu=0.005 * len(sessions))

    def _leave(self, id: str) -> None:
        from broker.director.events import ViewerLeft

        for node, message in sent(self.stage(ViewerLeft(id))):
            if isinstance(message, HangUp):
                self.has[node].remove(id)

    def counts(self) -> list[int]:
        return [len(sessions) for sessions in self.has.values()]


def test_nobody_is_asked_unless_somebody_wants_it() -> None:
    egresses = Egresses(100, "out-2")
    egresses.run(20)
    assert egresses.asked == []


@pytest.mark.thorough
def test_players_come_again_where_fewer_are_until_it_is_even() -> None:
    egresses = Egresses(100, "out-2")
    egresses.stage(EvenOut())
    egresses.run(30)
    one, two = egresses.counts()
    assert one + two == 100
    assert abs(one - two) <= 20, "a new one would not go to another by that"
    assert egresses.most <= AT_ONCE
    before = len(egresses.asked)
    assert len(set(egresses.asked)) == before
    egresses.run(LASTS)
    assert len(egresses.asked) == before


def test_plain_players_stay_and_others_go_in_their_place() -> None:
    egresses = Egresses(100, "out-2", plain=40)
    egresses.stage(EvenOut())
    egresses.run(60)
    assert egresses.plain <= set(egresses.has["out-1"])
    assert abs(egresses.counts()[0] - egresses.counts()[1]) <= 20


def test_nobody_is_asked_where_it_is_even_or_nobody_takes_them() -> None:
    egresses = Egresses(10, "out-2")
    egresses.stage(EvenOut())
    egresses.run(10)
    assert egresses.asked == []
    alone = Egresses(100)
    alone.stage(EvenOut())
    alone.run(10)
    assert alone.asked == []


@pytest.mark.thorough
def test_an_egress_that_is_busy_without_viewers_costs_those_of_others_nothing() -> None:
    egresses = Egresses(100, "out-2")
    egresses.stage.egress("out-2", cpu=2.0)
    egresses.stage(EvenOut())
    for _ in range(int(LASTS / TICK)):
        assert not of(RenewSession, egresses.stage.tick(TICK))
        egresses.stage.egress("out-1", *map(viewer, egresses.has["out-1"]), cpu=0.1)
        egresses.stage.egress("out-2", cpu=2.0)
