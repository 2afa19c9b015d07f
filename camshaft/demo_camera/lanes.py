"""How one track reaches one session: interleaved in its RTSP connection, or by UDP. Neither blocks nor raises."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from camshaft.demo_camera.broadcast import Part
from ingest.rtsp.transport import Pair

MAX_BACKLOG = 2 << 20  # bytes in a connection that is not being read: some seconds, then whole pictures are left out
SEND_BUFFER = 4 << 20  # bytes: a keyframe to a hundred sessions at once
_ATTEMPTS = 50  # to find two free ports side by side


class TrackLane(Protocol):
    """One track of one session."""

    def media(self, part: Part) -> None:
        """Send RTP."""

    def report(self, packet: bytes) -> None:
        """Send RTCP."""


class TcpLane:
    """Interleaved frames (RFC 2326 10.12)."""

    def __init__(self, transport: asyncio.Transport, channels: Pair) -> None:
        self._transport = transport
        self._channels = channels
        self._skipping = False

    def media(self, part: Part) -> None:
        """Write, or leave out everything up to the next fresh start if the peer does not read."""
        if self._transport.get_write_buffer_size() > MAX_BACKLOG:
            self._skipping = True
        elif part.fresh:
            self._skipping = False
        if not self._skipping:
            self._transport.write(part.interleaved(self._channels[0]))

    def report(self, packet: bytes) -> None:
        """Write."""
        if not self._skipping:
            self._transport.write(Part([packet], fresh=False).interleaved(self._channels[1]))


class UdpLane:
    """Datagrams from the server's pair of ports to the client's."""

    def __init__(self, ports: PortPair, host: str, client: Pair) -> None:
        self._ports = ports
        self._rtp, self._rtcp = (host, client[0]), (host, client[1])

    def media(self, part: Part) -> None:
        """Send; what the kernel does not take at once is lost."""
        send, address = self._ports.rtp.sendto, self._rtp
        with suppress(OSError):
            for packet in part.packets:
                send(packet, address)

    def report(self, packet: bytes) -> None:
        """Send."""
        with suppress(OSError):
            self._ports.rtcp.sendto(packet, self._rtcp)


class PortPair:
    """An even port for RTP and the next one for RTCP (RFC 3550 11), shared by all sessions.

    ``on_rtcp`` is told where a report came from: the session there is alive.
    """

    def __init__(self, host: str, family: socket.AddressFamily, on_rtcp: Callable[[str], None]) -> None:
        self.rtp, self.rtcp = bind_pair(host, family)
        self._on_rtcp = on_rtcp
        self._loop = asyncio.get_running_loop()
        for one in (self.rtp, self.rtcp):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            self._loop.add_reader(one, self._read, one)

    @property
    def numbers(self) -> Pair:
        """The two port numbers."""
        return self.rtp.getsockname()[1], self.rtcp.getsockname()[1]

    def close(self) -> None:
        """Close both."""
        for one in (self.rtp, self.rtcp):
            self._loop.remove_reader(one)
            one.close()

    def _read(self, which: socket.socket) -> None:
        with suppress(OSError):  # nothing left, or an ICMP error for a client that is gone
            while True:
                _, address = which.recvfrom(2048)
                if which is self.rtcp:
                    self._on_rtcp(address[0])


def bind_pair(host: str, family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """Two sockets that do not block, on an even port and the next one. Raises ``OSError`` if no such two are free."""
    for _ in range(_ATTEMPTS):
        rtp = socket.socket(family, socket.SOCK_DGRAM)
        rtcp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            rtp.bind((host, 0))
            port = rtp.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind((host, port + 1))
                rtp.setblocking(False)
                rtcp.setblocking(False)
                return rtp, rtcp
        except OSError:  # the next port is taken
            pass
        rtp.close()
        rtcp.close()
    raise OSError(f"no two free UDP ports side by side after {_ATTEMPTS} attempts")
