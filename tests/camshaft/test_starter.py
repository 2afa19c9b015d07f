"""Which nursery forks processes, and when another follows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from camshaft import starter
from camshaft.nursery import Nursery, NurseryGoneError
from camshaft.plan import Program
from camshaft.starter import Starter
from rigs.waiting import until


class Played:
    """A nursery that is as old as it was made."""

    made: list[Played]
    slow: asyncio.Event
    unseen = 0  # times that nobody can look whether it ends

    def __init__(self) -> None:
        self.closed = False
        self.end = asyncio.Event()

    @classmethod
    async def anew(cls, command: Sequence[str], within: float) -> Played:
        cls.made.append(made := cls())
        await cls.slow.wait()
        return made

    async def gone(self) -> None:
        if Played.unseen:
            Played.unseen -= 1
            raise OSError("Too many open files")
        await self.end.wait()

    def close(self) -> None:
        self.closed = True
        self.end.set()

    def start(self, *_: object) -> Played:
        if self.closed:
            raise NurseryGoneError
        return self


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    Played.made, Played.slow, Played.unseen = [], asyncio.Event(), 0
    monkeypatch.setattr(Nursery, "anew", Played.anew)
    monkeypatch.setattr(starter, "AGAIN", 0.01)


async def test_an_upgrade_takes_no_nursery_that_began_before_it() -> None:
    first = Played()
    made = Starter(["true"], {}, first, ["nursery"])  # type: ignore[arg-type]
    keeping = asyncio.create_task(made.keep_nursery())
    first.end.set()
    await until(lambda: len(Played.made) == 1)
    made.leave_nursery()  # an upgrade: what is being imported now is what was installed before
    Played.slow.set()
    async with asyncio.timeout(5.0):
        await made.nursery_followed()
    assert [each.closed for each in Played.made] == [True, False]
    keeping.cancel()


async def test_a_nursery_that_cannot_be_watched_for_now_is_watched_later() -> None:
    first = Played()
    Played.unseen = 2
    Played.slow.set()
    made = Starter(["true"], {}, first, ["nursery"])  # type: ignore[arg-type]
    keeping = asyncio.create_task(made.keep_nursery())
    await until(lambda: not Played.unseen)
    assert not first.closed
    assert not Played.made
    first.end.set()
    await until(lambda: len(Played.made) == 1)
    keeping.cancel()


@pytest.mark.parametrize("anew", [True, False])
async def test_an_upgrade_that_comes_to_nothing_goes_on_with_the_nursery_from_before(anew: bool) -> None:
    former = Played()
    Played.slow.set()
    made = Starter(["true"], {}, former, ["nursery"])  # type: ignore[arg-type]
    keeping = asyncio.create_task(made.keep_nursery())
    await asyncio.sleep(0)
    made.renew_nursery()
    async with asyncio.timeout(5.0):
        await made.nursery_followed()
    [new] = Played.made
    assert not former.closed
    made.settle(anew=anew)
    assert (former.closed, new.closed) == (anew, not anew)
    kept = new if anew else former
    assert made._nursery is kept
    await asyncio.sleep(0.05)
    assert len(Played.made) == 1, "it is there, and nothing is to follow"
    kept.end.set()
    await until(lambda: len(Played.made) == 2)
    keeping.cancel()


async def test_what_dies_while_an_upgrade_begins_is_forked_as_before() -> None:
    """Else a program that imports everything is waited for, seconds on a busy machine, and viewers with it."""
    former = Played()
    made = Starter(["true"], {}, former, ["nursery"])  # type: ignore[arg-type]
    keeping = asyncio.create_task(made.keep_nursery())
    await asyncio.sleep(0)
    made.renew_nursery()
    await until(lambda: len(Played.made) == 1)
    assert await made.start(Program("broker", (), {}), {}) is former  # type: ignore[comparison-overlap]  # it stands for a process
    Played.slow.set()
    async with asyncio.timeout(5.0):
        await made.nursery_followed()
    assert await made.start(Program("broker", (), {}), {}) is Played.made[0]  # type: ignore[comparison-overlap]  # likewise
    made.settle(anew=True)
    keeping.cancel()


async def test_one_of_before_that_is_gone_too_is_not_tried_twice() -> None:
    former = Played()
    made = Starter(["true"], {}, former, ["nursery"])  # type: ignore[arg-type]
    made.renew_nursery()
    former.closed = True
    process = await made.start(Program("broker", (), {}), {})
    assert await process.wait() == 0
    made.settle(anew=False)
    assert made._nursery is None
