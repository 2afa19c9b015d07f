from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from egress.media.target import Refusal
from egress.wire.framing import Deframer, framed
from egress.wire.ice import Path, TcpAddress
from egress.wire.tcp import CONTROL_QUEUE, TcpConnection
from rigs.waiting import until

DATAGRAM = 1_200  # bytes
RUN = memoryview(bytes(range(256)) * 75)  # 16 of that size
LINGER_RESET = struct.pack("ii", 1, 0)


@dataclass
class Pair:
    """A connection, and the socket of the viewer at its other end."""

    connection: TcpConnection
    peer: socket.socket
    lost: list[TcpConnection] = field(default_factory=list)
    _frames: Deframer = field(default_factory=Deframer)

    async def read(self, count: int) -> list[bytes]:
        """The next datagrams that the viewer gets."""
        loop, found = asyncio.get_running_loop(), []
        async with asyncio.timeout(5):
            while len(found) < count:
                data = await loop.sock_recv(self.peer, 1 << 16)
                assert data, "closed"
                found += self._frames.feed(data)
        return found

    def fill(self) -> int:
        """Send runs until one is refused; how many were taken."""
        taken = 0
        while self.connection.send_run(RUN, DATAGRAM):
            taken += 1
            assert taken < 10_000
        return taken


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)  # so that it is full before long
        peer.connect(server.getsockname())
        accepted, address = server.accept()
    peer.setblocking(False)
    lost: list[TcpConnection] = []
    connection = TcpConnection(accepted, Path(TcpAddress(*address[:2], 0)), 0.0, lost.append)
    with peer:
        yield Pair(connection, peer, lost)
        connection.close()


async def test_a_run_arrives_as_its_datagrams(pair: Pair) -> None:
    data = memoryview(bytes(range(256)) * 10)
    assert pair.connection.send_run(data, 600)
    assert pair.connection.send_run(data[:100], 600)
    assert pair.connection.send_run(data[:600], 600)
    assert pair.connection.send(b"stun")
    assert await pair.read(8) == [
        *(bytes(data[at : at + 600]) for at in range(0, 2_560, 600)),
        bytes(data[:100]),
        bytes(data[:600]),
        b"stun",
    ]


async def test_it_is_its_own_way_and_target(pair: Pair) -> None:
    connection = pair.connection
    connection.settle()
    assert connection.way(connection.path) is connection
    assert (connection.route, connection.reliable, connection.path.transport) == (None, True, "tcp")
    assert connection.refused(5, segmented=False) is Refusal.LOST


async def test_what_does_not_fit_is_finished_before_anything_else(pair: Pair) -> None:
    taken = pair.fill()
    assert pair.connection.stalled
    assert pair.connection.refusals in (1, 2), "the last run may have left in part, or all but a part of its last"
    part = pair.connection.taken
    for number in range(3):  # they wait behind the rest of a run that has left in part
        assert pair.connection.send(b"consent %d" % number)
    assert not pair.connection.send_run(RUN[:10], DATAGRAM), "media waits for nobody"
    whole = [bytes(RUN[at : at + DATAGRAM]) for at in range(0, len(RUN), DATAGRAM)]
    expected = [*(whole * taken), *whole[:part], b"consent 0", b"consent 1", b"consent 2"]
    assert await pair.read(len(expected)) == expected
    await until(lambda: not pair.connection.stalled)
    assert pair.connection.send_run(RUN[:10], DATAGRAM)
    assert await pair.read(1) == [bytes(RUN[:10])]


async def test_what_waits_on_a_full_connection_is_bounded(pair: Pair) -> None:
    pair.fill()
    frame = bytes(998)
    taken = 0
    while pair.connection.send(frame):
        taken += 1
    assert taken == CONTROL_QUEUE // 1_000


async def test_little_waits_in_the_kernel_for_a_viewer_that_does_not_read(pair: Pair) -> None:
    assert pair.fill() * len(RUN) < 1 << 20


async def test_a_connection_that_breaks_while_it_is_sent_to_is_told_once(pair: Pair) -> None:
    pair.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    pair.peer.close()
    await until(lambda: not pair.connection.send(b"anybody there"))
    assert pair.connection.closed
    assert not pair.connection.send_run(RUN, DATAGRAM)
    assert not pair.connection.send(b"still")
    assert pair.lost == [], "not while somebody sends by it"
    await asyncio.sleep(0)
    assert pair.lost == [pair.connection]


async def test_a_connection_that_breaks_while_it_is_full_is_told_once(pair: Pair) -> None:
    pair.fill()
    pair.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    pair.peer.close()
    await until(lambda: pair.lost)
    assert pair.lost == [pair.connection]
    assert pair.connection.closed


async def test_what_was_taken_still_leaves_when_it_is_closed(pair: Pair) -> None:
    pair.connection.send(b"goodbye")
    pair.connection.close()
    pair.connection.close()
    assert await pair.read(1) == [b"goodbye"]
    assert await asyncio.get_running_loop().sock_recv(pair.peer, 10) == b""


async def test_it_reads_what_came(pair: Pair) -> None:
    readable: list[TcpConnection] = []
    pair.connection.start(readable.append)
    with pytest.raises(BlockingIOError):
        pair.connection.read(100)
    pair.peer.send(framed(b"check"))
    await until(lambda: readable)
    assert pair.connection.deframer.feed(pair.connection.read(100)) == [b"check"]
