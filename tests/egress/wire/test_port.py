from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from common.errors import AddressInUseError, ConfigError
from egress.wire import port
from egress.wire.ice import Path
from egress.wire.port import RECEIVE_TIME, MediaPort, MediaSocket, UdpTarget

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
has_ipv6 = socket.has_ipv6


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def peer(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A viewer's socket."""
    with socket.socket(request.param, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((LOOPBACK[request.param], 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        sock.settimeout(5)
        yield sock


@pytest.fixture
def media_socket(peer: socket.socket) -> Iterator[MediaSocket]:
    opened = MediaSocket(peer.family, "", 0)
    yield opened
    opened.socket.close()


def target_of(media_socket: MediaSocket, peer: socket.socket) -> UdpTarget:
    return UdpTarget(media_socket, Path(peer.getsockname()))


def test_a_run_arrives_as_its_datagrams(peer: socket.socket, media_socket: MediaSocket) -> None:
    target = target_of(media_socket, peer)
    data = bytes(range(256)) * 10
    assert target.send_run(memoryview(data), 600)
    assert [peer.recv(2_048) for _ in range(5)] == [data[at : at + 600] for at in range(0, 2_560, 600)]


def test_without_gso_a_run_is_a_call_a_datagram(peer: socket.socket, media_socket: MediaSocket) -> None:
    media_socket.gso = False
    assert target_of(media_socket, peer).send_run(memoryview(bytes(700)), 300)
    assert [len(peer.recv(2_048)) for _ in range(3)] == [300, 300, 100]


def test_a_system_that_is_not_linux_is_asked_for_nothing_of_linux(
    peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "_LINUX", False)
    media_socket = MediaSocket(peer.family, LOOPBACK[peer.family], 0)
    with contextlib.closing(media_socket.socket):
        assert not media_socket.gso
        assert target_of(media_socket, peer).send_run(memoryview(bytes(700)), 300)
        assert [len(peer.recv(2_048)) for _ in range(3)] == [300, 300, 100]
        peer.sendto(b"hello", media_socket.socket.getsockname())
        media_socket.socket.settimeout(5)
        assert media_socket.receive() == (b"hello", Path(peer.getsockname()), 0.0)


class Refuses:
    """A socket that fails as given when it is asked for GSO, and passes everything else on."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._socket = sock
        self._number = number
        self.refused = 0

    def sendmsg(self, buffers: object, ancillary: list[tuple[int, int, bytes]], flags: int, address: object) -> int:
        if any(kind == 103 for _, kind, _ in ancillary):
            self.refused += 1
            raise OSError(self._number, "refused")
        return self._socket.sendmsg(buffers, ancillary, flags, address)  # type: ignore[arg-type]

    def sendto(self, data: bytes, address: object) -> int:
        return self._socket.sendto(data, address)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "everywhere"),
    [(errno.EIO, True), (errno.EOPNOTSUPP, True), (errno.EINVAL, False), (errno.EMSGSIZE, False)],
)
def test_refused_gso_is_given_up_where_it_is_refused_and_nothing_is_lost(
    peer: socket.socket, media_socket: MediaSocket, number: int, everywhere: bool
) -> None:
    real = media_socket.socket
    refusing = Refuses(real, number)
    media_socket.socket = refusing  # type: ignore[assignment]
    target = target_of(media_socket, peer)
    for _ in range(2):
        assert target.send_run(memoryview(bytes(700)), 300)
        assert [len(peer.recv(2_048)) for _ in range(3)] == [300, 300, 100]
    assert refusing.refused == 1
    assert media_socket.gso is not everywhere
    media_socket.socket = real


def test_a_destination_that_takes_nothing_leaves_gso_to_the_others(media_socket: MediaSocket) -> None:
    nobody = UdpTarget(media_socket, Path((LOOPBACK[media_socket.family], 0)))
    assert nobody.send_run(memoryview(bytes(700)), 300)
    assert media_socket.failed == 3
    assert media_socket.gso


class Full:
    """A socket whose buffer is full."""

    def sendmsg(self, *args: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "full")

    sendto = sendmsg


class Fills:
    """A socket whose buffer has room for ``room`` datagrams."""

    def __init__(self, room: int) -> None:
        self.room = room

    def sendto(self, data: bytes, address: object) -> int:
        if not self.room:
            raise BlockingIOError(errno.EAGAIN, "full")
        self.room -= 1
        return len(data)

    sendmsg = sendto


class Unreachable:
    """A socket that can send nothing, for a reason that is the destination's."""

    def __init__(self, number: int) -> None:
        self._number = number

    def sendmsg(self, *args: object) -> int:
        raise OSError(self._number, "unreachable")

    sendto = sendmsg


def test_a_full_buffer_is_told(peer: socket.socket, media_socket: MediaSocket) -> None:
    real, media_socket.socket = media_socket.socket, Full()  # type: ignore[assignment]
    target = target_of(media_socket, peer)
    media_socket.gso = False
    without_gso = target_of(media_socket, peer)
    media_socket.socket = real
    assert not target.send(b"x")
    assert not target.send_run(memoryview(bytes(700)), 300)
    assert not without_gso.send_run(memoryview(bytes(700)), 300)
    assert media_socket.blocked == 3


@pytest.mark.parametrize("room", [1, 2])
def test_a_run_of_which_something_left_is_not_to_be_sent_again(
    peer: socket.socket, media_socket: MediaSocket, room: int
) -> None:
    """Its sequence numbers are spent: with other content they would be a nonce used twice."""
    real, media_socket.socket = media_socket.socket, Fills(room)  # type: ignore[assignment]
    media_socket.gso = False
    target = target_of(media_socket, peer)
    media_socket.socket = real
    assert target.send_run(memoryview(bytes(700)), 300)
    assert media_socket.blocked == 1


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EMSGSIZE, errno.EINVAL])
def test_other_failures_are_counted_and_not_retried(
    peer: socket.socket, media_socket: MediaSocket, number: int
) -> None:
    real, media_socket.socket = media_socket.socket, Unreachable(number)  # type: ignore[assignment]
    target = target_of(media_socket, peer)
    media_socket.socket = real
    assert target.send(b"x")
    assert media_socket.failed == 1
    assert target.send_run(memoryview(bytes(700)), 300)
    assert media_socket.failed == (2 if number == errno.ENETUNREACH else 4)
    assert media_socket.gso


async def test_answers_leave_from_the_address_that_was_asked() -> None:
    """On a machine with several addresses a browser takes an answer only from the one that it sent to."""
    port = MediaPort("", 0)
    arrived: asyncio.Queue[tuple[bytes, Path, MediaSocket, float, int, float]] = asyncio.Queue()
    port.start(lambda *args: arrived.put_nowait(args))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            peer.connect(("127.0.0.2", port.number))  # loopback is a whole network
            peer.send(b"hello")
            data, path, media_socket, _now, _unix_ns, _waited = await asyncio.wait_for(arrived.get(), 5)
            assert data == b"hello"
            assert path.local == bytes([127, 0, 0, 2])
            target = UdpTarget(media_socket, path)
            for settled in (b"before", b"after"):
                assert target.send(settled)
                peer.settimeout(5)
                assert peer.recv(100) == settled, "a connected socket takes nothing from another address"
                target.settle()
    finally:
        port.close()


@pytest.mark.parametrize("host", LOOPBACK.values(), ids=["ipv4", "ipv6"])
async def test_how_long_a_datagram_waited_for_us_is_told(host: str) -> None:
    try:
        port = MediaPort(host, 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6")
    told: asyncio.Queue[tuple[float, float]] = asyncio.Queue()
    port.start(lambda data, path, media_socket, now, unix_ns, waited: told.put_nowait((now, waited)))
    try:
        with socket.socket(port.sockets[0].family, socket.SOCK_DGRAM) as peer:
            for _ in range(20):  # the kernel begins to stamp what comes some time after it was asked to
                sent = time.monotonic()
                peer.sendto(b"hello", (host, port.number))
                while time.monotonic() < sent + 0.05:  # the loop is busy
                    pass
                _now, waited = await asyncio.wait_for(told.get(), 5)
                if waited >= 0.05:
                    break
            assert 0.05 <= waited <= time.monotonic() - sent + 0.001  # another clock's milliseconds
    finally:
        port.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_found_the_socket_full_is_told(peer: socket.socket, media_socket: MediaSocket) -> None:
    address = media_socket.socket.getsockname()
    peer.sendto(b"hello", address)
    media_socket.receive()
    assert not media_socket.dropped
    media_socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for _ in range(1_000):
        peer.sendto(b"flood", address)
    took = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            media_socket.receive()
            took += 1
    peer.sendto(b"hello", address)
    _, path, arrived = media_socket.receive()
    assert path.remote == peer.getsockname()
    assert arrived, "there is room to tell everything at once"
    assert media_socket.dropped == 1_000 - took > 0


async def test_a_flood_does_not_keep_the_loop_from_other_work() -> None:
    """Datagrams of a handshake take a millisecond each, so it is not their number alone that counts."""
    port = MediaPort("127.0.0.1", 0)
    handled = 0

    def slow(*_: object) -> None:
        nonlocal handled
        handled += 1
        until = time.monotonic() + RECEIVE_TIME / 2
        while time.monotonic() < until:
            pass

    port.start(slow)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for _ in range(20):
                peer.sendto(b"hello", ("127.0.0.1", port.number))
            turns = 0
            while handled < 20 and turns < 1_000:
                await asyncio.sleep(0)
                turns += 1
            assert turns >= 20 / 3, "at most two and a bit in a turn"
    finally:
        port.close()


async def test_one_number_for_both_families() -> None:
    port = MediaPort("", 0)
    try:
        assert {media_socket.number for media_socket in port.sockets} == {port.number}
        assert port.sockets[0].family == socket.AF_INET
    finally:
        port.close()


def test_a_port_in_use_names_it_and_the_option() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        number = other.getsockname()[1]
        with pytest.raises(AddressInUseError, match=rf"127\.0\.0\.1:{number} is in use .* --media-port"):
            MediaPort("127.0.0.1", number)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(ConfigError, match=r"media\.listen"):
        MediaPort(host, 0)


def test_the_source_address_is_named_only_where_it_is_not_the_default() -> None:
    media_socket = MediaSocket(socket.AF_INET, "", 0)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            for local, named in ((bytes([127, 0, 0, 1]), False), (bytes([127, 0, 0, 2]), True)):
                target = UdpTarget(media_socket, Path(peer.getsockname(), local))
                target.settle()
                assert bool(target._control) == named
    finally:
        media_socket.socket.close()
