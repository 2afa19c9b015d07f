"""Viewers that lack the same are sent it by one call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from common.media import Batch, Kind
from egress import together
from egress.media.fanout import fan_out
from egress.media.feed import Feed
from egress.position import Position
from tests.fakes.media import gop_stream
from tests.fakes.watcher import Watcher, push


@pytest.fixture
def feed() -> Feed:
    return Feed(Kind.VIDEO)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The viewers of each call."""
    found: list[int] = []

    def counted(parcel: Any, first: int, audience: Any) -> Any:
        found.append(len(audience.members))
        return fan_out(parcel, first, audience)

    monkeypatch.setattr(together, "fan_out", counted)
    return found


def behind(feed: Feed, count: int, *, pictures: int = 3, stream: Iterator[Batch] | None = None) -> list[Watcher]:
    """Viewers that lack so many pictures, and got all before."""
    stream = stream or gop_stream(gop=60)
    push(feed, stream, 1)
    watchers = [Watcher(feed) for _ in range(count)]
    for each in watchers:
        each.sender.start(now=0.0)
        each.catch_up()
        each.target.full = True
    push(feed, stream, pictures)
    for each in watchers:
        assert each.sender.position is Position.BEHIND
        each.target.full = False
    return watchers


def test_they_are_live_and_lack_nothing(feed: Feed, calls: list[int]) -> None:
    stream = gop_stream(gop=60)
    watchers = behind(feed, 5, stream=stream)
    together.catch_up_together(each.sender for each in watchers)
    assert calls == [5]
    assert {each.sender.position for each in watchers} == {Position.LIVE}
    push(feed, stream, 1)
    numbers = [each.numbers() for each in watchers]
    assert numbers[0] == list(range(15))
    assert all(each == numbers[0] for each in numbers)


def test_one_whose_buffer_is_full_goes_on_alone(feed: Feed, calls: list[int]) -> None:
    watchers = behind(feed, 3)
    watchers[1].target.full = True
    together.catch_up_together(each.sender for each in watchers)
    assert [each.sender.position for each in watchers] == [Position.LIVE, Position.BEHIND, Position.LIVE]
    watchers[1].target.full = False
    watchers[1].catch_up()
    assert watchers[1].numbers() == watchers[0].numbers() == list(range(12))


def test_who_lacks_more_than_a_burst_goes_on_alone(feed: Feed, calls: list[int]) -> None:
    watchers = behind(feed, 2, pictures=together.MOST)
    together.catch_up_together(each.sender for each in watchers)
    assert {each.sender.position for each in watchers} == {Position.BEHIND}
    for each in watchers:
        assert len(each.numbers()) == 3 + together.MOST
        each.catch_up()
        assert each.numbers() == list(range(3 + together.MOST, 3 + 3 * together.MOST))


@pytest.mark.parametrize("kind", ["stalled", "alone", "live"])
def test_who_is_not_meant_is_left_alone(feed: Feed, calls: list[int], kind: str) -> None:
    watchers = behind(feed, 1 if kind == "alone" else 2)
    for each in watchers:
        each.target.stalled = kind == "stalled"
        if kind == "live":
            each.catch_up()
    together.catch_up_together(each.sender for each in watchers)
    assert calls == []
