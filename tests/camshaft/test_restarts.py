"""When a program is started again, with time as an argument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camshaft.restarts import FIRST_PAUSE, LONGEST_PAUSE, MAX_FALSE_STARTS, STEADY_AFTER, Restarts
from common.process import EXIT_ADDRESS_IN_USE, EXIT_CONFIG, EXIT_FAILED


def lives(restarts: Restarts, seconds: float, code: int = -9, *, now: float = 0.0) -> float | None:
    restarts.started(now)
    return restarts.ended(code, now + seconds)


def test_pause_doubles_to_its_limit() -> None:
    restarts = Restarts(proven=True)
    assert [lives(restarts, 1) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]


def test_pause_starts_anew_once_it_was_steady() -> None:
    restarts = Restarts(proven=True)
    for _ in range(6):
        lives(restarts, 1)
    assert lives(restarts, STEADY_AFTER - 0.1) == LONGEST_PAUSE
    assert lives(restarts, STEADY_AFTER) == FIRST_PAUSE
    assert lives(restarts, 1) == 2 * FIRST_PAUSE


@pytest.mark.parametrize("code", [EXIT_CONFIG, EXIT_ADDRESS_IN_USE])
def test_program_that_says_it_cannot_start_is_not_started_again(code: int) -> None:
    assert lives(Restarts(), 0.1, code) is None


@pytest.mark.parametrize("code", [EXIT_CONFIG, EXIT_ADDRESS_IN_USE])
def test_program_that_has_worked_is_started_again_whatever_it_says(code: int) -> None:
    """After ``kill -9`` a port may be taken for a moment."""
    assert lives(Restarts(proven=True), 0.1, code) == FIRST_PAUSE
    steady = Restarts()
    assert lives(steady, STEADY_AFTER, code) == FIRST_PAUSE
    assert lives(steady, 0.1, code) == 2 * FIRST_PAUSE


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
        assert FIRST_PAUSE <= pause <= LONGEST_PAUSE


def test_ends_for_weeks_do_not_overflow() -> None:
    assert lives(Restarts(proven=True, ends_in_a_row=100_000), 1) == LONGEST_PAUSE
