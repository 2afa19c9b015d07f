"""Paths that do not deliver are left alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.media import Batch, Kind
from egress.media.feed import Feed
from egress.path.stuck import BAD_REPORTS, FIRST_HOLD, LAST_HOLD, LEAST_WAIT, UNCONFIRMED, WAITS, StuckJudge
from egress.position import Position
from tests.fakes.media import gop_stream
from tests.fakes.watcher import Watcher


@pytest.fixture
def feed() -> Feed:
    return Feed(Kind.VIDEO)


def watch_for(watcher: Watcher, stream: Iterator[Batch], seconds: float, *, every: int = 1, late: int = 0) -> int:
    """Play; the viewer reports every ``every``-th picture, ``late`` packets late. Returns the number of packets."""
    sent, frames = 0, int(seconds * 30)
    for frame in range(frames):
        watcher.sender.feed.push(next(stream), watcher.now)
        for _ in range(6):
            watcher.step()
        watcher.now += 1 / 30 - 6 * 0.005
        numbers = [sequence for sequence, _ in watcher.received()]
        sent += len(numbers)
        watcher.sender.look(watcher.now)
        if numbers and every and frame % every == 0 and numbers[-1] >= late:
            watcher.sender.confirmed(numbers[-1] - late, watcher.now)
    return sent


@pytest.mark.parametrize(("every", "late"), [(0, 0), (30, 1_000)], ids=["nothing arrives", "all is ten seconds late"])
def test_a_stuck_path_is_left_alone_for_longer_and_longer(feed: Feed, every: int, late: int) -> None:
    stream = gop_stream(gop=30)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    assert watch_for(watcher, stream, 20.0, every=30) == 20 * 90
    assert not watcher.sender.stats.stuck
    watch_for(watcher, stream, UNCONFIRMED + WAITS * LEAST_WAIT + 0.5, every=every, late=late)
    assert watcher.sender.position is Position.ON_HOLD
    assert watch_for(watcher, stream, 60.0, every=every, late=late) < 10 * 90
    assert watcher.sender.stats.stuck >= 4
    watch_for(watcher, stream, LAST_HOLD + 2.0, every=30)
    assert watcher.sender.position is not Position.ON_HOLD
    assert watcher.sender.position is Position.LIVE


def test_what_arrives_after_all_ends_the_hold(feed: Feed) -> None:
    stream = gop_stream(gop=30)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    watch_for(watcher, stream, 1.0)
    watch_for(watcher, stream, UNCONFIRMED + WAITS * LEAST_WAIT + 0.5, every=0)
    assert watcher.sender.position is Position.ON_HOLD
    cursor = watcher.sender.cursor
    watcher.sender.confirmed(cursor.upto - 1 - watcher.sender.lane.base & 0xFFFF, watcher.now)
    watcher.sender.look(watcher.now)
    assert watcher.sender.position is Position.BEHIND


def test_reports_may_come_rarely(feed: Feed) -> None:
    """RFC 3550 6.2 lets receivers take five seconds and more."""
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    assert watch_for(watcher, gop_stream(gop=30), 60.0, every=200) == 60 * 90


def test_a_camera_that_pauses_before_all_is_confirmed_is_no_stuck_path(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    stream = gop_stream(gop=30)
    watch_for(watcher, stream, 5.0, every=30)
    for _ in range(200):
        watcher.now += 0.1
        watcher.sender.look(watcher.now)
    assert watch_for(watcher, stream, 2.0, every=0) == 180


def test_reports_that_a_flood_drops_are_not_missed(feed: Feed) -> None:
    stream = gop_stream(gop=30)
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    watch_for(watcher, stream, 1.0)
    for _ in range(10):
        watcher.sender.deaf_until(watcher.now)
        assert watch_for(watcher, stream, 1.0, every=0) == 90
    watch_for(watcher, stream, WAITS * LEAST_WAIT + 0.5, every=0)
    assert watcher.sender.position is Position.ON_HOLD, "the flood is over, and still nothing comes"


def test_who_never_reports_is_not_judged(feed: Feed) -> None:
    watcher = Watcher(feed)
    watcher.sender.start(now=0.0)
    assert watch_for(watcher, gop_stream(gop=30), 10.0, every=0) == 900


def test_a_pause_of_the_camera_and_a_long_group_of_pictures_are_no_stuck_path(feed: Feed) -> None:
    watcher = Watcher(feed, round_trip=0.05)
    watcher.sender.start(now=0.0)
    watch_for(watcher, gop_stream(gop=3_000, packets=10, size=1_000), 20.0)
    watcher.sender.replay(watcher.now)
    watch_for(watcher, gop_stream(gop=3_000, epoch=60_000), 40.0, every=30)
    assert not watcher.sender.stats.stuck


def stuck() -> tuple[StuckJudge, float]:
    """A judge that has just taken its path to be stuck, by reports a second, and the time."""
    judge, now = StuckJudge(), 0.0
    judge.reported(0.0, now)
    for _ in range(BAD_REPORTS):
        assert not judge.judge(FAR, now)
        now += 1.0
        judge.reported(FAR, now)
    assert judge.judge(FAR, now)
    return judge, now


FAR = 2 * UNCONFIRMED


def test_reports_that_waited_while_this_process_stood_still_are_of_then() -> None:
    judge, now = StuckJudge(), 10.0
    judge.reported(0.0, now)
    for waited in (2.0, 1.5, 1.0):  # in the order that they came in; what was sent meanwhile is behind all of them
        judge.reported(2.2, now + 2.0, waited)
        assert not judge.judge(2.2, now + 2.0)
    for _ in range(BAD_REPORTS):
        judge.reported(FAR + 2.0, now + 4.0, 2.0)
    assert judge.judge(FAR, now + 4.0), "what had not arrived by then either"


def test_after_a_hold_the_next_bad_report_ends_the_other_try() -> None:
    judge, now = stuck()
    assert judge.judge(FAR, now + FIRST_HOLD - 0.1)
    now += FIRST_HOLD
    assert not judge.judge(FAR, now)
    judge.reported(FAR, now + 0.5)
    assert judge.judge(FAR, now + 0.5)


def test_after_a_hold_there_is_time_for_one_report() -> None:
    judge, now = stuck()
    now += FIRST_HOLD
    assert not judge.judge(FAR, now)
    assert not judge.judge(FAR, now + 0.9)
    assert judge.judge(FAR, now + 1.1)


def test_each_hold_is_twice_as_long_until_the_longest_and_the_first_again_after_a_good_report() -> None:
    judge, now = stuck()
    holds = [FIRST_HOLD]
    while holds[-1] < LAST_HOLD or len(holds) < 5:
        now += holds[-1]
        assert not judge.judge(FAR, now)
        now += 1.1
        assert judge.judge(FAR, now)
        holds.append(min(2 * holds[-1], LAST_HOLD))
        assert judge.judge(FAR, now + holds[-1] - 0.1)
    judge.reported(0.0, now)
    assert not judge.judge(0.0, now)
    for _ in range(BAD_REPORTS):
        now += 1.0
        judge.reported(FAR, now)
    assert judge.judge(FAR, now)
    assert not judge.judge(FAR, now + FIRST_HOLD)
