"""Sockets of all viewers under one epoll, and the loop that counts what they get.

The loop is the reason that one process can be a thousand viewers: no task, no callback and no wakeup a packet. Every
few milliseconds what has gathered at a socket, usually a frame, is read by one system call, and if it continues its
stream only the first and the last header are looked at. Arrival times are the kernel's (SO_TIMESTAMPNS), so reading
late falsifies nothing. On the loopback device the kernel takes them while the server is still sending: there they are
the server's times of departure. Viewers that are still connecting are read at once.

A viewer by TCP (``Options.tcp``) has a connection, whose frames are taken one by one (``rigs.load.tcp``).

With ``gro``, the receiving sockets take trains of packets as a server has sent them with UDP_SEGMENT (UDP_GRO). That is
cheapest for both sides, cheaper for the server than any real network, where somebody must cut the train; without it the
cutting, and the delivery of every packet to its socket, is charged to the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import time
from collections import deque

from rigs.load.delays import Delays
from rigs.load.dtls import Identity
from rigs.load.ice import IceAgent
from rigs.load.receive import SO_TIMESTAMPNS, UDP_GRO, Receiver
from rigs.load.sdp import Session
from rigs.load.tcp import Connection
from rigs.load.trains import Trains
from rigs.load.viewer import Options, Out, State, Viewer

RECEIVE_BUFFER = 4 << 20  # bytes: a keyframe must fit until its viewer is read
SO_RCVBUFFORCE = 33  # asm-generic/socket.h: beyond net.core.rmem_max, for root
TICK = 0.005  # seconds between two looks at connected viewers' sockets
SWEEP = 0.05  # seconds between two looks at what time alone brings about, however long a tick takes
SWEEPS_A_ROUND = 10  # after so many every connected viewer has been looked at
EVENTS = 512  # sockets handled before the event loop's other work gets its turn
CONNECT_TIMEOUT = 10.0  # seconds for a TCP connection
SAME_MOMENT_NS = 5_000_000  # packets read together are counted together if they came within so many ns


class ConnectError(Exception):
    """A viewer could not be connected; says why."""


class Engine:
    """All viewers of this process. Belongs to the running event loop; ``close`` it."""

    def __init__(self, identity: Identity, options: Options, *, gro: bool = True) -> None:
        self.viewers: dict[int, Viewer] = {}  # by descriptor
        self.delays = Delays()
        self.late = 0.0  # seconds by which the latest sweep came late: how overloaded this process was
        self._identity, self._options = identity, options
        self._joining_epoll, self._media_epoll = select.epoll(), select.epoll()
        self._receiver = Receiver(trains=gro)
        self._trains = Trains(self._receiver, self.delays)
        self._joining: dict[Viewer, asyncio.Future[None]] = {}
        self._repairing: set[Viewer] = set()
        self._connections: dict[int, Connection] = {}  # by descriptor, of those that have one
        self._round: deque[Viewer] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._joining_epoll.fileno(), self._ready, self._joining_epoll)
        self._tick_at, self._sweep_at = self._loop.time() + TICK, self._loop.time() + SWEEP
        self._timer = self._loop.call_at(self._tick_at, self._tick)

    def close(self) -> None:
        """Close every socket without a word to anybody."""
        self._timer.cancel()
        self._loop.remove_reader(self._joining_epoll.fileno())
        for viewer in list(self.viewers.values()):
            self.vanish(viewer)
        self._joining_epoll.close()
        self._media_epoll.close()

    def open(self, number: int, local: str, *, controlling: bool) -> Viewer:
        """A viewer with a socket of its own on the address ``local``."""
        family = socket.AF_INET6 if ":" in local else socket.AF_INET
        if self._options.tcp:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.bind((local, 0))
            return self._add(number, sock, controlling=controlling)
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if self._receiver.trains:
            sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        sock.bind((local, 0))
        return self._add(number, sock, controlling=controlling)

    def _add(self, number: int, sock: socket.socket, *, controlling: bool) -> Viewer:
        viewer = Viewer(number, sock, self._identity, self._options, IceAgent(controlling, self._options.consent))
        viewer.started_at = time.monotonic()
        self.viewers[sock.fileno()] = viewer
        if not self._options.tcp:  # a socket without a connection is readable all the time
            self._joining_epoll.register(sock.fileno(), select.EPOLLIN)
        return viewer

    def watch(self, viewer: Viewer) -> None:
        """Let the viewer's packets wait for the next tick from now on: it is connected."""
        self._joining_epoll.unregister(viewer.socket.fileno())
        self._media_epoll.register(viewer.socket.fileno(), select.EPOLLIN)
        self._round.append(viewer)

    async def connect(self, viewer: Viewer, remote: Session, *, we_are_server: bool) -> None:
        """Carry out ICE and DTLS. Raises ``ConnectError``."""
        if self._options.tcp:
            await self._connect_tcp(viewer, remote)
        done = self._joining[viewer] = self._loop.create_future()
        self._send(viewer, viewer.connect(remote, we_are_server, time.monotonic()))
        try:
            await done
        finally:
            self._joining.pop(viewer, None)
        self.watch(viewer)

    async def _connect_tcp(self, viewer: Viewer, remote: Session) -> None:
        family = viewer.socket.family
        address = next((each for each in remote.passive if (":" in each[0]) == (family == socket.AF_INET6)), None)
        if address is None:
            raise ConnectError("the server accepts no TCP")
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._loop.sock_connect(viewer.socket, address)
        except OSError as exc:  # TimeoutError is one
            raise ConnectError(f"no TCP connection to {address}: {exc}") from None
        self._connections[viewer.socket.fileno()] = Connection(viewer.socket, address)
        self._joining_epoll.register(viewer.socket.fileno(), select.EPOLLIN)

    def hang_up(self, viewer: Viewer) -> None:
        """Leave with a close_notify."""
        self._send(viewer, viewer.close())
        self.vanish(viewer)

    def vanish(self, viewer: Viewer) -> None:
        """Leave without a word; the server gets ICMP errors."""
        self.deafen(viewer)
        viewer.socket.close()

    def deafen(self, viewer: Viewer) -> None:
        """Read, answer and send nothing any more, with the socket open: a viewer whose path is dead."""
        descriptor = viewer.socket.fileno()
        self._connections.pop(descriptor, None)
        if self.viewers.pop(descriptor, None) is not None:
            for epoll in (self._joining_epoll, self._media_epoll):
                with contextlib.suppress(FileNotFoundError):
                    epoll.unregister(descriptor)
        self._repairing.discard(viewer)
        if viewer in self._round:
            self._round.remove(viewer)

    def restart_counting(self) -> None:
        """Forget the longest gaps and the delays so far: a window begins."""
        self.delays.restart(self.viewers.values())
        self.late = 0.0
        for viewer in self.viewers.values():
            viewer.agent.round_trips.clear()
            viewer.feedback.capture_delays.clear()
            for stream in viewer.streams.values():
                stream.gap_ns = 0

    def _ready(self, epoll: select.epoll) -> int:
        """Read each socket that has something once, and return how many had; what is left is there the next time."""
        viewers, receiver, now = self.viewers, self._receiver, time.monotonic()
        read, stride = receiver.read, receiver.stride
        events = epoll.poll(0, EVENTS)
        for descriptor, _event in events:
            viewer = viewers.get(descriptor)
            if viewer is None:
                continue
            if (connection := self._connections.get(descriptor)) is not None:
                self._read_tcp(viewer, connection)
                continue
            count = read(descriptor)
            if count <= 0:
                continue
            first, last = receiver.time_ns(0), receiver.time_ns(count - 1)
            together = not receiver.trains and last - first < SAME_MOMENT_NS
            if together and self._trains.count(viewer, 0, stride, count, receiver.total(count), first, last, now):
                continue
            for index in range(count):
                size, at, start = receiver.length(index), receiver.time_ns(index), index * stride
                if not size:
                    continue
                step = receiver.segment(index) or size
                packets = -(-size // step)
                if not self._trains.count(viewer, start, step, packets, size, at, at, now):
                    self._one_by_one(viewer, start, step, size, index, at)
        return len(events)

    def _read_tcp(self, viewer: Viewer, connection: Connection) -> None:
        at, now = time.time_ns(), time.monotonic()
        frames = connection.read()
        if frames is None:  # what it was all about: the server has closed
            viewer.state, viewer.problem = State.CLOSED, viewer.problem or "the server closed the connection"
            self.deafen(viewer)
        for frame in frames or ():
            self._send(viewer, viewer.datagram(frame, connection.address, at, now))
        self._after(viewer)

    def _one_by_one(self, viewer: Viewer, start: int, step: int, size: int, index: int, at: int) -> None:
        source = self._receiver.source(index)
        now = time.monotonic() - max(0, time.time_ns() - at) / 1e9  # when it came, not when it was read
        for number in range(-(-size // step)):
            self._send(viewer, viewer.datagram(self._trains.packet(start, step, number, size), source, at, now))
        self._after(viewer)

    def _after(self, viewer: Viewer) -> None:
        """Act on a change that the slow path may have brought about."""
        future = self._joining.get(viewer)
        if future is not None and not future.done():
            if viewer.state is State.CONNECTED:
                future.set_result(None)
            elif viewer.state in (State.FAILED, State.CLOSED):
                future.set_exception(ConnectError(viewer.problem))
        if any(stream.missing for stream in viewer.streams.values()):
            self._repairing.add(viewer)

    def _send(self, viewer: Viewer, out: Out) -> None:
        connection = self._connections.get(viewer.socket.fileno())
        for data, to in out:
            with contextlib.suppress(OSError):  # networks lose packets; what matters is sent again
                if connection is not None:
                    connection.send(data)
                else:
                    viewer.socket.sendto(data, to)

    def _tick(self) -> None:
        self.late = max(self.late, self._loop.time() - self._tick_at)
        while self._ready(self._media_epoll) == EVENTS:
            pass
        if self._loop.time() >= self._sweep_at:
            self._sweep_at = self._loop.time() + SWEEP
            self._sweep()
        self._tick_at = max(self._tick_at + TICK, self._loop.time())
        self._timer = self._loop.call_at(self._tick_at, self._tick)

    def _sweep(self) -> None:
        for viewer in list(self._joining):
            self._send(viewer, viewer.due(time.monotonic()))
            self._after(viewer)
        for _ in range(-(-len(self._round) // SWEEPS_A_ROUND)):
            viewer = self._round[0]
            self._round.rotate(-1)
            self._send(viewer, viewer.due(time.monotonic()))
        for viewer in list(self._repairing):
            out = viewer.repair()
            self._send(viewer, out)
            if not out:
                self._repairing.discard(viewer)
        self.delays.resolve(self.viewers.values())
