"""A process that is busy, or gets no time, has no room for another viewer."""

from __future__ import annotations

from egress.burden import LATE, WINDOW, Burden


def after(shares: list[float], *, most: float = 0.9, late: float = 0.0, waits: float = 0.0) -> Burden:
    """One that used such a share of each second, and waited for a core for ``waits`` of it."""
    burden, used = Burden(3.0, 7.0, 100.0), 3.0
    for second, share in enumerate(shares, 1):
        used += share
        burden.look(used, 7.0 + second * waits, 100.0 + second, late=late, most=most)
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


def test_one_that_wants_more_than_others_leave_it_is_over_before_its_timers_are_late() -> None:
    """It used but half a core, and would have used all of one: pictures were seconds late, and others were let in."""
    assert after([0.55] * (2 * WINDOW), waits=0.44).over
    assert not after([0.55] * (2 * WINDOW), waits=0.35).over


def test_one_that_has_little_to_do_and_does_it_a_moment_later_has_room() -> None:
    assert not after([0.05] * (2 * WINDOW), waits=0.6).over
    assert after([0.05] * (2 * WINDOW), waits=0.6).share < 0.2


def test_waits_that_are_told_late_make_no_share_that_cannot_be() -> None:
    assert after([0.5] * (2 * WINDOW), waits=0.7).share == 1.0


def test_one_that_skips_pictures_again_and_again_is_over_however_busy_it_seems() -> None:
    burden = after([0.3] * (2 * WINDOW))
    over = []
    for second, skips in enumerate([1, 1, 2, 2, 3, *[3] * WINDOW]):
        burden.look(60.0, 7.0, 400.0 + second, late=0.0, most=0.9, skips=skips)
        over.append(burden.over)
    assert over[:5] == [False, False, False, False, True], "once or twice is a moment's rush"
    assert not over[-1], "it is over"


def test_without_a_bound_nothing_is_too_much() -> None:
    assert not after([1.0] * (2 * WINDOW), late=5.0, most=0.0).over
    assert Burden(1.0, 0.0, 2.0).share == 0.0


def test_one_that_stood_still_once_has_time_again() -> None:
    burden = after([0.3] * WINDOW)
    burden.look(3.0 + 0.3 * WINDOW, 7.0, 400.0, late=300.0, most=0.9)
    assert not burden.over
