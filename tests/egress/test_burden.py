"""A process that is busy, or gets no time, has no room for another viewer."""

from __future__ import annotations

from egress.burden import LATE, WINDOW, Burden


def after(shares: list[float], *, most: float = 0.9, late: float = 0.0) -> Burden:
    burden, used = Burden(3.0, 100.0), 3.0
    for second, share in enumerate(shares, 1):
        used += share
        burden.look(used, 100.0 + second, late=late, most=most)
    return burden


def test_one_that_was_busy_for_seconds_is_over_and_says_by_how_much() -> None:
    assert after([0.95] * WINDOW).over
    assert round(after([0.95] * WINDOW).share, 6) == 0.95
    assert not after([0.85] * (2 * WINDOW)).over


def test_a_rush_of_a_moment_is_none() -> None:
    assert not after([0.2] * WINDOW + [1.0] * (WINDOW // 2)).over
    assert not after([1.0] * (WINDOW - 1)).over, "it has only begun"


def test_it_has_to_fall_clearly_before_there_is_room_again() -> None:
    assert after([0.95] * WINDOW + [0.85] * (2 * WINDOW)).over
    assert not after([0.95] * WINDOW + [0.75] * (2 * WINDOW)).over


def test_one_that_gets_no_time_is_over_however_little_it_uses() -> None:
    assert after([0.3] * (2 * WINDOW), late=LATE).over
    assert not after([0.3] * (2 * WINDOW), late=LATE / 2).over


def test_without_a_bound_nothing_is_too_much() -> None:
    assert not after([1.0] * (2 * WINDOW), late=5.0, most=0.0).over
    assert Burden(1.0, 2.0).share == 0.0


def test_one_that_stood_still_once_has_time_again() -> None:
    burden = after([0.3] * WINDOW)
    burden.look(3.0 + 0.3 * WINDOW, 400.0, late=300.0, most=0.9)
    assert not burden.over
