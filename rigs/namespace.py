"""Two hosts on one machine: network namespaces, joined by a link whose quality is ours.

The link is two TUN devices with ``link.py`` between them, so it needs root and ``ip`` but no netem (many kernels have
none), and its losses are the same in every run. Nothing outside the namespaces is touched: no address, no route.

A test enters the server's namespace for as long as it lasts; whatever it starts, starts there. The viewer's side is
entered with ``Namespace.command`` (a process) or ``Namespace.wrapper`` (an executable, for Playwright).
"""

from __future__ import annotations

import ctypes
import fcntl
import itertools
import json
import os
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path as FilePath

from rigs.path import Path

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # linux/if_tun.h
CLONE_NEWNET = 0x40000000  # linux/sched.h
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


@cache
def missing() -> str:
    """Why there can be no namespaces here; empty if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "ip is missing: apt install iproute2"
    if not FilePath("/dev/net/tun").exists():
        return "/dev/net/tun is missing"
    probe = f"camshaft-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        return "ip netns add is not allowed here"
    usable = not subprocess.run(
        ["ip", "-n", probe, "link", "set", "lo", "up"], capture_output=True, check=False
    ).returncode
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return "" if usable else "ip netns works, but nothing can be run in a namespace: mounts are not allowed here"


@dataclass(frozen=True, slots=True)
class Namespace:
    """A host. ``address`` and ``address6`` are its end of the link."""

    name: str
    address: str
    address6: str

    def command(self, *args: str) -> list[str]:
        """The command line that runs ``args`` on this host."""
        return ["ip", "netns", "exec", self.name, *args]

    def wrapper(self, executable: str, directory: FilePath) -> str:
        """Path of a script in ``directory`` that runs ``executable`` on this host."""
        script = directory / f"{self.name}-{FilePath(executable).name}"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(self.command(executable))} "$@"\n')
        script.chmod(0o700)
        return str(script)

    def move(self, address: str, address6: str, *others: Namespace) -> Namespace:
        """Change to another network: other addresses, by which the ``others`` reach it on the same link."""
        for family in ("-4", "-6"):
            _ip("-n", self.name, family, "addr", "flush", "dev", "wire", "scope", "global")
        _ip("-n", self.name, "addr", "add", f"{address}/32", "dev", "wire")
        _ip("-n", self.name, "addr", "add", f"{address6}/128", "dev", "wire", "nodad")
        for other in others:
            for own, theirs in ((address, other.address), (address6, other.address6)):
                _ip("-n", other.name, "route", "replace", own, "dev", "wire")
                _ip("-n", self.name, "route", "replace", theirs, "dev", "wire", "src", own)
        return Namespace(self.name, address, address6)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread here: sockets that it opens and processes and threads that it starts belong here."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                _set_namespace(there)
            finally:
                os.close(there)
            try:
                yield
            finally:
                _set_namespace(home)
        finally:
            os.close(home)


class Link:
    """The wire between two hosts, as a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def change(self, *, down: Path | None = None, up: Path | None = None) -> None:
        """Give a direction another quality from now on; ``down`` leads from the server to the viewer."""
        for name, path in (("down", down), ("up", up)):
            if path is not None:
                self._ask({name: _fields(path)})

    def counts(self) -> dict[str, dict[str, int]]:
        """Packets of each direction by what became of them: passed, lost, queue_full, reordered, dropped, rejected."""
        counts: dict[str, dict[str, int]] = self._ask({})
        return counts

    def _ask(self, request: dict[str, object]) -> dict[str, dict[str, int]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, dict[str, int]] = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def two_hosts(down: Path | None = None, up: Path | None = None) -> Iterator[tuple[Namespace, Namespace, Link]]:
    """A server's host, a viewer's host, and the link between them; all gone at the end."""
    number = next(_numbers)
    with ExitStack() as stack:
        hosts = [
            stack.enter_context(_namespace(f"camshaft-{os.getpid()}-{number}-{side}", f"10.77.0.{end}", f"fd77::{end}"))
            for side, end in (("server", 1), ("viewer", 2))
        ]
        devices = [stack.enter_context(_tun(host)) for host in hosts]
        arguments = [*map(str, devices), json.dumps({"down": _fields(down or Path()), "up": _fields(up or Path())})]
        process = subprocess.Popen(
            [sys.executable, str(FilePath(__file__).with_name("link.py")), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=devices,
            env={**os.environ, "PYTHONPATH": str(FilePath(__file__).parents[1])},
        )
        try:
            yield hosts[0], hosts[1], Link(process)
        finally:
            process.communicate()  # its standard input ends, and so does it


def _fields(path: Path) -> dict[str, object]:
    return {name: value for name, value in asdict(path).items() if name != "counts" and not name.startswith("_")}


@contextmanager
def _namespace(name: str, address: str, address6: str) -> Iterator[Namespace]:
    _ip("netns", "add", name)
    try:
        _ip("-n", name, "link", "set", "lo", "up")
        yield Namespace(name, address, address6)
    finally:
        _ip("netns", "del", name)


@contextmanager
def _tun(host: Namespace) -> Iterator[int]:
    """A TUN device on ``host`` with its addresses; yields the descriptor that its packets come from."""
    with host.entered():  # the device is created where the opener is
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"wire", IFF_TUN | IFF_NO_PI))
        _ip("-n", host.name, "addr", "add", f"{host.address}/30", "dev", "wire")
        _ip("-n", host.name, "addr", "add", f"{host.address6}/64", "dev", "wire", "nodad")
        _ip("-n", host.name, "link", "set", "wire", "up")
        yield fd
    finally:
        os.close(fd)


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


def _set_namespace(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):  # os.setns is there from Python 3.12 on
        raise OSError(ctypes.get_errno(), "setns")
