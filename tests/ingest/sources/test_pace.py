"""The time of a source."""

from __future__ import annotations

import pytest

from ingest.sources.pace import AHEAD_NS, BACK_NS, LATE, STEP_NS, Pacer, Timeline

SECOND = 10**9


def line(*decode_ns: int) -> list[int]:
    timeline = Timeline()
    return [at + timeline.offset_ns(at) for at in decode_ns]


def test_a_line_begins_at_zero_and_goes_on_as_it_says() -> None:
    assert line(90 * SECOND, 91 * SECOND, 93 * SECOND) == [0, SECOND, 3 * SECOND]


def test_what_falls_back_a_little_keeps_the_line() -> None:
    assert line(0, SECOND, SECOND // 2, 2 * SECOND) == [0, SECOND, SECOND // 2, 2 * SECOND]


@pytest.mark.parametrize("leap", [-BACK_NS - 1, AHEAD_NS + 1])
def test_a_leap_begins_another_line_right_behind(leap: int) -> None:
    first, second, third = line(100 * SECOND, 100 * SECOND + leap, 101 * SECOND + leap)
    assert (first, second, third) == (0, STEP_NS, STEP_NS + SECOND)


def test_a_file_that_begins_anew_follows_its_own_end() -> None:
    timeline = Timeline()
    timeline.offset_ns(0)
    timeline.offset_ns(3 * SECOND)
    timeline.restart()
    assert timeline.offset_ns(0) == 3 * SECOND + STEP_NS


def test_what_is_paced_leaves_when_its_time_has_come() -> None:
    pacer = Pacer()
    assert pacer.wait(5 * SECOND, 100.0) == 0
    assert pacer.wait(7 * SECOND, 100.5) == pytest.approx(1.5)
    assert pacer.wait(7 * SECOND, 102.05) == 0


def test_what_came_too_late_is_not_caught_up_with() -> None:
    pacer = Pacer()
    pacer.wait(0, 100.0)
    assert pacer.wait(SECOND, 104.0) == 0
    assert pacer.wait(2 * SECOND, 104.0 + LATE / 2) == pytest.approx(1 - LATE / 2)


def test_a_live_source_may_begin_with_what_its_server_kept_and_is_held_beyond() -> None:
    pacer = Pacer(5.0)
    assert pacer.wait(0, 100.0) == 0
    assert pacer.wait(4 * SECOND, 100.0) == 0
    assert pacer.wait(8 * SECOND, 100.0) == pytest.approx(3)


def test_a_clock_that_is_a_little_faster_than_ours_is_followed() -> None:
    pacer, now = Pacer(0.0, 1.002), 0.0
    for second in range(3600):
        now = second / 1.001
        assert pacer.wait(second * SECOND, now) < 0.01
