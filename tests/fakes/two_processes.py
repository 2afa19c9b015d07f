"""Two egress processes, one to succeed the other, and between them a third that passes words on when a test says so.

All three are forks of one that has imported everything, so to each other they are children of one supervisor.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from common import log, process
from common.config_file import load
from common.errors import ProtocolError
from common.succession import SUCCESSION
from egress import worker
from egress.succession import predecessor, telling
from egress.succession.channel import Channel, listen
from egress.succession.words import decode
from rigs.waiting import until
from tests.fakes.bus import FakeBroker
from tests.fakes.egress_worker import NODE

PATIENCE = 30.0  # seconds for a test

Word = tuple[str, str]
"""The speaker, ``first`` or ``second``, and the kind of its word; ``end`` where the channel ends."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.fakes.two_processes"])


def _egress(broker: str, path: str, file: str, patience: float) -> None:
    """Be an egress that waits so many seconds for the other."""
    sys.stderr = sys.stdout = Path(file).open("w", buffering=1)  # noqa: SIM115
    predecessor.PATIENCE = telling.PATIENCE = patience
    Channel.hear.__defaults__ = (patience,)
    log.configure("debug", "json", node=Path(file).stem)
    variables = {"BROKER_ADDRESS": broker, "MEDIA_PORT": "0", "MEDIA_LISTEN": "127.0.0.1", "DRAIN_TIMEOUT": "60"}
    config = load(None, environ={f"CAMSHAFT_{key}": value for key, value in variables.items()})
    os.environ[SUCCESSION] = path
    sys.exit(process.run(lambda stop: worker.run(config, NODE, stop)))


def _between(path: str, real: str, test: Connection) -> None:
    """Pass words on, one at a time."""
    listener = listen(Path(path))
    listener.setblocking(True)
    second, _ = listener.accept()
    first = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    first.connect(real)
    names, others = {first: "first", second: "second"}, {first: second, second: first}
    while True:
        for sock in select.select([first, second], [], [])[0]:
            try:
                data, descriptors, _, _ = socket.recv_fds(sock, 1 << 20, 16)
            except ConnectionResetError:
                continue
            try:
                word = type(decode(data)).__name__ if data else "end"
            except ProtocolError:
                word = "garbage"
            test.send((names[sock], word))
            test.recv()
            if not data:
                return
            with suppress(OSError):  # the other has just ended, which is the next that is read
                if _has_ended(sock):  # whoever answers is to find that out, as without us
                    others[sock].shutdown(socket.SHUT_RD)
                socket.send_fds(others[sock], [data], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _has_ended(sock: socket.socket) -> bool:
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


class Two:
    """Context manager. ``first`` and ``second`` are the processes; ``word`` is the one that waits to be passed on.

    The two wait ``patience`` seconds for each other.
    """

    def __init__(self, broker: FakeBroker, directory: Path, patience: float) -> None:
        self._broker, self._directory, self._patience = broker, directory, patience
        self._between, theirs = _CONTEXT.Pipe()
        path, real = directory / "meet", directory / "real"
        self._relay = self._start(_between, str(path), str(real), theirs)
        theirs.close()
        self.first = self._egress("first", real)
        self.second: BaseProcess | None = None
        self._path, self._real = path, real

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._relay, self.first, self.second):
            if each is not None:
                each.kill()
                each.join()
        self._between.close()

    def start_second(self, *, alone: bool = False) -> None:
        """Start the other; ``alone`` with the first, with nobody between them."""
        self.second = self._egress("second", self._real if alone else self._path)

    def signal(self, who: str, number: signal.Signals) -> None:
        found = self.first if who == "first" else self.second
        assert found is not None
        assert found.pid is not None
        with suppress(*[ProcessLookupError] if number == signal.SIGCONT else []):  # it may have ended since it stopped
            os.kill(found.pid, number)
        if number == signal.SIGKILL:
            found.join()

    def log(self, who: str) -> str:
        """All that one has said."""
        with suppress(FileNotFoundError):
            return (self._directory / f"{who}.log").read_text()
        return ""

    async def says(self, who: str, what: str) -> None:
        await until(lambda: what in self.log(who), PATIENCE)

    async def word(self, within: float = PATIENCE) -> Word | None:
        """The next word; it waits until it is passed on. ``None`` if none comes."""
        if not await asyncio.to_thread(self._between.poll, within):
            return None
        try:
            found: Word = self._between.recv()
        except EOFError:
            return None
        return found

    def pass_on(self) -> None:
        with suppress(OSError):
            self._between.send(None)

    async def until(self, wanted: Callable[[Word], bool]) -> None:
        """Pass words on until one is wanted, and that not."""
        while (word := await self.word()) is not None and not wanted(word):
            self.pass_on()
        assert word is not None, "it was never said"

    async def rest(self, within: float = PATIENCE) -> None:
        """Pass on whatever is still said, until it is over, or nothing is said within so many seconds."""
        self.pass_on()
        while (word := await self.word(within)) is not None:
            self.pass_on()
            if word[1] in ("end", "Go"):
                return

    def _egress(self, name: str, path: Path) -> BaseProcess:
        return self._start(
            _egress, self._broker.address, str(path), str(self._directory / f"{name}.log"), self._patience
        )

    def _start(self, main: Callable[..., None], *arguments: object) -> BaseProcess:
        made = _CONTEXT.Process(target=main, args=arguments)
        made.start()
        return made
