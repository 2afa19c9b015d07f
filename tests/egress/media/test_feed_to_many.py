"""A feed to viewers that are too many to be served at once."""

from __future__ import annotations

import pytest

from common.media import Batch, Kind
from egress import native
from egress.media.feed import Feed
from tests.fakes.media import gop_stream
from tests.fakes.slices import Slices
from tests.fakes.watcher import VIDEO, VIDEO_WITH_FEEDBACK, Watcher, push


class Turns(Slices):
    """A feed of which slices of work wait for their turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
        super().__init__(monkeypatch, size)
        self.feed = Feed(Kind.VIDEO, self.waiting.append)

    def watched(self, count: int) -> list[Watcher]:
        """By so many, who have started."""
        watchers = [Watcher(self.feed) for _ in range(count)]
        for watcher in watchers:
            watcher.sender.start(now=0.0)
        return watchers


def rising(batch: Batch) -> Batch:
    """Each payload a byte larger than the one before, so that each is a run of its own."""
    return batch._replace(payloads=[payload[:1] + bytes(at) + payload[1:] for at, payload in enumerate(batch.payloads)])


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
