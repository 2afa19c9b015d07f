"""The table says what its header says."""

from __future__ import annotations

import pytest

from egress import position
from egress.position import TRANSITIONS, Event, Position, may


def ways_out(start: Position) -> dict[Event, Position]:
    return {event: end for event, end in TRANSITIONS[start].items() if end is not start}


def test_every_position_can_be_reached_and_has_a_rule() -> None:
    reached = {Position.WAITING}
    for _ in Position:
        reached |= {end for begin in reached for end in ways_out(begin).values()}
    assert reached == set(Position)
    for each in Position:
        assert f"* {each.name}: " in (position.__doc__ or "")


def test_every_event_moves_somebody() -> None:
    assert {event for row in TRANSITIONS.values() for event in row} == set(Event)


@pytest.mark.parametrize(
    ("start", "events"),
    [
        (Position.OVER, set()),
        (Position.UNPLAYABLE, {Event.FORMAT_CHOSEN, Event.FEED_CHANGED, Event.STOPPED}),
        (Position.ON_HOLD, {Event.CAME_FREE, Event.FORMAT_REFUSED, Event.STOPPED}),
    ],
)
def test_what_leads_out(start: Position, events: set[Event]) -> None:
    assert set(ways_out(start)) == events


def test_live_are_those_who_can_start_or_have_caught_up() -> None:
    into = {event for row in TRANSITIONS.values() for event, end in row.items() if end is Position.LIVE}
    assert into == {Event.START_CAME, Event.CAUGHT_UP}


def test_a_viewer_can_leave_whenever_it_likes() -> None:
    assert {begin for begin in TRANSITIONS if may(begin, Event.STOPPED)} == set(Position)
