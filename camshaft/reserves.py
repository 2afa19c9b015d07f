"""Processes of ``serve`` that run only while they are needed, where the operator did not say how many.

Rules:

* The first egress runs always. The others begin one by one when all that run have much to do (``common.demand``): the
  broker sends who comes to the one that has least.
* A transcode process begins when the broker tells that something has to be converted or drawn, or that a camera sends
  what may have to be. In most clusters nothing does, and it would take memory for nothing.
* One that began so ends when nobody has used it for ``QUIET``: it drains, as it has nothing at once, and who comes in
  that moment is sent to another, or waits until it has begun again.
* While an upgrade rolls no egress begins, as there is a spare at the next ports, and nothing ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from camshaft.plan import Program
from common.control import Role
from common.demand import Demand
from common.log import get_logger
from common.moments import waited

LOOK_INTERVAL = 5.0  # seconds between looks, beside those when a process has told something
PATIENCE = 10.0  # seconds for one that has begun to be of use, until the next may begin
QUIET = 300.0  # seconds: whoever walks from one camera to the next is not to have a process begin and end each time


class Reserves:
    """Processes of one role that are in ``reserve``. Times are monotonic seconds.

    ``first`` names those whose demand counts as well, as they run always. ``told_by`` is the process that tells for all
    of the reserve, where these do not tell for themselves.
    """

    def __init__(self, reserve: Sequence[Program], first: Collection[str], told_by: str = "") -> None:
        self._reserve = {program.name: program for program in reserve}
        self._first = first
        self._told_by = told_by
        self._begun = float("-inf")  # when the last of them began
        self._quiet_since: dict[str, float] = {}

    def wanted(
        self, running: Collection[str], demands: dict[str, Demand], now: float, *, rolling: bool = False
    ) -> Program | None:
        """The one that is to begin now, if one is. ``demands`` are those of the running ones that have told theirs.

        ``rolling`` says whether an upgrade is under way.
        """
        ours = [name for name in running if name in self._reserve]
        those = [self._told_by] if self._told_by else [*ours, *(name for name in running if name in self._first)]
        heard = [demands[name] for name in those if name in demands]
        waits = (bool(ours) if self._told_by else len(heard) < len(those)) and now - self._begun < PATIENCE
        if waits or not heard or any(demand is not Demand.MUCH for demand in heard) or (rolling and not self._told_by):
            return None
        program = next((each for name, each in self._reserve.items() if name not in running), None)
        if program is not None:
            self._begun = now
        return program

    def unused(self, running: Collection[str], demands: dict[str, Demand], now: float) -> str | None:
        """The name of one that is to end now, if one is."""
        ours = [name for name in self._reserve if name in running]
        idle = [name for name in ours if demands.get(self._told_by or name) is Demand.NONE]
        self._quiet_since = {name: self._quiet_since.get(name, now) for name in idle}
        over = next((name for name, since in self._quiet_since.items() if now - since >= QUIET), None)
        if over is not None:
            del self._quiet_since[over]  # it is told once, and again only if it is still there after as long
        return over


def reserves_of(programs: Sequence[Program]) -> list[Reserves]:
    """The reserves of a plan, one for each role that has some."""
    found = {role: [each for each in programs if each.reserve and each.role is role] for role in Role}
    first = [each.name for each in programs if each.role is Role.EGRESS and not each.reserve]
    return [
        Reserves(reserve, first) if role is Role.EGRESS else Reserves(reserve, (), told_by="broker")
        for role, reserve in found.items()
        if reserve
    ]


async def tend(
    reserves: Sequence[Reserves],
    begin: Callable[[Program], None],
    leave: Callable[[str], None],
    look: Callable[[], tuple[Collection[str], dict[str, Demand]]],
    rolling: Callable[[], bool],
    told: asyncio.Event,
) -> None:
    """Begin and end them as it is needed, until cancelled.

    ``look`` says which programs run, and their demands; ``told`` is set when one of these has changed.
    """
    log = get_logger()
    loop = asyncio.get_running_loop()
    while reserves:
        await waited(LOOK_INTERVAL, told)
        told.clear()
        rolls = rolling()
        for each in reserves:
            running, demands = look()
            if (program := each.wanted(running, demands, loop.time(), rolling=rolls)) is not None:
                log.info("starting another process, which is needed", program=program.name)
                begin(program)
            elif not rolls and (name := each.unused(running, demands, loop.time())) is not None:
                log.info("stopping a process that nobody has used for a while", program=name)
                leave(name)
