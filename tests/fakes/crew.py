"""Processes of ``serve`` that are only played, at random: they begin, beat, hang, die, hand over, and end when told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from camshaft.plan import Program
from common.control import Role
from common.demand import DEMAND_FD, Demand, Teller
from common.pulse import PULSE_FD
from common.succession import SUCCESSION, Word, tell

BEAT = 1.0  # seconds
PATIENCE = 10.0  # seconds that an egress waits for a successor that it has asked for


class Sailor:
    """One process. It is a successor if another of its program was at work when it began."""

    def __init__(self, crew: Crew, program: Program, pulse: int, demand: int | None) -> None:
        self.program = program
        self.pid = next(crew.pids)
        self.code: int | None = None
        self.hangs = False
        self.ready = False  # as a successor
        self._crew, self._chance, self._pulse, self._teller = crew, crew.chance, pulse, Teller(demand)
        self._pipes = [pipe for pipe in (pulse, demand) if pipe is not None]
        self._over = asyncio.Event()
        self._told = asyncio.Event()
        others = [each for each in crew.working(program.name) if not each.ready]
        self._before = others[0] if others else None
        self._work = asyncio.ensure_future(self._be())

    async def wait(self) -> int:
        """See ``camshaft.nursery.Child``."""
        await self._over.wait()
        assert self.code is not None
        return self.code

    def send_signal(self, number: int) -> None:
        """Raises ``ProcessLookupError`` if it has ended."""
        if self.code is not None:
            raise ProcessLookupError
        if number == signal.SIGKILL:
            self.end(-signal.SIGKILL)
        elif number == signal.SIGTERM:
            self._told.set()

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def end(self, code: int) -> None:
        """Be no more; twice is fine."""
        if self.code is None:
            self.code = code
            self._over.set()
            for pipe in self._pipes:
                os.close(pipe)
            self._work.cancel()

    async def _be(self) -> None:
        beating = asyncio.ensure_future(self._beat())
        try:
            await asyncio.sleep(self._chance.uniform(0.0, 1.0))  # it imports, and joins
            if self._before is not None:
                await self._follow(self._before)
            await self._told.wait()
            while self.hangs:  # noqa: ASYNC110 - until it is killed
                await asyncio.sleep(BEAT)
            await self._leave()
            self.end(0)
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            if not self.hangs:
                os.write(self._pulse, b".")
                self._teller.tell(self._crew.demand())

    async def _follow(self, before: Sailor) -> None:
        """Be the successor, and go on alone when the other is gone. Some never get ready, and end."""
        if self._chance.random() < 0.2:
            await asyncio.sleep(self._chance.uniform(0.0, 8.0))
            self.end(self._chance.choice((1, 3)))
        self.ready = True
        tell(self._place, Word.READY)
        over, told = (asyncio.ensure_future(each.wait()) for each in (before._over, self._told))
        try:
            await asyncio.wait((over, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            told.cancel()
        if before.code is None:  # not needed
            self.end(0)
        self.ready = False

    async def _leave(self) -> None:
        """Hand over, in the way of its role."""
        if self.program.role is not Role.EGRESS or SUCCESSION not in self.program.environ:
            await asyncio.sleep(self._chance.uniform(0.0, 3.0))
            return
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE
        while not any(each.ready for each in self._crew.working(self.program.name)) and loop.time() < until:
            tell(self._place, Word.WANTED)
            await asyncio.sleep(0.5)
        await asyncio.sleep(self._chance.uniform(0.0, 0.3))

    @property
    def _place(self) -> Path:
        return Path(self.program.environ[SUCCESSION])


class Crew:
    """In the place of ``camshaft.starter.Starter``."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.all: list[Sailor] = []
        self.pids = iter(range(100, 1 << 30))
        self.fails = 0.0  # chance that a process cannot be started
        self.demands: Sequence[Demand] = (Demand.SOME,)  # that they tell of, one or the other

    async def start(self, program: Program, passed: Mapping[str, int]) -> Sailor:
        """Start it. Raises ``OSError``."""
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.05)))
        if self.chance.random() < self.fails:
            raise OSError(12, "no memory")
        demand = os.dup(passed[DEMAND_FD]) if DEMAND_FD in passed else None
        made = Sailor(self, program, os.dup(passed[PULSE_FD]), demand)
        self.all.append(made)
        return made

    def demand(self) -> Demand:
        """How much one has to do just now."""
        return self.chance.choice(self.demands)

    def leave_nursery(self) -> None:
        """There is none."""

    def renew_nursery(self) -> None:
        """See ``Starter``."""

    def settle(self, *, anew: bool) -> None:
        """See ``Starter``."""

    async def keep_nursery(self) -> None:
        """See ``Starter``."""

    async def nursery_followed(self) -> None:
        """See ``Starter``."""

    def working(self, name: str = "") -> list[Sailor]:
        """Those that have not ended, of one program or of all."""
        return [each for each in self.all if each.code is None and name in ("", each.program.name)]

    def something_happens(self) -> None:
        """To one of them."""
        working = self.working()
        if not working:
            return
        victim = self.chance.choice(working)
        with suppress(ProcessLookupError):
            match self.chance.choice(("dies", "dies", "fails", "hangs", "drains")):
                case "dies":
                    victim.send_signal(signal.SIGKILL)
                case "fails":
                    victim.end(1)
                case "hangs":
                    victim.hangs = True
                case "drains":
                    victim.terminate()
