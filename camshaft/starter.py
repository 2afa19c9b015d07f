"""Starts one process of ``serve``: a fork of the nursery, or a program."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence

from camshaft.nursery import Child, Nursery, NurseryGoneError
from camshaft.plan import Program
from common import systemd
from common.log import get_logger

ANEW_WITHIN = 60.0  # seconds for a nursery to import everything: as long as the pulse allows for a first beat
AGAIN = 10.0  # seconds from one to the next at least: to import everything takes a core for some


class Starter:
    """Starts programs by their arguments, behind those of ``command``; ``nursery`` forks them, as long as it is there.

    ``inherited`` are descriptors for all of them, by the variables that name them; ``nursery_command`` starts another
    nursery, if one is to follow.
    """

    def __init__(
        self,
        command: Sequence[str],
        inherited: Mapping[str, int],
        nursery: Nursery | None,
        nursery_command: Sequence[str] = (),
    ) -> None:
        self._command = command
        self._inherited = inherited
        self._nursery = nursery
        self._nursery_command = nursery_command if nursery is not None else ()
        self._former: Nursery | None = None  # from before an upgrade, until that has come to something
        self._settled = asyncio.Event()  # a nursery is there, or could not begin
        self._changed = asyncio.Event()  # another is to be used than the one that is there
        self._left = 0  # times that what was there, or on its way, has been left

    async def start(self, program: Program, descriptors: Mapping[str, int]) -> Process | Child:
        """Start it, with these descriptors of its own. Raises ``OSError``."""
        environ = {name: value for name, value in program.environ.items() if name not in systemd.VARIABLES}
        passed = {**self._inherited, **descriptors}
        # Until the one that is new is there, or cannot be, what dies is not to wait for it.
        if (nursery := self._nursery or (None if self._settled.is_set() else self._former)) is not None:
            try:
                return nursery.start(program.arguments, environ, passed)
            except NurseryGoneError:
                get_logger().warning("the nursery is gone: processes no longer share memory")
                if nursery is self._former:
                    nursery.close()
                    self._former = None
                else:
                    self._drop()
        return await asyncio.create_subprocess_exec(
            *self._command,
            *program.arguments,
            env={**environ, **{name: str(fd) for name, fd in passed.items()}},
            stdin=DEVNULL,
            pass_fds=tuple(passed.values()),
            start_new_session=True,
        )

    def leave_nursery(self) -> None:
        """Start programs from now on, until another nursery follows, if one does: none that has begun already."""
        self._left += 1
        self._settled.clear()
        self._drop()
        if self._former is not None:
            self._former.close()
            self._former = None

    def renew_nursery(self) -> None:
        """Have a nursery of what is installed now follow the one that is there, which is kept: see ``settle``."""
        former, self._nursery = self._nursery, None
        self.leave_nursery()
        self._former = former
        if not self._nursery_command:  # none follows
            self._settled.set()

    def settle(self, *, anew: bool) -> None:
        """Go on ``anew``, or with the nursery from before ``renew_nursery``: what is installed now is of no use."""
        former, self._former = self._former, None
        if former is None:
            return
        if anew:
            former.close()
            return
        self._left += 1
        self._drop()
        self._nursery = former

    def _drop(self) -> None:
        """End the nursery that is there."""
        self._changed.set()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    async def keep_nursery(self) -> None:
        """Have one that is gone followed by another, until cancelled."""
        log, time, born = get_logger(), asyncio.get_running_loop().time, float("-inf")
        while self._nursery_command:
            try:
                if self._nursery is not None:
                    await self._until_over(self._nursery)
                    continue
            except OSError as exc:  # of descriptors or memory, which passes
                log.warning("nobody can see whether the nursery ends", reason=str(exc))
                await asyncio.sleep(AGAIN)
                continue
            left = self._left
            await asyncio.sleep(max(0.0, born + AGAIN - time()))
            if left != self._left:
                continue
            born = time()
            try:
                made = await Nursery.anew(self._nursery_command, ANEW_WITHIN)
                if left != self._left:  # meanwhile an upgrade wants one that is new, or the one before
                    made.close()
                    continue
                self._nursery = made
                log.info("another nursery forks processes")
            except (OSError, TimeoutError) as exc:
                log.warning("no nursery can start, so processes share no memory", reason=str(exc) or "it takes long")
            self._settled.set()

    async def _until_over(self, nursery: Nursery) -> None:
        """Wait until a nursery has ended, or is not the one to use any more."""
        self._changed.clear()
        waits = [asyncio.ensure_future(each) for each in (nursery.gone(), self._changed.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if waits[0].done():
                waits[0].result()
                if self._nursery is nursery:
                    self._drop()
        finally:
            for each in waits:
                each.cancel()

    async def nursery_followed(self) -> None:
        """Wait until another nursery is there, or could not begin; at once where none is to follow."""
        if self._nursery_command:
            await self._settled.wait()
