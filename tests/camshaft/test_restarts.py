"""Restarts of a program, with time as an argument."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camshaft.restarts import FIRST_PAUSE, LONGEST_PAUSE, MAX_FALSE_STARTS, STEADY_AFTER, WELL_AFTER, Restarts
from common.process import EXIT_ADDRESS_IN_USE, EXIT_CONFIG, EXIT_FAILED, EXIT_NOT_NOW


def lives(restarts: Restarts, seconds: float, code: int = -9, *, now: float = 0.0) -> float | None:
    restarts.started(now)
    return restarts.ended(code, now + seconds)


def test_pause_doubles_to_its_limit() -> None:
    restarts = Restarts(proven=True)
    assert [lives(restarts, 1) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]


def test_pause_starts_anew_once_it_was_steady() -> None:
    restarts = Restarts(proven=True)
    for _ in range(6):
        lives(restarts, 1)
    assert lives(restarts, STEADY_AFTER - 0.1) == LONGEST_PAUSE
    assert lives(restarts, STEADY_AFTER) == 0
    assert lives(restarts, 1) == FIRST_PAUSE
    assert lives(restarts, 1) == 2 * FIRST_PAUSE


def test_a_proven_program_that_had_been_well_is_started_again_at_once() -> None:
    restarts = Restarts(proven=True)
    for seconds, pause in ((WELL_AFTER - 0.1, 0.2), (WELL_AFTER - 0.1, 0.4), (WELL_AFTER, 0), (WELL_AFTER, 0)):
        restarts.started(10.0)
        restarts.pulsed(14.0)
        restarts.pulsed(15.0)
        assert restarts.ended(-9, 14.0 + seconds) == pause
    assert lives(restarts, 20.0) == 0.2, "it never pulsed"


def test_program_that_is_well_and_ends_before_the_cluster_was_ever_ready_is_given_up() -> None:
    restarts = Restarts()
    pauses = []
    for _ in range(MAX_FALSE_STARTS):
        restarts.started(0.0)
        restarts.pulsed(1.0)
        pauses.append(restarts.ended(1, 10.0))
    assert pauses[-1] is None


@pytest.mark.parametrize("seed", range(5))
def test_kills_without_end_keep_nobody_in_the_dark_by_pauses(seed: int) -> None:
    """A random one of four programs is killed each 3.5 s for an hour; each needs half a second to begin."""
    every, begins_in, until = 3.5, 0.5, 3_600.0
    programs = [Restarts(proven=True) for _ in range(4)]
    back_at = [0.0] * 4
    for restarts in programs:
        restarts.started(0.0)
        restarts.pulsed(begins_in)
    chance, pauses, now = Random(seed), [], 0.0
    while (now := now + every) < until:
        victim = chance.randrange(4)
        if back_at[victim] > now:
            continue  # there is nothing to kill
        pause = programs[victim].ended(-9, now)
        assert pause is not None
        pauses.append(pause)
        back_at[victim] = now + pause
        programs[victim].started(now + pause)
        programs[victim].pulsed(now + pause + begins_in)
    assert set(pauses) == {0.0}, "all of them had been well for long enough"


@pytest.mark.parametrize("code", [EXIT_CONFIG, EXIT_ADDRESS_IN_USE, EXIT_NOT_NOW])
def test_program_that_says_it_cannot_start_is_not_started_again(code: int) -> None:
    assert lives(Restarts(), 0.1, code) is None


@pytest.mark.parametrize("code", [EXIT_CONFIG, EXIT_ADDRESS_IN_USE, EXIT_NOT_NOW])
def test_program_that_has_worked_is_started_again_whatever_it_says(code: int) -> None:
    """After ``kill -9`` a port may be taken for a moment."""
    assert lives(Restarts(proven=True), 0.1, code) == FIRST_PAUSE
    steady = Restarts()
    assert lives(steady, STEADY_AFTER, code) == 0
    assert lives(steady, 0.1, code) == FIRST_PAUSE


@pytest.mark.parametrize("code", [EXIT_FAILED, 0, -11])
def test_program_that_never_works_is_given_up(code: int) -> None:
    restarts = Restarts()
    pauses = [lives(restarts, 2, code) for _ in range(MAX_FALSE_STARTS)]
    assert None not in pauses[:-1]
    assert pauses[-1] is None


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(-64, 255)), max_size=50))
def test_program_that_was_proven_is_never_given_up(lives_and_codes: list[tuple[float, int]]) -> None:
    restarts = Restarts(proven=True)
    for seconds, code in lives_and_codes:
        pause = lives(restarts, seconds, code)
        assert pause is not None
        assert not pause if seconds >= STEADY_AFTER else FIRST_PAUSE <= pause <= LONGEST_PAUSE


def test_ends_for_weeks_do_not_overflow() -> None:
    assert lives(Restarts(proven=True, ends_in_a_row=100_000), 1) == LONGEST_PAUSE
