"""A worker that ends and has given everything to its successor: nothing is over."""

from __future__ import annotations

from broker.director.commands import Command, OfferAnswered, OfferRefused, SessionEnded, WorkerLost
from broker.director.events import EndReason, RestartWanted, Undelivered, ViewerLeft
from common.control import DEAD_AFTER, Answered, HangUp, Leaving, Offer, RestartIce
from tests.fakes.stage import Stage, camera, of, sent, stream, viewer

TICK = 0.25


def given() -> Stage:
    """Viewers of out-1, which has given them to incarnation 2."""
    stage = Stage(camera())
    stage.ingest("in-1")
    stage.ingest("in-1", stream())
    stage.egress("out-1")
    for session in ("s1", "s2"):
        assert stage.watch(session) == "out-1"
    stage.egress("out-1", viewer("s1"), viewer("s2"))
    assert stage.hear("out-1", Leaving("out-1", "1", "2")) == []
    return stage


def test_its_sessions_are_the_successors() -> None:
    stage = given()
    assert of(SessionEnded, stage.egress("out-1", viewer("s1"), viewer("s2"), incarnation="2")) == []
    assert {stage.director.session(id).node for id in ("s1", "s2")} == {"out-1"}
    assert sent(stage(ViewerLeft("s1"))) == [("out-1", HangUp("s1"))]
    [(node, restart)] = sent(stage(RestartWanted("q", "s2", "ufrag", "password")))
    assert (node, isinstance(restart, RestartIce)) == ("out-1", True)
    assert len(stage.director.sessions) == 1


def test_what_the_successor_does_not_have_is_over() -> None:
    stage = given()
    [ended] = of(SessionEnded, stage.egress("out-1", viewer("s2"), incarnation="2"))
    assert (ended.session, ended.reason) == ("s1", EndReason.MISSING)


def test_who_is_gone_meanwhile_is_gone_at_the_successor_too() -> None:
    stage = given()
    stage(ViewerLeft("s1"))
    stage(Undelivered("out-1", HangUp("s1")))
    assert sent(stage.egress("out-1", viewer("s1"), viewer("s2"), incarnation="2")) == [("out-1", HangUp("s1"))]


def test_nothing_new_is_given_to_one_that_has_left() -> None:
    stage = given()
    assert [message for _, message in sent(stage.offer("s3")) if isinstance(message, Offer)] == []
    stage.egress("out-1", viewer("s1"), viewer("s2"), incarnation="2")
    assert stage.watch("s4") == "out-1"


def offers(commands: list[Command]) -> list[tuple[str, str]]:
    return [(node, message.session) for node, message in sent(commands) if isinstance(message, Offer)]


def test_who_comes_meanwhile_is_answered_by_the_successor() -> None:
    stage = given()
    refused = of(OfferRefused, stage.offer("s3"))
    assert refused == []
    assert offers(stage.egress("out-1", viewer("s1"), viewer("s2"), incarnation="2")) == [("out-1", "s3")]
    answered = stage.hear("out-1", Answered("s3", "v=0"))
    assert [each.session for each in of(OfferAnswered, answered)] == ["s3"]
    assert offers(stage.egress("out-1", viewer("s1"), viewer("s2"), viewer("s3"), incarnation="2")) == []


def test_an_offer_that_was_on_its_way_to_the_predecessor_is_the_successors() -> None:
    stage = Stage(camera())
    stage.ingest("in-1", stream())
    stage.egress("out-1")
    assert offers(stage.offer("s1")) == [("out-1", "s1")]
    [(_, offer)] = sent(stage.offer("s2"))
    stage.hear("out-1", Leaving("out-1", "1", "2"))
    assert of(OfferRefused, stage(Undelivered("out-1", offer))) == []
    assert offers(stage.egress("out-1", incarnation="2")) == [("out-1", "s1"), ("out-1", "s2")]


def test_who_comes_meanwhile_goes_elsewhere_where_there_is_another() -> None:
    stage = given()
    stage.egress("out-2")
    assert offers(stage.offer("s3")) == [("out-2", "s3")]
    assert offers(stage.egress("out-1", viewer("s1"), viewer("s2"), incarnation="2")) == []


def test_who_waits_for_a_successor_that_never_comes_is_told_so() -> None:
    stage = given()
    stage.offer("s3")
    told = [command for _ in range(int(2 * DEAD_AFTER / TICK)) for command in stage.tick(TICK)]
    assert [(each.session, each.status) for each in of(OfferRefused, told)] == [("s3", 503)]


def test_it_is_waited_for_as_long_as_for_any_that_is_silent() -> None:
    stage = given()
    stage.ingest("in-1", stream())
    waited = 0.0
    while waited < DEAD_AFTER - TICK:
        assert of(WorkerLost, stage.tick(TICK)) == []
        waited += TICK
        stage.ingest("in-1", stream())
    commands = [*stage.tick(TICK), *stage.tick(1.0)]
    assert [lost.node for lost in of(WorkerLost, commands)] == ["out-1"]
    assert {ended.session for ended in of(SessionEnded, commands)} == {"s1", "s2"}


def test_its_farewell_may_be_lost() -> None:
    stage = Stage(camera())
    stage.ingest("in-1", stream())
    stage.egress("out-1")
    stage.watch("s1")
    assert of(SessionEnded, stage.egress("out-1", viewer("s1"), incarnation="2", succeeds="1")) == []
    assert of(SessionEnded, stage.hear("out-1", Leaving("out-1", "1", "2"))) == [], "it comes late"
    assert stage.watch("s2") == "out-1"


def test_nothing_came_of_it_and_it_goes_on() -> None:
    stage = given()
    assert of(SessionEnded, stage.egress("out-1", viewer("s1"), viewer("s2"))) == []
    assert stage.watch("s3") == "out-1"
    lost = of(WorkerLost, stage.egress("out-1", incarnation="3"))
    assert [each.reason for each in lost] == [EndReason.WORKER_RESTARTED], "which is nobody's successor"


def test_who_came_meanwhile_is_answered_by_the_predecessor_if_that_goes_on() -> None:
    stage = given()
    assert offers(stage.offer("s3")) == []
    assert offers(stage.egress("out-1", viewer("s1"), viewer("s2"))) == [("out-1", "s3")]
    assert offers(stage.egress("out-1", viewer("s1"), viewer("s2"))) == []


def test_who_came_meanwhile_is_told_at_once_where_the_predecessor_ends_all_the_same() -> None:
    stage = given()
    stage.offer("s3")
    told = of(OfferRefused, stage.hear("out-1", Leaving("out-1", "1")))
    assert [(each.session, each.code) for each in told] == [("s3", "no_egress")]
