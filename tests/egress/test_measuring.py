"""A path that becomes narrower than the stream is seen before its queue is full, and one that stalls is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from egress.position import Position
from tests.fakes.line import FPS, GROUP, Line
from tests.fakes.watcher import VIDEO_WITHOUT_RTX

WIDE, NARROW = 10e6, 1e6  # bit/s
BEGUN = 2.3  # seconds: behind a keyframe, of which there is one in two
LATE = 0.2  # seconds between two pictures that come one after the other through the narrow path


def cut(*, at: float = BEGUN, watched: bool = True) -> Line:
    """A line on which all is well until its path is cut."""
    line = Line(rate=WIDE, watched=watched)
    line.pass_time(at)
    assert len(line.shown) == pytest.approx(at * FPS, abs=2)
    assert line.viewer.sender.position is Position.LIVE
    assert not line.alarms
    line.path.rate = NARROW
    return line


def test_nothing_is_lost_of_a_path_that_is_cut_and_the_picture_goes_on() -> None:
    line = cut()
    line.pass_time(1.0)
    assert line.path.counts["queue_full"] == 0
    assert line.longest_gap(BEGUN) < LATE
    assert len(line.alarms) == 1
    assert line.alarms[0] - BEGUN < 0.25
    assert line.viewer.quality.capacity.newest(line.now) == pytest.approx(NARROW / 8, rel=0.1)


def test_the_queue_on_its_way_becomes_empty_for_what_comes_next() -> None:
    line = cut()
    line.pass_time(1.0)
    waits = max(0.0, line.path._free_at - line.now)
    assert waits < 0.05


def test_a_viewer_that_cannot_be_shown_less_gets_everything_as_it_comes() -> None:
    line = cut(watched=False)
    line.pass_time(0.5)
    assert line.viewer.sender.position is Position.LIVE
    assert not line.alarms


def test_a_path_that_stands_still_for_a_moment_holds_nobody_up() -> None:
    line = Line(rate=WIDE)
    line.pass_time(BEGUN)
    for _ in range(5):
        line.path._free_at, line.path.queue = line.now + 0.1, 1 << 20
        line.pass_time(0.37)
    assert line.longest_gap(BEGUN) < LATE


def test_a_wide_path_is_not_watched() -> None:
    line = Line(rate=100e6)
    line.pass_time(BEGUN)
    assert not line.viewer.sender.cursor.watched


def test_where_packets_are_sent_again_as_they_were_no_header_changes() -> None:
    line = Line(rate=WIDE, section=replace(VIDEO_WITHOUT_RTX, transport_cc=3))
    line.pass_time(BEGUN)
    assert not line.viewer.sender.cursor.watched


def test_a_keyframe_is_not_sent_in_the_way_of_another_stream() -> None:
    keyframe = 2 * GROUP
    line = cut(at=(keyframe - 12) / FPS)
    line.pass_time(0.3)
    cursor = line.viewer.sender.cursor
    assert cursor.held
    cursor.expect_other(True)
    line.pass_time(1.9)
    assert cursor.position is Position.WAITING
    assert len(line.shown) == keyframe, "all before it, late"
    assert line.longest_gap(0.0) < 1.0
