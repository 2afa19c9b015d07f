"""Workers that are told to end in good order, and viewers whose players are asked to come again elsewhere."""

from math import ceil

from broker.director.commands import RenewSession
from broker.director.drains import ASK_AGAIN, AT_LEAST, WITHIN
from broker.director.events import DrainWorker
from common.control import Drain
from tests.fakes.stage import Stage, camera, of, sent, stream, viewer

TICK = 0.25


def watched(count: int, *others: str) -> Stage:
    """``count`` viewers on out-1, and other egresses beside it."""
    stage = Stage(camera())
    stage.ingest("in-1")
    stage.ingest("in-1", stream())
    stage.egress("out-1")
    for number in range(count):
        stage.watch(f"s{number}")
    for node in others:
        stage.egress(node)
    return stage


def report(stage: Stage, count: int, **fields: object) -> None:
    stage.egress("out-1", *(viewer(f"s{number}") for number in range(count)), **fields)


def asked(stage: Stage, seconds: float = TICK) -> list[str]:
    return [renew.session for renew in of(RenewSession, stage.tick(seconds))]


def test_a_worker_is_told_until_it_says_that_it_drains() -> None:
    stage = Stage()
    stage.egress("out-1")
    assert sent(stage(DrainWorker("out-1"))) == [("out-1", Drain())]
    assert sent(stage.egress("out-1")) == [("out-1", Drain())]
    assert sent(stage.egress("out-1", draining=True)) == []
    stage.leave("out-1")
    assert sent(stage.egress("out-1", incarnation="2")) == []  # started again
    assert sent(stage.egress("out-1", incarnation="2")) == []


def test_players_are_asked_once_in_a_while_for_as_long_as_they_are_there() -> None:
    stage = watched(2, "out-2")
    report(stage, 2, draining=True)
    assert asked(stage) == ["s0", "s1"]
    assert asked(stage) == []
    for _ in range(int(ASK_AGAIN)):
        stage.now += 1.0
        report(stage, 2, draining=True)
        stage.egress("out-2")
    assert asked(stage) == ["s0", "s1"]


def test_nobody_is_asked_while_there_is_nowhere_to_go() -> None:
    stage = watched(2)
    report(stage, 2, draining=True)
    assert asked(stage) == []
    stage.egress("out-2", full=True)
    assert asked(stage) == []
    stage.egress("out-2")
    assert asked(stage) == ["s0", "s1"]


def test_many_are_asked_bit_by_bit_and_all_in_time() -> None:
    stage = watched(500, "out-2")
    found: list[str] = []
    ticks = 0
    while len(found) < 500:
        report(stage, 500, draining=True)
        stage.egress("out-2")
        batch = asked(stage)
        ticks += 1
        assert len(batch) <= max(AT_LEAST, ceil(500 * TICK / WITHIN * 2)), "the others are overrun"
        found += batch
        assert ticks * TICK <= WITHIN
    assert len(set(found)) == 500


def test_new_viewers_go_elsewhere_and_unanswered_offers_follow_when_it_ends() -> None:
    stage = watched(1, "out-2")
    report(stage, 1, draining=True)
    assert stage.watch("new") == "out-2"
