from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from common.errors import AddressInUseError, ConfigError
from egress.wire import tcp_port
from egress.wire.framing import PREFIX_SIZE, framed
from egress.wire.ice import Address, Path
from egress.wire.tcp import TcpConnection
from egress.wire.tcp_port import IDLE_TIMEOUT, PENDING_TIMEOUT, TcpPort
from egress.wire.way import Carrier
from rigs.waiting import until

CHECK = b"\0\1 with the password of a viewer"
FOREIGN = b"\0\1 with another"
DTLS = b"\x16\xfe\xfd record"
RTCP = b"\x80\xc9 report"


@dataclass
class Viewers:
    """A ``Receiver`` that knows one check."""

    came: list[tuple[bytes, Path]] = field(default_factory=list)
    held: set[Address] = field(default_factory=set)
    gone: list[Address] = field(default_factory=list)

    def receive(self, data: bytes, path: Path, carrier: Carrier, now: float, unix_ns: int, waited: float) -> None:
        self.came.append((data, path))
        assert now > 0
        assert unix_ns > 0
        assert not waited
        if data == CHECK:
            self.held.add(path.remote)
            carrier.way(path).send(b"\1\1 yes")

    def holds(self, address: Address) -> bool:
        return address in self.held

    def lost(self, address: Address) -> None:
        self.held.discard(address)
        self.gone.append(address)

    @property
    def datagrams(self) -> list[bytes]:
        return [data for data, _ in self.came]


@pytest.fixture
def viewers() -> Viewers:
    return Viewers()


@pytest.fixture
async def port(viewers: Viewers) -> AsyncIterator[TcpPort]:
    opened = TcpPort("127.0.0.1", 0)
    opened.start(viewers)
    with contextlib.closing(opened):
        yield opened


@contextlib.asynccontextmanager
async def connected(port: TcpPort, host: str = "127.0.0.1") -> AsyncIterator[socket.socket]:
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.bind((host, 0))
        before = port.connections + port.counters.total()
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port.number))
        await until(lambda: port.connections + port.counters.total() > before)
        yield sock


