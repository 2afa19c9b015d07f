"""The ports of an egress process: UDP, and TCP for viewers that no UDP reaches. What both have in common is here."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence

from common.config import MediaConfig
from common.errors import ProtocolError
from egress.wire.ice import Address, Path, TcpAddress
from egress.wire.port import MediaPort
from egress.wire.tcp_port import Paused, Receiver, TcpPort
from egress.wire.way import Way

Endpoints = tuple[tuple[str, int], ...]
"""Addresses and ports, most preferred first."""


class Ports:
    """Both on the running event loop."""

    def __init__(
        self, media: MediaConfig, inherited: tuple[Sequence[socket.socket], Sequence[socket.socket]] = ((), ())
    ) -> None:
        """Bind, unless sockets of UDP and such as listen for TCP are ``inherited``.

        Raises ``AddressInUseError`` or ``ConfigError``.
        """
        udp, listening = inherited
        self.paused: list[Paused] = []  # viewers' connections, once nothing is read of them
        self.udp = MediaPort(media.listen, media.port, udp)
        self.tcp: TcpPort | None = None
        try:
            if (number := media.tcp_port) is not None and (listening or not udp):
                self.tcp = TcpPort(media.listen, number, listening)
        except BaseException:
            self.close()
            raise

    def start(self, receiver: Receiver) -> None:
        """Read from now on."""
        self.udp.start(receiver.receive)
        if self.tcp is not None:
            self.tcp.start(receiver)

    def way(self, path: Path) -> Way | None:
        """The way to the other end of ``path``; ``None`` if there is no socket for it, or that connection."""
        if isinstance(path.remote, TcpAddress):
            return self.tcp.connection(path.remote) if self.tcp is not None else None
        family = socket.AF_INET if len(path.remote) == 2 else socket.AF_INET6
        return next((each.way(path) for each in self.udp.sockets if each.family == family), None)

    def adopt(self, sock: socket.socket, remote: TcpAddress, read: bytes, unsent: bytes, now: float) -> None:
        """See ``TcpPort.adopt``. Raises ``ProtocolError`` where there is no such port."""
        if self.tcp is None:
            raise ProtocolError("a connection, and no port of TCP")
        self.tcp.adopt(sock, remote, read, unsent, now)

    def pause(self) -> None:
        """Read and accept nothing more until it is started again."""
        self.udp.pause()
        self.paused = self.tcp.pause() if self.tcp is not None else []

    def hang_up(self, address: Address) -> None:
        """Close the connection of an address that is no viewer's any more, if it is that of one."""
        if self.tcp is not None:
            self.tcp.hang_up(address)

    def sweep(self, now: float) -> None:
        """Close connections that have said nothing for too long; to be called some times a second."""
        if self.tcp is not None:
            self.tcp.sweep(now)

    def close(self) -> None:
        """Stop reading and close."""
        self.udp.close()
        if self.tcp is not None:
            self.tcp.close()

    def udp_endpoints(self, addresses: tuple[str, ...]) -> Endpoints:
        """Where these addresses of ours are reached by UDP."""
        return tuple((address, self.udp.number) for address in addresses)

    def tcp_endpoints(self, addresses: tuple[str, ...]) -> Endpoints:
        """Where they are reached by TCP."""
        return tuple((address, self.tcp.number) for address in addresses) if self.tcp is not None else ()

    def offered(self, addresses: tuple[str, ...]) -> list[str]:
        """Both as people write them."""
        by_udp, by_tcp = self.udp_endpoints(addresses), self.tcp_endpoints(addresses)
        return [*map(_written, by_udp), *(f"{_written(endpoint)} tcp" for endpoint in by_tcp)]

    @property
    def dropped(self) -> int:
        """Datagrams that came and found a socket full."""
        return sum(media_socket.dropped for media_socket in self.udp.sockets)

    def count(self, counters: Counter[str]) -> None:
        """Add what was refused and dropped, and how many connections there are."""
        for media_socket in self.udp.sockets:
            counters["udp_blocked"] += media_socket.blocked
            counters["udp_failed"] += media_socket.failed
            counters["udp_dropped"] += media_socket.dropped
        if self.tcp is not None:
            counters.update(self.tcp.counters)
            counters["tcp_connections"] += self.tcp.connections


def _written(endpoint: tuple[str, int]) -> str:
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
