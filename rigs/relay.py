"""A UDP relay that loses, delays and reorders: a bad network for a viewer on the same machine, without root.

The viewer's SDP answer is rewritten so that the server's candidates are the relay's. STUN's integrity covers no
addresses, so ICE works through it as through a NAT; every viewer gets a socket of its own towards the server, which
therefore sees real, distinct source addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rigs.path import Path

Address = tuple[str, int]
RECEIVE_BUFFER = 4 << 20  # bytes: the relay itself must lose nothing
_CANDIDATE = re.compile(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host.*\r?\n", re.IGNORECASE | re.MULTILINE)


@dataclass
class Relay:
    """An async context manager. ``down`` is the way to the viewer, ``up`` the way to the server."""

    down: Path = field(default_factory=Path)
    up: Path = field(default_factory=Path)
    _loop: asyncio.AbstractEventLoop = field(init=False, repr=False)
    _listening: dict[Address, socket.socket] = field(default_factory=dict, init=False, repr=False)
    _viewers: dict[tuple[socket.socket, Address], socket.socket] = field(default_factory=dict, init=False, repr=False)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        for sock in (*self._listening.values(), *self._viewers.values()):
            self._loop.remove_reader(sock)
            sock.close()
        self._listening.clear()
        self._viewers.clear()

    def rewrite(self, answer: str) -> str:
        """The SDP answer with the relay in place of the server. Raises ``ValueError`` if it has no IPv4 candidate."""
        servers = [(host, int(port)) for host, port in _CANDIDATE.findall(answer) if ":" not in host]
        if not servers:
            raise ValueError("the answer has no IPv4 UDP host candidate")
        host, port = self._listener(servers[0]).getsockname()
        lines = iter([f"a=candidate:1 1 udp 2130706431 {host} {port} typ host\r\n"])
        return _CANDIDATE.sub(lambda _match: next(lines, ""), answer)

    def _listener(self, server: Address) -> socket.socket:
        if server not in self._listening:
            sock = self._listening[server] = self._socket()
            sock.bind(("127.0.0.1", 0))
            self._loop.add_reader(sock, self._from_viewers, sock, server)
        return self._listening[server]

    def _socket(self) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        return sock

    def _from_viewers(self, listener: socket.socket, server: Address) -> None:
        for data, viewer in _drain(listener):
            upstream = self._viewers.get((listener, viewer))
            if upstream is None:
                upstream = self._viewers[listener, viewer] = self._socket()
                upstream.connect(server)
                self._loop.add_reader(upstream, self._from_server, upstream, listener, viewer)
            self._pass(self.up, upstream, data, server)

    def _from_server(self, upstream: socket.socket, listener: socket.socket, viewer: Address) -> None:
        for data, _server in _drain(upstream):
            self._pass(self.down, listener, data, viewer)

    def _pass(self, path: Path, sock: socket.socket, data: bytes, to: Address) -> None:
        now = self._loop.time()
        at = path.carry(len(data), now)
        if at is None:
            return
        if at <= now:
            _send(sock, data, to)
        else:
            self._loop.call_at(at, _send, sock, data, to)


def _drain(sock: socket.socket) -> list[tuple[bytes, Address]]:
    received = []
    for _ in range(256):  # then the loop's other work gets its turn
        try:
            received.append(sock.recvfrom(65_535))
        except BlockingIOError:
            break
        except ConnectionError:  # the other side is gone: ICMP says so once for each packet
            continue
    return received


def _send(sock: socket.socket, data: bytes, to: Address) -> None:
    if sock.fileno() < 0:  # closed while the packet was under way
        return
    with contextlib.suppress(BlockingIOError, ConnectionError):  # a full buffer or a closed port
        sock.sendto(data, to)