async def closes(sock: socket.socket) -> bool:
    """Whether the other end closes, whatever it says before."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            while await asyncio.get_running_loop().sock_recv(sock, 4_096):
                pass
    return True


async def test_datagrams_of_a_viewer_are_handed_on_with_their_path(port: TcpPort, viewers: Viewers) -> None:
    async with connected(port) as first, connected(port) as second:
        for sock in (first, second):
            sock.send(framed(CHECK) + framed(DTLS) + framed(RTCP))
            assert await asyncio.get_running_loop().sock_recv(sock, 100) == framed(b"\1\1 yes")
        await until(lambda: len(viewers.came) == 6)
        assert viewers.datagrams == [CHECK, DTLS, RTCP] * 2
        paths = [path for _, path in viewers.came]
        assert paths[0].remote[:2] == first.getsockname()
        assert paths[0] == paths[2]
        assert paths[0].transport == "tcp"
        assert paths[3].remote not in (paths[0].remote, second.getsockname()), "UDP from there is somebody else"
        assert port.connections == 2
    await until(lambda: not port.connections)
    assert set(viewers.gone) == {paths[0].remote, paths[3].remote}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (FOREIGN, "tcp_stranger"),
        (DTLS, "tcp_garbage"),
        (RTCP, "tcp_garbage"),
        (b"\x47 a byte that is nothing", "tcp_garbage"),
    ],
)
async def test_who_begins_with_anything_but_a_check_is_closed(
    port: TcpPort, viewers: Viewers, data: bytes, why: str
) -> None:
    async with connected(port) as sock:
        sock.send(framed(data))
        assert await closes(sock)
    assert port.counters[why] == 1
    assert port.connections == 0


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\xff\xff", framed(b"\x47 what is this?")])
async def test_garbage_ends_the_connection_of_a_viewer_too(port: TcpPort, viewers: Viewers, data: bytes) -> None:
    async with connected(port) as sock:
        sock.send(framed(CHECK))
        await until(lambda: viewers.held)
        sock.send(data)
        assert await closes(sock)
    assert port.counters["tcp_garbage"] == 1
    assert len(viewers.gone) == 1


async def test_bytes_that_come_slowly_gain_no_time(port: TcpPort, viewers: Viewers) -> None:
    async with connected(port) as sock:
        data, began = framed(CHECK), time.monotonic()
        sock.send(data[:10])
        await asyncio.sleep(0.01)
        port.sweep(began + PENDING_TIMEOUT - 0.1)
        assert port.connections == 1
        sock.send(data[10:-1])
        await asyncio.sleep(0.01)
        port.sweep(time.monotonic() + PENDING_TIMEOUT)
        assert await closes(sock)
    assert port.counters["tcp_silent"] == 1


async def test_connections_of_viewers_end_when_they_fall_silent(port: TcpPort, viewers: Viewers) -> None:
    async with connected(port) as sock:
        sock.send(framed(CHECK))
        await until(lambda: viewers.held)
        port.sweep(time.monotonic() + PENDING_TIMEOUT)
        assert port.connections == 1
        port.sweep(time.monotonic() + IDLE_TIMEOUT)
        assert await closes(sock)
    assert port.counters["tcp_silent"] == 1


async def test_one_address_has_few_that_are_pending(
    port: TcpPort, viewers: Viewers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_port, "MAX_PENDING_OF_HOST", 2)
    async with connected(port) as first, connected(port), connected(port) as third:
        assert await closes(third)
        assert port.counters["tcp_refused"] == 1
        async with connected(port, "127.0.0.2"):
            assert port.connections == 3
        first.send(framed(CHECK))  # it is none of them any more
        await until(lambda: viewers.held)
        async with connected(port) as fourth:
            fourth.send(framed(CHECK))
            await until(lambda: len(viewers.held) == 2)


async def test_the_oldest_pending_one_gives_way(
    port: TcpPort, viewers: Viewers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp_port, "MAX_PENDING", 2)
    async with connected(port) as first, connected(port, "127.0.0.2"), connected(port, "127.0.0.3"):
        assert await closes(first)
        assert port.connections == 2


async def test_a_flood_waits_in_the_kernel(port: TcpPort, monkeypatch: pytest.MonkeyPatch) -> None:
    port._accepts.spend(port._accepts.fill(time.monotonic()))
    monkeypatch.setattr(port._accepts, "rate", 0.0)
    with socket.socket() as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port.number))
        await until(lambda: port._paused)
        assert port.connections == 0
        monkeypatch.setattr(port._accepts, "rate", 1_000.0)
        await asyncio.sleep(0.01)
        port.sweep(time.monotonic())
        await until(lambda: port.connections == 1)


async def test_a_process_without_descriptors_tries_again_later(port: TcpPort) -> None:
    class Exhausted:
        def accept(self) -> None:
            raise OSError(errno.EMFILE, "too many open files")

    port._acceptable(Exhausted())  # type: ignore[arg-type]
    assert port.counters == {"tcp_unaccepted": 1}
    assert port._paused


async def test_a_viewer_that_is_gone_leaves_no_connection(port: TcpPort, viewers: Viewers) -> None:
    async with connected(port) as sock:
        sock.send(framed(CHECK))
        await until(lambda: viewers.held)
        port.hang_up(("127.0.0.1", sock.getsockname()[1]))
        assert port.connections == 1, "that is an address of UDP"
        port.hang_up(next(iter(viewers.held)))
        assert await closes(sock)
    assert port.connections == 0
    assert viewers.gone == [], "the one that hangs up knows"


async def test_both_families_have_one_number_and_a_taken_one_is_an_error() -> None:
    with contextlib.closing(TcpPort("", 0)) as port:
        for host in ("127.0.0.1", "::1") if socket.has_ipv6 else ("127.0.0.1",):
            with contextlib.suppress(OSError), socket.create_connection((host, port.number), timeout=5):
                pass
        with pytest.raises(AddressInUseError, match=f"TCP 0.0.0.0:{port.number} is in use .* --media-tcp"):
            TcpPort("", port.number)
    with pytest.raises(ConfigError, match="cannot bind TCP"):
        TcpPort("192.0.2.1", 0)


async def test_another_process_goes_on_with_its_connections_and_what_had_begun(port: TcpPort, viewers: Viewers) -> None:
    async with connected(port) as sock, connected(port):
        sock.send(framed(CHECK))
        assert await asyncio.get_running_loop().sock_recv(sock, 100) == framed(b"\1\1 yes")
        sock.send(framed(RTCP)[:5])
        [address] = viewers.held
        connection = port.connection(address)
        assert connection is not None
        await until(lambda: connection.deframer.begun)
        sent = await _filled(connection)
        [(remote, given, read, unsent)] = port.pause()
        assert (remote, read, bool(unsent), port.connections) == (address, framed(RTCP)[:5], True, 1)
        sock.send(framed(RTCP)[5:])
        with contextlib.closing(TcpPort("", 0, [each.dup() for each in port.listeners])) as other:
            other.adopt(given.dup(), remote, read, unsent, 1.0)
            port.close()
            other.start(viewers)
            await until(lambda: viewers.datagrams[-1:] == [RTCP])
            assert [path.remote for _, path in viewers.came] == [address, address]
            found = bytearray()
            while len(found) < sent:
                found += await asyncio.get_running_loop().sock_recv(sock, 1 << 20)
            assert len(found) == sent, "what had begun is whole"
            async with connected(other):
                assert other.connections == 2
            assert other.connection(address) is not None


async def _filled(connection: TcpConnection) -> int:
    """Send until something is left, and return how many bytes that makes."""
    run, sent = memoryview(bytes(1_000 * 60)), 0
    while not connection.stalled:
        connection.send_run(run, 1_000)
        sent += connection.taken * (1_000 + PREFIX_SIZE)
    return sent
