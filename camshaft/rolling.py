"""How ``serve`` replaces its processes while viewers watch, by what is installed now: workers first, the broker last.

The relay is let be: it looks at nothing that could change, and would take the pictures of all viewers with it.

An egress gets a successor beside it, which takes its sockets and sessions when it ends (``egress.succession``). Where
that cannot be, and of the other roles, one after the other gets a spare process, so that there is one to hand over to.
Then each process of the role is told to end in good order (``common.worker.draining``), and is started anew under its
name, with its ports, when it has. The spare is drained last.

What does not become well within ``PATIENCE``, or ends ``HOPELESS_AFTER`` times in a row, ends the roll: what is left
goes on as it is. As the spare is tried before anything is told to end, what cannot begin costs nobody anything. What
does not end when its time to drain is over is killed: the others take over what it had. The supervisor itself stays
what it is until it is started anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from camshaft.plan import Program
from common.control import Role
from common.log import get_logger
from common.settings import variable_of

POLL = 0.1  # seconds
SETTLED = 1.0  # seconds from a process's second beat: it has found its broker and reported
PATIENCE = 60.0  # seconds until a process is well; as long as the pulse allows for the first beat
END_GRACE = 10.0  # seconds to end in after ``drain.timeout``: it says goodbye to a broker that may be busy
HOPELESS_AFTER = 4  # starts in vain: 1.4 s of pauses between them
_PORT, _TCP = variable_of("media", "port"), variable_of("media", "tcp")


class Fleet(Protocol):
    """The processes, as the supervisor runs them."""

    def begin(self, program: Program) -> None:
        """Run it from now on, and start it again whenever it ends."""

    def renew(self, name: str) -> None:
        """Tell it to end in good order, and start it again when it has."""

    def stand_by(self, name: str) -> str:
        """Start a successor beside it, if it can have one. The name by which that is called until then."""

    def stands_by(self, name: str) -> bool | None:
        """Whether its successor is ready; ``None`` if there is none, or it has ended."""

    def leave(self, name: str) -> None:
        """Tell it to end in good order, and start it no more."""

    def kill(self, name: str) -> None:
        """End it at once."""

    def process(self, name: str) -> int | None:
        """The number of its process, if it runs and listens to signals."""

    def failures(self, name: str) -> int:
        """How often in a row it has ended since it was well last."""


class StuckError(Exception):
    """A process did not become well; carries its name."""


def spare(last: Program) -> Program:
    """One more worker beside those of a role, of which this is the ``last``; it takes the ports that come next."""
    assert last.role is not None, "it is a worker"
    name = f"{last.role.value}-spare"
    ports = {
        variable: str(int(port) + 1)
        for variable in (_PORT, _TCP)
        if (port := last.environ.get(variable, "")).isdigit() and int(port)
    }
    arguments = tuple(name if argument == last.name else argument for argument in last.arguments)
    return replace(last, name=name, arguments=arguments, environ={**last.environ, **ports}, cpu=None)


async def roll(plan: Sequence[Program], fleet: Fleet, *, drain: float) -> bool:
    """Replace every process of ``plan`` but the simulated camera. Whether all were.

    ``drain`` is how many seconds each may take to hand over.
    """
    log = get_logger()
    try:
        for role in Role:
            workers = [program for program in plan if program.role is role]
            if role is Role.EGRESS:
                workers = [program for program in workers if not await _succeeded(program.name, fleet, drain)]
            if workers:
                await _replace(workers, fleet, drain)
        for program in plan:
            if program.name == "broker":
                await _renew(program.name, fleet, drain)
    except StuckError as exc:
        log.warning("upgrade stopped: a process did not become ready; its own log lines say why", program=str(exc))
        return False
    return True


async def _replace(workers: Sequence[Program], fleet: Fleet, drain: float) -> None:
    extra = spare(workers[-1])
    fleet.begin(extra)
    try:
        await _well(extra.name, fleet)
        for program in workers:
            await _renew(program.name, fleet, drain)
    finally:
        last = fleet.process(extra.name)
        fleet.leave(extra.name)
    await _ended(extra.name, last, fleet, drain)


async def _succeeded(name: str, fleet: Fleet, drain: float) -> bool:
    """Replace it by a successor that takes what it has. ``False`` if that does not get ready, and it goes on."""
    heir = fleet.stand_by(name)
    deadline = _now() + PATIENCE
    while (ready := fleet.stands_by(name)) is False and _now() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(POLL)
    if not ready:
        fleet.kill(heir)
        return False
    await _renew(name, fleet, drain)
    return True


async def _renew(name: str, fleet: Fleet, drain: float) -> None:
    before = await _listening(name, fleet, fleet.failures(name))
    fleet.renew(name)
    await _ended(name, before, fleet, drain)
    await _well(name, fleet)
    get_logger().info("process replaced", program=name)


async def _ended(name: str, pid: int | None, fleet: Fleet, drain: float) -> None:
    """Wait until that process is no more. Raises ``StuckError``."""
    deadline = _now() + drain + END_GRACE
    killed = False
    while pid is not None and fleet.process(name) == pid:
        if _now() > deadline and killed:
            raise StuckError(name)
        if _now() > deadline:
            get_logger().warning("process does not end; killing it", program=name, after=drain + END_GRACE)
            fleet.kill(name)
            killed, deadline = True, _now() + PATIENCE
        await asyncio.sleep(POLL)


async def _well(name: str, fleet: Fleet) -> None:
    """Wait until it has been there for a while. Raises ``StuckError``."""
    deadline, failed = _now() + PATIENCE, fleet.failures(name)
    while True:
        pid = await _listening(name, fleet, failed)
        await asyncio.sleep(SETTLED)
        if fleet.process(name) == pid:
            return
        if _now() > deadline:  # it dies again and again
            raise StuckError(name)


async def _listening(name: str, fleet: Fleet, failed: int = 0) -> int:
    """The number of its process as soon as there is one. It had ``failed`` so often before. Raises ``StuckError``."""
    deadline = _now() + PATIENCE
    while True:
        if (pid := fleet.process(name)) is not None:
            return pid
        if _now() > deadline or fleet.failures(name) - failed >= HOPELESS_AFTER:
            raise StuckError(name)
        await asyncio.sleep(POLL)


def _now() -> float:
    return asyncio.get_running_loop().time()
