"""The whole product as people start it: ``python -m camshaft serve`` in a process of its own, or a fork that is alike.

Every port is a free one and every file lies in a directory of the test's. Its processes are found by what their command
line says they are, so that a test can kill one by role; all of them are gone when the context ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import psutil
import yaml

from common.address import is_loopback
from rigs import demo_clip
from rigs.process import ROOT, free_port

if TYPE_CHECKING:
    from rigs.cradle import Begun

    Begin = Callable[[Sequence[str], Path, Mapping[str, str], int], Begun]

READY_TIMEOUT = 60.0  # seconds from the start until /readyz says yes, on a machine that has much else to do
STOP_TIMEOUT = 8.0  # seconds from SIGTERM to the end of the last process
ROLES = ("nursery", "relay", "broker", "ingest", "egress", "transcode", "demo-camera")


class NotReadyError(Exception):
    """The cluster did not come up; carries the end of its log."""


@dataclass
class Cluster:
    """An async context manager: inside it the cluster is ready for viewers.

    ``config`` is laid over the configuration made here, section by section; it is what ``camshaft.yaml`` may hold.
    """

    directory: Path
    cameras: Mapping[str, str | Mapping[str, Any]] = field(default_factory=dict)  # name: URL or the camera's settings
    ingest: int = 1  # processes
    egress: int | None = 1  # ``None``: as many as are needed
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    host: str = "127.0.0.1"  # that HTTP listens on
    arguments: tuple[str, ...] = ()  # more options of ``serve``
    checkout: Path = ROOT  # whose code runs
    transcode: int | None = 1  # processes; ``None``: one as soon as it is needed
    begin: Begin | None = None  # ``rigs.cradle.begin``, where it is not the start that counts; ``None``: a program
    port: int = field(default=0, init=False)
    _process: subprocess.Popen[bytes] | Begun | None = field(default=None, init=False, repr=False)
    _sockets: tempfile.TemporaryDirectory[str] | None = field(default=None, init=False, repr=False)

    async def __aenter__(self) -> Self:
        self._sockets = tempfile.TemporaryDirectory(prefix="camshaft-")  # a Unix socket's path must be short
        self.port = free_port(self.host)
        self.start()
        try:
            await self.ready()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._end()

    @property
    def url(self) -> str:
        """The front door, without a slash at its end."""
        return f"{'https' if 'tls_cert' in self.config.get('http', {}) else 'http'}://{self._listen}"

    @property
    def _listen(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def whep(self, camera: str) -> str:
        """Where a viewer of the camera posts its offer."""
        return f"{self.url}/whep/{camera}"

    async def get(self, path: str) -> Any:
        """The API's answer, as JSON, to a GET of ``/api/`` and that path."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/api/{path}", ssl=False) as response:
            return await response.json()

    @property
    def websocket(self) -> str:
        """The address of WebSocket signalling."""
        return f"ws{self.url.removeprefix('http')}/ws"

    @property
    def log(self) -> str:
        """Everything that the cluster has written."""
        return (self.directory / "camshaft.log").read_text(errors="replace")

    @property
    def bus(self) -> str:
        """The broker's address, for a worker that is started beside it."""
        assert self._sockets is not None
        return f"ipc://{self._sockets.name}"

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        assert self._process is not None
        return self._process.pid

    def pids(self) -> dict[str, list[int]]:
        """Running processes by role: ``supervisor``, ``broker``, ``ingest``, ``egress``, ``demo-camera``."""
        found: dict[str, list[int]] = {"supervisor": [self.pid]}
        for child in psutil.Process(self.pid).children(recursive=True):
            try:
                role = next((word for word in child.cmdline() if word in ROLES), None)
            except psutil.Error:  # it ended just now
                continue
            if role is not None:
                found.setdefault(role, []).append(child.pid)
        return found

    def kill(self, role: str, index: int = 0, number: int = signal.SIGKILL) -> int:
        """Kill a process of this role; returns which it was."""
        pid = self.pids()[role][index]
        os.kill(pid, number)
        return pid

    def start(self) -> None:
        """Start the supervisor; for a test that has ended it and goes on with the same files and ports."""
        self.write()
        arguments = ["serve", "--config", "camshaft.yaml", *self.arguments]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CAMSHAFT_")}
        environ |= {"PYTHONPATH": str(self.checkout), "XDG_CACHE_HOME": str(demo_clip.cache_for(self.arguments))}
        with (self.directory / "camshaft.log").open("ab") as log:
            if self.begin is not None and self.checkout == ROOT:
                self._process = self.begin(arguments, self.directory, environ, log.fileno())
                return
            command = [sys.executable, "-m", "camshaft", *arguments]
            self._process = subprocess.Popen(
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ
            )

    def write(self) -> None:
        """Write the configuration, which a running cluster reads again by itself."""
        assert self._sockets is not None
        document: dict[str, Any] = {
            "http": {"listen": self._listen},
            **({} if is_loopback(self.host) else {"auth": {"mode": "none"}}),  # in a namespace of its own
            "media": {"port": 0},
            "broker": {"address": self.bus},
            "ingest": {"workers": self.ingest},
            "egress": {} if self.egress is None else {"workers": self.egress},
            "transcode": {} if self.transcode is None else {"workers": self.transcode},
            "store": {"path": str(self.directory / "camshaft.db")},
            "log": {"format": "json"},
        }
        for section, values in self.config.items():
            document[section] = {**document.get(section, {}), **values}
        document["cameras"] = {name: {"url": c} if isinstance(c, str) else {**c} for name, c in self.cameras.items()}
        (self.directory / "camshaft.yaml").write_text(yaml.safe_dump(document))

    async def ready(self, *, seconds: float = READY_TIMEOUT) -> None:
        """Wait until ``/readyz`` says yes. Raises ``NotReadyError``."""
        assert self._process is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        answer = "nothing"
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
            while loop.time() < deadline and self._process.poll() is None:
                try:
                    async with http.get(f"{self.url}/readyz", ssl=False) as response:
                        if response.status == 200:
                            return
                        answer = f"{response.status} {await response.text()}"
                except (aiohttp.ClientError, TimeoutError) as exc:
                    answer = repr(exc)
                await asyncio.sleep(0.05)
        raise NotReadyError(f"/readyz: {answer}; the log ends with:\n{self.log[-3000:]}")

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """End the supervisor with a signal and wait for it; returns its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        return await asyncio.to_thread(self._process.wait, STOP_TIMEOUT)

    async def _end(self) -> None:
        assert self._process is not None
        assert self._sockets is not None
        try:
            left = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.Error:
            left = []
        try:
            await self.stop()
        finally:
            for process in left:  # none, unless the supervisor failed at its job
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._process.kill()
            self._process.wait()
            self._sockets.cleanup()
