"""A viewer's TCP connection to a server's passive candidate (RFC 6544), with frames as RFC 4571 has them."""

from __future__ import annotations

import socket
import struct

SIZE = 1 << 18  # bytes read at once

_length = struct.Struct("!H")


class Connection:
    """A connected socket. ``address`` is the server's."""

    def __init__(self, sock: socket.socket, address: tuple[str, int]) -> None:
        self.address = address
        self._socket = sock
        self._rest = b""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, datagram: bytes) -> None:
        """Send one frame. Raises ``OSError``; a viewer says so little that its buffer never fills."""
        self._socket.sendall(_length.pack(len(datagram)) + datagram)

    def read(self) -> list[bytes] | None:
        """The frames that are whole; ``None`` if the server has closed."""
        try:
            data = self._socket.recv(SIZE)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        data, frames, at = self._rest + data, [], 0
        while at + 2 <= len(data) and at + 2 + (size := _length.unpack_from(data, at)[0]) <= len(data):
            frames.append(data[at + 2 : at + 2 + size])
            at += 2 + size
        self._rest = data[at:]
        return frames
