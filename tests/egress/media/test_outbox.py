"""Many viewers are served in slices."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from common.media import Batch, Kind
from egress import native
from egress.media import outbox as outbox_module
from egress.media.feed import Feed
from tests.fakes.media import gop_stream
from tests.fakes.watcher import VIDEO, VIDEO_WITH_FEEDBACK, Watcher, push


class Turns:
    """Slices of work that wait for their turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        monkeypatch.setattr(outbox_module, "SLICE", size)
        self.feed = Feed(Kind.VIDEO, lambda work: self.waiting.append(work))
        self.waiting: list[Callable[[], None]] = []

    def turn(self) -> None:
        [work] = self.waiting
        self.waiting.clear()
        work()

    def rest(self) -> None:
        """All that is left."""
        while self.waiting:
            self.turn()

    def watched(self, count: int) -> list[Watcher]:
        """By so many, who have started."""
        watchers = [Watcher(self.feed) for _ in range(count)]
        for watcher in watchers:
            watcher.sender.start(now=0.0)
        return watchers


def rising(batch: Batch) -> Batch:
    """Each payload a byte larger than the one before, so that each is a run of its own."""
    return batch._replace(payloads=[payload[:1] + bytes(at) + payload[1:] for at, payload in enumerate(batch.payloads)])


def test_a_keyframe_to_many_is_sent_in_slices_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, 6)
    feed, stream, sent = turns.feed, gop_stream(packets=5), []
    feed.outbox.when_empty(lambda: sent.append("nothing"))
    watchers = turns.watched(3)
    push(feed, stream, 1)
    feed.outbox.when_empty(lambda: sent.append("the first"))
    assert sorted(len(watcher.target.datagrams) for watcher in watchers) == [0, 5, 5]
    push(feed, stream, 1)  # waits for the first
    assert sorted(len(watcher.target.datagrams) for watcher in watchers) == [0, 5, 5]
    assert sent == ["nothing"]
    turns.rest()
    assert sent == ["nothing", "the first"]
    assert [watcher.numbers() for watcher in watchers] == [list(range(10))] * 3


def test_each_viewer_gets_all_of_a_picture_before_the_next_gets_any(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, 1)
    watchers = turns.watched(2)
    turns.feed.push(rising(next(gop_stream(packets=3))), 0.0)
    assert sorted(len(watcher.target.datagrams) for watcher in watchers) == [0, 3], "sizes make each packet a run"
    turns.turn()
    assert [watcher.numbers() for watcher in watchers] == [[0, 1, 2]] * 2


def test_who_is_blocked_within_a_picture_gets_the_rest_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, 1_000)
    watchers = turns.watched(2)
    watchers[0].target.room = 1
    turns.feed.push(rising(next(gop_stream(packets=3))), 0.0)
    assert [watcher.numbers() for watcher in watchers] == [[0], [0, 1, 2]]
    watchers[0].target.room = None
    watchers[0].catch_up()
    assert watchers[0].numbers() == [1, 2]


def test_who_leaves_and_comes_back_between_slices_gets_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, 1)
    feed, stream = turns.feed, gop_stream(packets=5)
    watchers = turns.watched(3)
    push(feed, stream, 2)
    paused, moved, new = watchers[2], watchers[1], Watcher(feed)
    paused.sender.cursor.slow_down(feed.history.end)
    paused.catch_up()
    moved.sender.retarget(moved.target, 0.0)  # type: ignore[arg-type]
    moved.catch_up()
    new.sender.start(now=0.0)
    new.catch_up()
    turns.rest()
    push(feed, stream, 1)
    turns.rest()
    assert [watcher.numbers() for watcher in (*watchers, new)] == [list(range(15))] * 4


