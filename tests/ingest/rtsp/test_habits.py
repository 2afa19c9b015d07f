"""Requests at which a camera hung up before are gone round."""

from __future__ import annotations

from ingest.rtsp.habits import FATAL, Habits


def test_options_are_left_out_after_they_cost_a_connection_and_asked_again_where_that_does_not_help() -> None:
    habits = Habits()
    habits.failed("OPTIONS", "", began=True)
    assert habits.skips_options
    habits.failed("DESCRIBE", "", began=True)
    assert not habits.skips_options


def test_a_later_hang_up_says_nothing_of_options() -> None:
    habits = Habits()
    habits.failed("DESCRIBE", "", began=False)
    habits.failed("PLAY", "", began=True)
    assert not habits.skips_options


def test_a_track_is_left_out_when_its_setup_has_ended_two_connections() -> None:
    habits = Habits()
    for _ in range(FATAL):
        assert not habits.forbids("audio")
        habits.failed("SETUP", "audio", began=False)
    assert habits.forbids("audio")
    assert not habits.forbids("video")


def test_the_only_track_is_never_left_out() -> None:
    habits = Habits()
    for _ in range(FATAL):
        habits.failed("SETUP", "", began=False)
    assert not habits.forbids("video")
