"""ICE restarts on their way to the egress that has the session, and what becomes of those that it does not answer."""

from __future__ import annotations

import pytest

from broker.director import restarts
from broker.director.commands import RestartAnswered, RestartRefused
from broker.director.events import RestartWanted, Undelivered, ViewerLeft
from broker.director.restarts import MOST_WANTED, WITHIN
from common.control import IceNotRestarted, IceRestarted, RestartIce
from tests.fakes.stage import Stage, camera, of, sent, viewer

PASSWORD = "a password of 22 signs"
ASKED = RestartIce("q1", "s1", "ufrg", PASSWORD)


@pytest.fixture
def stage() -> Stage:
    """A viewer on one of two egresses."""
    stage = Stage(camera("door"))
    stage.egress("out-1")
    stage.egress("out-2", cpu=0.5)
    assert stage.watch("s1") == "out-1"
    return stage


def want(stage: Stage, request: str = "q1", session: str = "s1") -> list:
    return stage(RestartWanted(request, session, "ufrg", PASSWORD))


def refusals(commands: list) -> list[tuple[str, int, str]]:
    return [(each.request, each.status, each.code) for each in of(RestartRefused, commands)]


def test_it_is_the_sessions_egress_that_restarts_ice(stage: Stage) -> None:
    stage.egress("out-1", viewer("s1"))
    assert sent(want(stage)) == [("out-1", ASKED)]
    assert not stage.hear("out-2", IceRestarted("q1", "s1", "forged", "f")), "it has not the session"
    assert not stage.hear("out-1", IceRestarted("q1", "s2", "forged", "f"))
    assert stage.hear("out-1", IceRestarted("q1", "s1", "mark", "f")) == [RestartAnswered("q1", "mark", "f")]
    assert stage.director.session("s1").report.ice == "mark"
    assert not stage.hear("out-1", IceRestarted("q1", "s1", "mark", "f")), "once is enough"
    stage.egress("out-1", viewer("s1"))
    assert not refusals(stage.tick(WITHIN))


def test_one_before_the_first_report_is_told_by_that(stage: Stage) -> None:
    want(stage)
    assert of(RestartAnswered, stage.hear("out-1", IceRestarted("q1", "s1", "mark", "f")))
    assert stage.director.session("s1").report is None


@pytest.mark.parametrize(
    ("status", "expected"), [(429, (429, "why")), (412, (412, "why")), (200, (404, "unknown_session"))]
)
def test_what_the_egress_refuses_is_passed_on(stage: Stage, status: int, expected: tuple[int, str]) -> None:
    want(stage)
    assert not stage.hear("out-2", IceNotRestarted("q1", "s1", status, "why", "Because."))
    assert refusals(stage.hear("out-1", IceNotRestarted("q1", "s1", status, "why", "Because."))) == [("q1", *expected)]


def test_there_has_to_be_an_answered_session(stage: Stage) -> None:
    assert refusals(want(stage, session="s9")) == [("q1", 404, "unknown_session")]
    stage.offer("s2")
    assert refusals(want(stage, "q2", "s2")) == [("q2", 404, "unknown_session")]


def test_one_that_nobody_answers_is_given_up(stage: Stage) -> None:
    want(stage)
    assert not refusals(stage.tick(WITHIN - 0.1))
    stage.egress("out-1", viewer("s1"))  # it lives
    assert refusals(stage.tick(0.1)) == [("q1", 503, "egress_timeout")]


def test_one_whose_egress_is_not_reached_is_refused_at_once(stage: Stage) -> None:
    want(stage)
    assert refusals(stage(Undelivered("out-1", ASKED))) == [("q1", 503, "egress_timeout")]
    assert not refusals(stage(Undelivered("out-1", ASKED)))


def test_one_whose_session_ends_is_refused(stage: Stage) -> None:
    want(stage)
    assert refusals(stage(ViewerLeft("s1"))) == [("q1", 404, "unknown_session")]
    stage.watch("s3")
    want(stage, "q3", "s3")
    assert refusals(stage.leave("out-1")) == [("q3", 404, "unknown_session")]


def test_only_so_many_are_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_WANTED >= 1_000, "viewers of one site come all at once"
    monkeypatch.setattr(restarts, "MOST_WANTED", 2)
    for number in range(2):
        assert sent(want(stage, f"q{number}"))
    assert refusals(want(stage, "q9")) == [("q9", 503, "busy")]
