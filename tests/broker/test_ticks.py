"""How often the broker's clock ticks, and what a tick means that comes late."""

from __future__ import annotations

import pytest

from broker.director.events import StoodStill, Tick
from broker.ticks import AFTER_REPORTS, CALM_AFTER, INTERVAL, STALLED_AFTER, Ticks
from common.control import REPORT_INTERVAL, NodeName

NODE = NodeName("out-1")


def calm() -> Ticks:
    """Make those of a broker to which nothing has happened for a while; the next is due at 111.02."""
    ticks = Ticks(100.0)
    ticks.reported(NODE, 110.0)
    ticks.due = 111.0 + AFTER_REPORTS
    return ticks


def test_it_ticks_four_times_a_second_while_something_happens() -> None:
    ticks = Ticks(100.0)
    assert ticks.pace(100.1) == (INTERVAL, 0.0)
    ticks.news(103.0)
    assert ticks.pace(103.0 + CALM_AFTER - 0.1) == (INTERVAL, 0.0)


def test_while_nothing_does_it_ticks_once_a_second_when_the_workers_have_reported() -> None:
    assert calm().pace(110.1) == (REPORT_INTERVAL, AFTER_REPORTS)


def test_news_make_it_tick_soon() -> None:
    ticks = calm()
    assert ticks.news(110.3)
    assert ticks.pace(110.3) == (INTERVAL, 0.0)
    ticks.due = 110.5
    assert not ticks.news(110.4)


def test_a_tick_that_comes_soon_is_not_planned_anew() -> None:
    assert not calm().news(110.9)


@pytest.mark.parametrize(
    ("node", "after", "news"), [(NODE, 1.0, False), (NODE, 0.9, False), (NODE, 0.3, True), ("new", 1.0, True)]
)
def test_a_report_is_news_if_it_comes_before_its_time_or_from_one_that_is_new(
    node: NodeName, after: float, *, news: bool
) -> None:
    ticks = Ticks(100.0)
    ticks.reported(NODE, 100.0)
    assert ticks.reported(node, 100.0 + after) is news


def test_a_report_that_comes_after_the_tick_of_its_second_is_news() -> None:
    assert not calm().reported(NODE, 111.0)
    assert calm().reported(NODE, 110.7)
    ticks = calm()
    ticks.due += 1.0  # that of 111.02 has been
    assert ticks.reported(NODE, 111.1)


def test_who_is_gone_is_new_when_it_comes_back() -> None:
    ticks = Ticks(100.0)
    ticks.reported(NODE, 100.0)
    ticks.keep({NODE})
    assert not ticks.reported(NODE, 101.0)
    ticks.keep(set())
    assert ticks.reported(NODE, 102.0)


@pytest.mark.parametrize("ticks", [Ticks(110.0), calm()], ids=["busy", "calm"])
def test_a_tick_that_is_late_is_a_stall_and_the_one_after_it_a_tick_as_well(ticks: Ticks) -> None:
    assert list(ticks.events(ticks.due + STALLED_AFTER / 2)) == [Tick()]
    late = ticks.due + STALLED_AFTER + 0.1
    assert list(ticks.events(late)) == [StoodStill(pytest.approx(STALLED_AFTER / 2 + 0.1))]
    ticks.due = late + INTERVAL
    assert [type(each) for each in ticks.events(late + 2.0)] == [StoodStill, Tick]
    ticks.due = late + 2.0 + INTERVAL
    assert list(ticks.events(ticks.due)) == [Tick()]


def test_after_a_stall_it_ticks_soon() -> None:
    ticks = calm()
    assert ticks.events(ticks.due + 2.0).__next__() == StoodStill(pytest.approx(ticks.due + 2.0 - 100.0))
    assert ticks.pace(ticks.due + 2.0) == (INTERVAL, 0.0)
