"""A worker's end in good order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from common.process import Stop
from common.worker.draining import LOOK_INTERVAL, drained

LONG = 600.0  # seconds
PATIENCE = 30.0


def link() -> Any:
    made = SimpleNamespace(
        node="out-1", draining=False, drain_ordered=asyncio.Event(), hopeless=asyncio.Event(), reports=0
    )
    made.report_soon = lambda: setattr(made, "reports", made.reports + 1)
    return made


@asynccontextmanager
async def draining(worker: Any, link: Any, stop: asyncio.Event, within: float = LONG) -> AsyncIterator[asyncio.Task]:
    task = asyncio.create_task(drained(worker, link, stop, within=within))
    try:
        yield task
    finally:
        task.cancel()


async def test_it_ends_when_nothing_is_left_and_takes_nothing_new_meanwhile() -> None:
    worker, to, stop = SimpleNamespace(drained=False), link(), Stop()
    async with asyncio.timeout(PATIENCE), draining(worker, to, stop) as task:
        stop.ask()
        await asyncio.sleep(3 * LOOK_INTERVAL)
        assert (to.draining, to.reports, task.done()) == (True, 1, False)
        worker.drained = True
        await task


class Handing:
    """A worker that has a successor when a test says so."""

    drained = False

    def __init__(self) -> None:
        self.has_heir, self.tries = False, 0

    async def hand_over(self) -> bool:
        self.tries += 1
        return self.has_heir and self.tries > 2


async def test_a_successor_that_is_ready_too_late_is_given_everything_all_the_same() -> None:
    worker, to, stop = Handing(), link(), Stop()
    async with asyncio.timeout(PATIENCE), draining(worker, to, stop) as task:
        stop.ask()
        await asyncio.sleep(3 * LOOK_INTERVAL)
        assert (worker.tries, to.draining, task.done()) == (1, True, False)
        worker.has_heir = True
        await task
    assert worker.tries == 3, "one in which nothing came of it as well"


async def test_the_broker_may_order_it() -> None:
    worker, to = SimpleNamespace(drained=True), link()
    async with asyncio.timeout(PATIENCE), draining(worker, to, Stop()) as task:
        to.drain_ordered.set()
        await task
    assert to.draining


async def test_it_lasts_no_longer_than_it_may() -> None:
    stop = Stop()
    async with asyncio.timeout(PATIENCE), draining(SimpleNamespace(drained=False), link(), stop, 0.05) as task:
        stop.ask()
        await task


async def test_a_second_time_means_now() -> None:
    stop = Stop()
    async with asyncio.timeout(PATIENCE), draining(SimpleNamespace(drained=False), link(), stop) as task:
        stop.ask()
        await asyncio.sleep(2 * LOOK_INTERVAL)
        assert not task.done()
        stop.ask()
        await task


async def test_where_there_is_no_time_it_does_not_even_begin() -> None:
    for stop in (Stop(), asyncio.Event()):
        to = link()
        async with asyncio.timeout(PATIENCE), draining(SimpleNamespace(drained=False), to, stop) as task:
            stop.ask(at_once=True) if isinstance(stop, Stop) else stop.set()
            await task
        assert not to.draining


async def test_one_that_cannot_be_of_this_cluster_ends_at_once() -> None:
    to = link()
    async with asyncio.timeout(PATIENCE), draining(SimpleNamespace(drained=False), to, Stop()) as task:
        to.hopeless.set()
        await task
    assert not to.draining
