"""Starts one process of ``serve``: a fork of the nursery, or a program."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence

from camshaft.nursery import Child, Nursery, NurseryGoneError
from camshaft.plan import Program
from common import systemd
from common.log import get_logger


class Starter:
    """Starts programs by their arguments, behind those of ``command``; ``nursery`` forks them, as long as it is there.

    ``inherited`` are descriptors for all of them, by the variables that name them.
    """

    def __init__(self, command: Sequence[str], inherited: Mapping[str, int], nursery: Nursery | None) -> None:
        self._command = command
        self._inherited = inherited
        self._nursery = nursery

    async def start(self, program: Program, descriptors: Mapping[str, int]) -> Process | Child:
        """Start it, with these descriptors of its own. Raises ``OSError``."""
        environ = {name: value for name, value in program.environ.items() if name not in systemd.VARIABLES}
        passed = {**self._inherited, **descriptors}
        if self._nursery is not None:
            try:
                return self._nursery.start(program.arguments, environ, passed)
            except NurseryGoneError:
                get_logger().warning("the nursery is gone: processes share no memory any more")
                self.leave_nursery()
        return await asyncio.create_subprocess_exec(
            *self._command,
            *program.arguments,
            env={**environ, **{name: str(fd) for name, fd in passed.items()}},
            stdin=DEVNULL,
            pass_fds=tuple(passed.values()),
            start_new_session=True,
        )

    def leave_nursery(self) -> None:
        """From now on start programs."""
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None
