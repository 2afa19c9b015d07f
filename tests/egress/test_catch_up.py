"""Viewers that are behind take turns."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self

import pytest

from common.media import Kind
from egress import catch_up as catch_up_module
from egress.catch_up import CatchUp
from egress.media.feed import Feed
from egress.position import Position
from rigs.waiting import until
from tests.fakes.media import gop_stream
from tests.fakes.watcher import Watcher, push


@pytest.fixture
def feed() -> Feed:
    return Feed(Kind.VIDEO)


async def test_many_who_are_behind_get_their_turns_one_after_the_other(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_module, "SLICE", 5)
    push(feed, gop_stream(), 4)
    catch_up, watchers, slices = CatchUp(), [Watcher(feed) for _ in range(3)], []
    for watcher in watchers:
        watcher.sender.start(now=0.0)
        catch_up.add(watcher.sender)
    async with asyncio.timeout(10):
        while any(watcher.sender.position is Position.BEHIND for watcher in watchers):
            await asyncio.sleep(0)
            slices.append(sum(len(watcher.target.datagrams) for watcher in watchers))
    assert sorted(set(slices)) == [0, 12, 24, 36] or sorted(set(slices)) == [12, 24, 36]
    assert catch_up._timer is None


@dataclass(eq=False)
class Behind:
    """A sender that is live after its turn, and its feed."""

    kind: Kind
    turns: list[Kind]
    position: Position = Position.BEHIND

    @property
    def feed(self) -> Self:
        return self

    def catch_up(self, now: float) -> int:
        self.turns.append(self.kind)
        self.position = Position.LIVE
        return 1


async def test_sound_has_its_turn_before_pictures() -> None:
    """A picture takes all the room that a connection has."""
    turns: list[Kind] = []
    catch_up = CatchUp()
    for number in range(20):
        catch_up.add(Behind(Kind.AUDIO if number % 2 else Kind.VIDEO, turns))  # type: ignore[arg-type]
    await until(lambda: len(turns) >= 20, 5)
    assert turns == [Kind.AUDIO] * 10 + [Kind.VIDEO] * 10
