"""The bytes that come to an egress beside UDP of viewers: TCP connections, and answers of STUN servers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from common.errors import ProtocolError
from egress.wire.framing import MAX_FRAME, PREFIX_SIZE, Deframer, framed
from egress.wire.ice import Address, Path
from egress.wire.mapped import mapped_address
from egress.wire.tcp import TcpConnection
from egress.wire.tcp_port import MAX_PENDING_OF_HOST, TcpPort
from tests.fakes.readable import Taking
from tests.fuzz.target import Program, Target, on_loop, repeated, string

TRANSACTION = b"transaction!"
CHECK = framed(b"\0check of a viewer")
CLOCK = 1e12  # seconds, of a sweep: later than the machine's own clock by as much as the program says


def deframe(data: bytes) -> None:
    """A connection's bytes in pieces of any size, and all at once: the same datagrams come of them."""
    program, whole, deframer = Program(data), b"", Deframer()
    found: list[bytes] = []
    while program:
        piece = program.string()
        whole += piece
        found += deframer.feed(piece)
        assert len(deframer.rest) < MAX_FRAME + PREFIX_SIZE
    assert Deframer().feed(whole) == found


class _Peer(Taking):
    """An accepted socket: what its peer has sent, and how much of what it is sent it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.come = bytearray()
        self.ended = self.closed = self.broken = False

    def fileno(self) -> int:
        return -1 if self.closed else 7

    def setblocking(self, _blocking: bool) -> None:
        pass

    def setsockopt(self, *_: object) -> None:
        if self.broken:
            raise ConnectionResetError

    def recv(self, size: int) -> bytes:
        if self.broken:
            raise ConnectionResetError
        if not self.come and not self.ended:
            raise BlockingIOError
        data = bytes(self.come[:size])
        del self.come[:size]
        return data

    def send(self, data: bytes | bytearray | memoryview) -> int:
        if self.broken:
            raise BrokenPipeError
        return super().send(data)

    def dup(self) -> _Peer:
        return _Peer()

    def close(self) -> None:
        self.closed = True


class _Loop:
    """Knows who waits to read and to write."""

    def __init__(self) -> None:
        self.readers: dict[int, Callable[[], object]] = {}  # by the identity of a socket
        self.writers: dict[int, Callable[[], object]] = {}
        self.calls: list[Callable[[], object]] = []

    def add_reader(self, sock: object, call: Callable[..., object], *args: object) -> None:
        self.readers[id(sock)] = lambda: call(*args)

    def remove_reader(self, sock: object) -> None:
        self.readers.pop(id(sock), None)

    def add_writer(self, sock: object, call: Callable[[], object]) -> None:
        self.writers[id(sock)] = call

    def remove_writer(self, sock: object) -> None:
        self.writers.pop(id(sock), None)

    def call_soon(self, call: Callable[..., object], *args: object) -> None:
        self.calls.append(lambda: call(*args))

    def turn(self) -> None:
        while self.calls:
            self.calls.pop(0)()


class _Viewers:
    """The viewers of a port: one whose check has come has that address from then on."""

    def __init__(self) -> None:
        self.ways: dict[Address, TcpConnection] = {}
        self.heard: dict[Address, list[bytes]] = {}

    def receive(
        self, data: bytes, path: Path, carrier: TcpConnection, _now: float, _unix_ns: int, _waited: float
    ) -> None:
        self.heard.setdefault(path.remote, []).append(data)
        if data == CHECK[PREFIX_SIZE:]:
            self.ways[path.remote] = carrier

    def holds(self, address: Address) -> bool:
        return address in self.ways

    def lost(self, address: Address) -> None:
        self.ways.pop(address, None)


def connect(data: bytes) -> None:
    """Connections of strangers and viewers at the port, what they say and take, and time."""
    program, loop, viewers, arrivals = Program(data), _Loop(), _Viewers(), list[tuple[_Peer, tuple[str, int]]]()
    peers: list[_Peer] = [_Peer()]
    sent: dict[_Peer, bytearray] = {}

    def accept() -> tuple[_Peer, tuple[str, int]]:
        if not arrivals:
            raise BlockingIOError
        return arrivals.pop()

    listener: Any = SimpleNamespace(accept=accept, close=lambda: None, getsockname=lambda: ("192.0.2.9", 5000))
    with on_loop(loop):
        port = TcpPort("", 0, [listener])
        port.on_tls = lambda sock, _data: sock.close()
        port.start(viewers)
        while program:
            what = program.byte()
            peer = peers[(what >> 3) % len(peers)]
            match what & 7:
                case 0:
                    peers.append(_Peer())
                    peers[-1].broken = what == 0xF8
                    arrivals.append((peers[-1], (f"192.0.2.{what >> 6}", 5000)))
                    loop.readers.get(id(listener), bool)()
                case 1 | 2:
                    peer.come += CHECK if what & 7 == 2 else program.string()
                case 3:
                    peer.ended, peer.broken = True, what & 8 > 0
                case 4 | 5:
                    ways = [each for each in viewers.ways.values() if id(each._socket) == id(peer)]
                    size = 1 + program.byte()
                    for way in ways:
                        _say(way, size, what & 7 == 4, sent.setdefault(peer, bytearray()))
                case 6:
                    peer.room = program.byte() * 8
                    loop.writers.get(id(peer), bool)()
                case 7:
                    port.sweep(CLOCK + program.byte())
                    _check_port(port)
            loop.turn()
            for each in (peer, peers[-1]):
                while (each.come or each.ended or each.broken) and id(each) in loop.readers:
                    loop.readers[id(each)]()
        _check_port(port)
        for peer, frames in sent.items():
            assert frames.startswith(peer.taken), "whole frames, in order"
        port.close()
        waiting = {id(peer) for peer, _ in arrivals}  # while nobody was let in
        assert all(peer.closed or id(peer) in waiting for peer in peers[1:])


def _say(way: TcpConnection, size: int, control: bool, frames: bytearray) -> None:
    """Send something to a viewer, and note what of it has to come."""
    if control:
        if way.send(bytes(size)):
            frames += framed(bytes(size))
        return
    run = memoryview(bytes(3 * size - size // 2))
    way.send_run(run, size)
    for at in range(0, way.taken * size, size):
        frames += framed(run[at : at + size])


def _check_port(port: TcpPort) -> None:
    assert port._pending_of.total() == len(port._pending)
    assert max(port._pending_of.values(), default=0) <= MAX_PENDING_OF_HOST
    assert not any(each.closed for each in [*port._pending.values(), *port._owned.values()])


def read_mapping(data: bytes) -> None:
    """The answer to our request for the address that a server sees us at."""
    address = mapped_address(data, TRANSACTION)
    assert address.replace(".", "").replace(":", "").isalnum()


def _answer(*attributes: bytes, kind: int = 0x0101) -> bytes:
    body = b"".join(attributes)
    return struct.pack("!HHI12s", kind, len(body), 0x2112A442, TRANSACTION) + body


_V4 = b"\0\x20\0\x08\0\1\x11\x22\xea\x12\xd5\x45"
_V6 = b"\0\x20\0\x14\0\2\x11\x22" + bytes(16)
_SOFTWARE = b"\x80\x22\0\3abc\0"

TARGETS = [
    Target(
        "tcp-frames",
        "datagrams framed by a TCP connection, from anybody",
        deframe,
        (
            string(framed(b"abc")) + string(framed(b"defg")),
            string(framed(b"abc")[:3]) + string(framed(b"abc")[3:] + b"\0\0" + framed(b"x")),
            string(b"\xff\xff" + bytes(20)),
        ),
        (ProtocolError,),
        (b"\0\0", b"\x08\0", b"\x07\xff"),
        {
            "empty": lambda size: string(bytes(size - 2)),
            "frames": lambda size: string(repeated(framed(b"x"))(size - 2)),
            "pieces": repeated(string(b"\0")),
        },
    ),
    Target(
        "tcp-port",
        "connections at the media port, what comes by them and how much they take, from anybody",
        connect,
        (
            b"\0\x0a\x0e\xff\x0c\x20\x0d\x40\x0e\1\x0d\x40\x0c\4\x0e\xff",
            b"\0\x09"
            + string(CHECK[:3])
            + b"\x09"
            + string(CHECK[3:] + framed(b"\x16dtls") + framed(b"\x80rtp"))
            + b"\x0b",
            b"\0\x09" + string(b"\x16\3\1\0\1\0") + b"\0\x11" + string(framed(b"\0no check")) + b"\0\x19\0\2GE\7\5",
            b"\0\x0a\x0c\x20\xff\x0b\0\x12\x17\xff\x40\xf8",
        ),
        words=(CHECK, framed(b"\x16dtls"), framed(b"\x80rtp"), b"\x16\3", b"\0\x0a"),
        grow={
            "connections": repeated(b"\0"),
            "checks": repeated(b"\x0a", b"\0"),
            "empty frames": lambda size: b"\0\x0a\x09" + string(bytes(size - 6)),
            "pieces": repeated(b"\x09" + string(b"\1"), b"\0\x0a"),
            "runs": repeated(b"\x0d\xff\x0e\xff", b"\0\x0a"),
            "what waits": repeated(b"\x0c\0", b"\0\x0a"),
        },
        most=256,
        bound=4_096,
    ),
    Target(
        "stun-mapping",
        "the answer of a STUN server that an operator names, or of anybody in its place",
        read_mapping,
        (_answer(_V4), _answer(_SOFTWARE, _V6), _answer(_V4, kind=0x0111), _answer(_V4)[:20]),
        (ProtocolError,),
        (b"\0\x20\0\x08", b"\x21\x12\xa4\x42", TRANSACTION, b"\1\1"),
        {"attributes": lambda size: _answer(b"\x80\x22\0\0" * ((size - 20) // 4))},
        most=512,
        bound=1_500,
    ),
]
