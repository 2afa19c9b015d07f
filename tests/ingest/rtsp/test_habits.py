"""Requests at which a camera hung up before are gone round."""

from __future__ import annotations

import pytest

from ingest.rtsp.habits import FATAL, LEFT_OUT, LEFT_OUT_MOST, Habits


def test_options_are_left_out_after_they_cost_a_connection_and_asked_again_where_that_does_not_help() -> None:
    habits = Habits()
    habits.failed("OPTIONS", "", 0.0, began=True)
    assert habits.skips_options
    habits.failed("DESCRIBE", "", 0.0, began=True)
    assert not habits.skips_options


def test_a_later_hang_up_says_nothing_of_options() -> None:
    habits = Habits()
    habits.failed("DESCRIBE", "", 0.0, began=False)
    habits.failed("PLAY", "", 0.0, began=True)
    assert not habits.skips_options


def test_a_track_is_left_out_when_its_setup_has_ended_two_connections() -> None:
    habits = Habits()
    for _ in range(FATAL):
        assert not habits.forbids("audio", 101.0)
        habits.failed("SETUP", "audio", 100.0, began=False)
    assert habits.forbids("audio", 101.0)
    assert not habits.forbids("video", 101.0)


def test_the_only_track_is_never_left_out() -> None:
    habits = Habits()
    for _ in range(FATAL):
        habits.failed("SETUP", "", 0.0, began=False)
    assert not habits.forbids("video", 101.0)


@pytest.fixture
def forbidding() -> Habits:
    habits = Habits()
    for _ in range(FATAL):
        habits.failed("SETUP", "audio", 100.0, began=False)
    return habits


def test_what_was_left_out_is_asked_for_again_after_a_while_and_ever_more_rarely(forbidding: Habits) -> None:
    now, pause = 100.0, LEFT_OUT
    for _ in range(20):
        assert forbidding.forbids("audio", now + pause - 1)
        now += pause
        assert not forbidding.forbids("audio", now)
        forbidding.failed("SETUP", "audio", now, began=False)
        pause = min(2 * pause, LEFT_OUT_MOST)
        assert forbidding.forbids("audio", now + pause - 1)


def test_what_works_once_is_forgiven(forbidding: Habits) -> None:
    forbidding.answered("audio")
    assert not forbidding.forbids("audio", 101.0)
    forbidding.failed("SETUP", "audio", 102.0, began=False)
    assert not forbidding.forbids("audio", 103.0)


def test_two_accidents_with_a_session_between_them_are_no_habit() -> None:
    habits = Habits()
    for now in (10.0, 1_000.0, 90_000.0):
        habits.failed("SETUP", "audio", now, began=False)
        habits.answered("audio")
        assert not habits.forbids("audio", now + 1)