def test_a_process_that_is_too_slow_skips_to_the_next_keyframe(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, 1)
    feed, stream = turns.feed, gop_stream(packets=5, gop=4)
    watchers = turns.watched(3)
    feed.push(next(stream), 0.0)  # one viewer has it
    feed.push(next(stream), 0.5)
    feed.push(next(stream), 1.0)
    assert feed.overloads == 0
    feed.push(next(stream), 1.1)
    assert feed.overloads == 1
    turns.rest()
    received = [watcher.received() for watcher in watchers]
    assert sorted(len(packets) for packets in received) == [0, 0, 5], "what was waiting is given up"
    feed.push(next(stream), 1.2)  # a keyframe
    feed.push(next(stream), 1.3)
    turns.rest()
    for watcher, before in zip(watchers, received, strict=True):
        after = watcher.received()
        assert [published for _, published in after] == list(range(20, 30))
        numbers = [sequence for sequence, _ in (*before, *after)]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "no gap that a viewer would ask for"


def test_the_longer_it_is_behind_the_more_it_sends_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who watch come before those who join: in a rush of viewers a turn comes round only every 20 ms."""
    turns = Turns(monkeypatch, 5)
    watchers = turns.watched(3)
    stream = gop_stream(packets=5)
    push(turns.feed, stream, 1)  # one has it, two wait
    push(turns.feed, stream, 1)
    assert turns.feed.outbox.unsent == 0
    turns.turn()
    assert sum(len(watcher.target.datagrams) for watcher in watchers) == 5 + 2 * 5
    turns.rest()
    assert turns.feed.outbox.unsent == float("inf")
    assert [watcher.numbers() for watcher in watchers] == [list(range(10))] * 3


def test_a_small_picture_does_not_overtake_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, 6)
    stream, watchers = gop_stream(packets=5), turns.watched(3)
    push(turns.feed, stream, 1)  # one waits for it
    small = next(stream)
    turns.feed.push(small._replace(payloads=small.payloads[:1]), 0.0)
    assert sorted(len(watcher.target.datagrams) for watcher in watchers) == [0, 5, 5]
    turns.rest()
    assert [watcher.numbers() for watcher in watchers] == [list(range(6))] * 3


def test_what_is_given_up_is_not_told_as_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    turns, sent = Turns(monkeypatch, 1), []
    turns.watched(3)
    stream = gop_stream(packets=5, gop=4)
    turns.feed.push(next(stream), 0.0)
    turns.feed.outbox.when_empty(lambda: sent.append("the first"))
    turns.feed.push(next(stream), 2.0)
    assert turns.feed.overloads == 1
    for now in (2.1, 2.2, 2.3):
        turns.feed.push(next(stream), now)
    turns.rest()
    assert sent == []


def test_an_error_is_not_the_end_of_a_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, 1)
    watchers = turns.watched(2)
    stream = gop_stream(packets=1)
    fan_out = outbox_module.fan_out
    monkeypatch.setattr(outbox_module, "fan_out", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        push(turns.feed, stream, 1)
    monkeypatch.setattr(outbox_module, "fan_out", fan_out)
    turns.rest()
    push(turns.feed, stream, 1)
    turns.rest()
    assert sorted(len(watcher.numbers()) for watcher in watchers) == [1, 2]


def test_whoever_is_left_when_nobody_is_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one that a picture waits for leaves between two slices; also where nothing was compiled."""
    monkeypatch.setattr(native, "lib", None)
    monkeypatch.setattr(native, "ffi", None)
    turns = Turns(monkeypatch, 1)
    watchers = turns.watched(2)
    stream = gop_stream(packets=5)
    push(turns.feed, stream, 1)
    [waits] = [watcher for watcher in watchers if not watcher.target.datagrams]
    waits.sender.stop()
    turns.rest()
    push(turns.feed, stream, 1)
    turns.rest()
    assert sorted(len(watcher.numbers()) for watcher in watchers) == [0, 10]


def test_a_picture_that_goes_to_two_groups_is_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(monkeypatch, 5)
    sections = [VIDEO, VIDEO_WITH_FEEDBACK] * 2
    watchers = [Watcher(turns.feed, section) for section in sections]
    for watcher in watchers:
        watcher.sender.start(now=0.0)
    push(turns.feed, gop_stream(packets=5), 1)
    assert sorted(len(watcher.target.datagrams) for watcher in watchers) == [0, 0, 0, 5]
    turns.rest()
    assert [watcher.numbers() for watcher in watchers] == [list(range(5))] * 4
