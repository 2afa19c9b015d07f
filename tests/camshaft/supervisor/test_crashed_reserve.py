"""A reserve that ends by itself, or was told to, while others have much to do or an upgrade comes; no processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from camshaft import reserves, supervisor
from camshaft.plan import Program
from camshaft.supervisor import Supervisor
from common.control import Role
from common.demand import DEMAND_FD, Demand, Teller
from rigs.waiting import until
from tests.camshaft.test_children import Process

PATIENCE = 20.0  # seconds
FIRST, RESERVE = "egress-0", "egress-1"


class Started:
    """All that was started, each with the pipe by which it tells how much it has to do."""

    def __init__(self) -> None:
        self.of: dict[str, list[tuple[Process, int]]] = {}

    async def start(self, program: Program, passed: Mapping[str, int]) -> Any:
        process = Process()
        self.of.setdefault(program.name, []).append((process, os.dup(passed[DEMAND_FD])))
        return process

    def leave_nursery(self) -> None:
        pass

    async def keep_nursery(self) -> None:
        pass

    nursery_followed = keep_nursery
    renew_nursery = leave_nursery

    def settle(self, *, anew: bool) -> None:
        """See ``Starter``."""

    def running(self, name: str) -> int:
        return sum(not process.over.is_set() for process, _ in self.of.get(name, []))

    async def until(self, name: str, times: int) -> Process:
        await until(lambda: len(self.of.get(name, [])) >= times, PATIENCE)
        return self.of[name][times - 1][0]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    found = Started()
    monkeypatch.setattr(supervisor, "Starter", lambda *_: found)
    monkeypatch.setattr(reserves, "LOOK_INTERVAL", 0.01)
    return found


@contextlib.asynccontextmanager
async def serving(started: Started) -> AsyncIterator[Supervisor]:
    """A supervisor whose first egress has much to do, so that the reserve runs, too."""

    async def ready() -> tuple[bool, str]:
        return True, ""

    stop = asyncio.Event()
    programs = [
        Program(FIRST, (), {}, role=Role.EGRESS, tells=True),
        Program(RESERVE, (), {}, role=Role.EGRESS, reserve=True, tells=True),
    ]
    made = Supervisor(programs, ready=ready, announce=bool, command=())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(made.run(stop))
        try:
            await started.until(FIRST, 1)
            Teller(started.of[FIRST][0][1]).tell(Demand.MUCH)
            hearing = group.create_task(_heard(made))
            await started.until(RESERVE, 1)
            yield made
            hearing.cancel()
        finally:
            stop.set()
            for each in started.of.values():
                for process, pipe in each:
                    process.over.set()
                    os.close(pipe)
            await running


async def _heard(made: Supervisor) -> None:
    while True:
        made._children.hear()
        await asyncio.sleep(0.01)


async def test_one_that_crashes_is_started_again_by_one_alone(started: Started) -> None:
    async with serving(started):
        first = await started.until(RESERVE, 1)
        first.over.set()
        await started.until(RESERVE, 2)
        await asyncio.sleep(0.5)  # whoever else would start one has had the time
        assert started.running(RESERVE) == 1


async def test_one_that_was_told_to_end_is_no_part_of_an_upgrade(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    rolled: asyncio.Queue[list[str]] = asyncio.Queue()

    async def roll(plan: list[Program], fleet: object, *, drain: float) -> bool:
        await rolled.put([program.name for program in plan])
        return True

    monkeypatch.setattr(supervisor, "roll", roll)
    async with serving(started) as made:
        made._upgrade()
        assert await asyncio.wait_for(rolled.get(), PATIENCE) == [FIRST, RESERVE]
        await asyncio.sleep(0)
        made.leave(RESERVE)
        made._upgrade()
        assert await asyncio.wait_for(rolled.get(), PATIENCE) == [FIRST]
