"""The directory where processes of ``serve`` meet their successors, and what they tell of it.

It is private to our user, lies where the system keeps such things, and is removed at the end. It holds a socket for
each egress that runs, and ours. One whose supervisor was killed is removed by the next.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import stat
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from camshaft.children import Children
from camshaft.plan import Program
from common.control import Role
from common.log import get_logger
from common.succession import MAX_WORD, SUCCESSION, SUPERVISOR, Reply, Word

_LINUX: Final = sys.platform == "linux"  # elsewhere sockets of whole messages do not pass others
PREFIX = "camshaft-"  # of the directory's name
READ_LIMIT = 16  # words before other work of the loop gets its turn
MAX_IN_VAIN = 3  # successors in a row that ended before they were ready: what is installed, or configured, has no other


class Successions:
    """The processes that stand by for ``programs``.

    ``start`` starts one under another name, unless that is of no use any more. Where no directory can be made, nobody
    has a place.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        children: Children,
        start: Callable[[Program, str], asyncio.Task[int] | None],
    ) -> None:
        self._programs, self._children = programs, children
        self._start = start
        self._heirs: dict[str, asyncio.Task[int]] = {}  # that stand by, by the name that they will have
        self._ready: set[str] = set()
        self._in_vain: Counter[str] = Counter()  # that were started since one was ready, by the same name
        self._directory: Path | None = None
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Make the directory, and hear."""
        if not _LINUX:
            return
        try:
            parent = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
            if parent.is_dir() and not os.access(parent, os.W_OK | os.X_OK):  # of whom su has made another user
                parent = Path(tempfile.gettempdir())
            _tidy(parent)
            self._directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))  # mode 0700
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            self._socket.bind(str(self._directory / SUPERVISOR))
            (self._directory / SUPERVISOR).chmod(0o600)
        except OSError as exc:
            get_logger().warning("egress processes have no successors here", reason=exc.strerror)
            self.close()
        else:
            asyncio.get_running_loop().add_reader(self._socket, self._readable, self._socket)

    def close(self) -> None:
        """Remove it."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    @property
    def heirs(self) -> Iterable[asyncio.Task[int]]:
        """The processes that stand by, or did."""
        return self._heirs.values()

    def with_heirs(self, names: Iterable[str]) -> list[str]:
        """The processes of these names, and those that stand by for them."""
        return [
            each for name in names for each in (name, heir_of(name)) if each == name or each in self._children.names
        ]

    def stand_by(self, name: str) -> str:
        """See ``camshaft.rolling.Fleet``: only of an egress that runs, and where it has none."""
        program = next((each for each in self._programs if each.name == name and each.role is Role.EGRESS), None)
        if program is None or self._directory is None or name not in self._children.names:
            return heir_of(name)
        if self.stands_by(name) is None and (heir := self._start(program, heir_of(name))) is not None:
            self._ready.discard(name)
            self._in_vain[name] += 1
            self._heirs[name] = heir
        return heir_of(name)

    def stands_by(self, name: str) -> bool | None:
        """Whether a program's successor is ready; ``None`` if there is none, or it has ended."""
        heir = self._heirs.get(name)
        return None if heir is None or heir.done() else name in self._ready

    async def succeed(self, name: str) -> int | None:
        """The program has ended: let its successor have its name, and wait for its end. ``None`` if there is none."""
        heir = self._heirs.get(name)
        if heir is not None and not heir.done():
            await _first(heir, self._children.begun(heir_of(name)))
        self._heirs.pop(name, None)
        self._in_vain.pop(name, None)
        if heir is None or heir.done():  # what it ended of is its own: the program has not been tried
            return None
        self._children.rename(heir_of(name), name)
        return await heir

    def placed(self, program: Program) -> Program:
        """The program, with its place if it has one."""
        if self._directory is None or program.role is not Role.EGRESS or program not in self._programs:
            return program
        return replace(program, environ={**program.environ, SUCCESSION: str(self._directory / program.name)})

    def _is_ready(self, name: str) -> None:
        if name in self._heirs:
            self._ready.add(name)
            self._in_vain.pop(name, None)

    def _wanted(self, name: str) -> Reply:
        """Have one stand by, unless the last ones could not."""
        if self.stands_by(name) is None and self._in_vain[name] < MAX_IN_VAIN:
            self.stand_by(name)
        return Reply.NONE if self.stands_by(name) is None else Reply.COMING

    def _readable(self, sock: socket.socket) -> None:
        for _ in range(READ_LIMIT):
            try:
                data, caller = sock.recvfrom(MAX_WORD)
            except OSError:
                return
            word, _, name = data.decode(errors="replace").partition(" ")
            if word == Word.READY:
                self._is_ready(name)
            elif word == Word.WANTED:
                reply = self._wanted(name)
                with suppress(OSError, TypeError):  # who has gone, or has no name, hears nothing
                    sock.sendto(reply.encode(), caller)


def heir_of(name: str) -> str:
    """The name of a program's successor, until it has the program's."""
    return f"{name}+"


async def _first(task: asyncio.Task[int], other: Coroutine[None, None, None]) -> None:
    """Wait for one of them; the task is let be."""
    waiting = asyncio.ensure_future(other)
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


def _tidy(parent: Path) -> None:
    """Remove the directories of supervisors that were killed."""
    for each in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if _is_left(each):
                shutil.rmtree(each, ignore_errors=True)


def _is_left(directory: Path) -> bool:
    """Whether it is one of ours, and its supervisor is gone. Raises ``OSError`` where that cannot be seen."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(directory / SUPERVISOR))
        except ConnectionRefusedError:  # the socket is there, and nobody has it
            return True
    return False
