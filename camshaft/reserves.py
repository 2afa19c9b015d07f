"""Egresses of ``serve`` beyond the first, where the operator did not say how many; no I/O, but that ``tend`` waits.

Rules:

* The first of them runs always. The others are in reserve, and begin one by one when all that run have much to do
  (``common.demand``): the broker sends who comes to the one that has least.
* One that began so ends when nobody has used it for ``QUIET``: it drains, as it has nothing at once, and somebody who
  comes in that moment is sent to another.
* While an upgrade rolls none begins and none ends: there is a spare, at the next ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from camshaft.plan import Program
from common.demand import Demand
from common.log import get_logger

LOOK_INTERVAL = 1.0  # seconds: workers tell as often at most
PATIENCE = 10.0  # seconds for one that has begun to say how much it has to do, until the next may begin
QUIET = 300.0  # seconds: whoever walks from one camera to the next is not to have a process begin and end each time


class Reserves:
    """``first`` names those that always run. Times are monotonic seconds."""

    def __init__(self, reserve: Sequence[Program], first: Collection[str]) -> None:
        self._reserve = {program.name: program for program in reserve}
        self._first = first
        self._begun = float("-inf")  # when the last of them began
        self._quiet_since: dict[str, float] = {}

    def wanted(self, running: Collection[str], demands: dict[str, Demand], now: float) -> Program | None:
        """The one that is to begin now, if one is. ``demands`` are those of the running ones that have told theirs."""
        those = [name for name in running if name in self._first or name in self._reserve]
        heard = [demands[name] for name in those if name in demands]
        waits = len(heard) < len(those) and now - self._begun < PATIENCE
        if waits or not heard or any(demand is not Demand.MUCH for demand in heard):
            return None
        program = next((each for name, each in self._reserve.items() if name not in running), None)
        if program is not None:
            self._begun = now
        return program

    def unused(self, running: Collection[str], demands: dict[str, Demand], now: float) -> str | None:
        """The name of one that is to end now, if one is."""
        idle = [name for name in self._reserve if name in running and demands.get(name) is Demand.NONE]
        self._quiet_since = {name: self._quiet_since.get(name, now) for name in idle}
        over = next((name for name, since in self._quiet_since.items() if now - since >= QUIET), None)
        if over is not None:
            del self._quiet_since[over]  # it is told once, and again only if it is still there after as long
        return over


async def tend(
    reserves: Reserves,
    begin: Callable[[Program], None],
    leave: Callable[[str], None],
    look: Callable[[], tuple[Collection[str], dict[str, Demand]]],
    rolling: Callable[[], bool],
) -> None:
    """Begin and end them as it is needed, until cancelled. ``look`` says which programs run, and their demands."""
    log = get_logger()
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK_INTERVAL)
        if rolling():
            continue
        running, demands = look()
        if (program := reserves.wanted(running, demands, loop.time())) is not None:
            log.info("another process begins, as all that run have much to do", program=program.name)
            begin(program)
        elif (name := reserves.unused(running, demands, loop.time())) is not None:
            log.info("process ends, as nobody has used it for a while", program=name)
            leave(name)
