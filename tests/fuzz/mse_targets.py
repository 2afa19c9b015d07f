"""WebSockets: frames at the front door, and an egress by the page's own port, hand-over and pictures included."""

from __future__ import annotations

from collections import Counter
from functools import cache
from types import SimpleNamespace
from typing import Any

from broker.front.frames import MAX_HEAD, Frames
from common.errors import ProtocolError
from common.handover import LENGTH, MAX_HANDOVER, Doors, Handover
from common.media import Batch, Flags, Kind
from common.sessions import SessionName
from egress.mse.fragmenter import fragmenter_of
from egress.mse.tls import TlsDoor
from egress.mse.viewer import MseViewer
from egress.mse.websocket import Reader
from rigs.video import encode
from tests.fakes.mse import Camera
from tests.fuzz.target import Program, Target, on_loop, repeated, string

CODECS = ((Kind.VIDEO, "H264"), (Kind.VIDEO, "H265"), (Kind.AUDIO, "AAC"), (Kind.AUDIO, "opus"))
MASK = b"\1\2\3\4"
SECRET = SessionName("secret")


def masked(first: int, data: bytes) -> bytes:
    """A frame as a browser sends it (RFC 6455 5.2), shorter than 126 bytes."""
    return bytes((first, 0x80 | len(data))) + MASK + bytes(each ^ MASK[at & 3] for at, each in enumerate(data))


def read_frames(data: bytes) -> None:
    """Frames that come in pieces: all that is read was sent, and nothing is left that is longer than a message."""
    reader = Reader()
    cut = len(data) // 3
    for piece in (data[:1], data[1:cut], data[cut:]):
        for message in reader.feed(piece):
            assert len(message.data) <= len(data)


def end_frames(data: bytes) -> None:
    """Frames that come in pieces: all are taken, few at a time, and a message has two bytes at least."""
    frames, waiting, ended = Frames(), bytearray(), 0
    cut = len(data) // 3
    for piece in (data[:1], data[1:cut], data[cut:]):
        waiting += piece
        while True:
            size, messages = frames.take(waiting, 3)
            assert messages <= 4
            ended += messages
            del waiting[:size]
            if not size:
                break
        assert len(waiting) < MAX_HEAD
    assert 2 * ended <= len(data)


def hand_over(data: bytes) -> None:
    """The words of a broker, and those of an egress that says where its doors are."""
    if data[:1] == b"{":
        Doors.parse(data.decode(errors="replace"))
    else:
        Handover.parse(data)


class _Connection:
    """One by TLS, whose handshake is over."""

    def __init__(self) -> None:
        self.viewer: MseViewer | None = None
        self.closed = False
        self.direct, self.remote = len, ""

    def belong(self, viewer: MseViewer, _viewers: object, remote: str) -> None:
        self.viewer, self.remote = viewer, remote

    def send(self, data: bytes | memoryview) -> int:
        return len(data)

    def await_room(self) -> None:
        pass

    def hear_no_more(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


@cache
def _tls_door() -> TlsDoor:
    """One for all: making its certificate takes longer than most inputs."""
    return TlsDoor(_Viewers(), Counter())  # type: ignore[arg-type]


class _Viewers:
    """Nobody but who is said to be the camera's, and is not heard of any more."""

    def get(self, session: SessionName) -> MseViewer | None:
        return Camera().viewer() if session == SECRET else None

    def joined(self, _viewer: MseViewer) -> None:
        pass

    look = joined


def say_words(data: bytes) -> None:
    """The words of a hand-over by TLS in pieces, and what a viewer says behind them: as if all came at once."""
    program, door, whole = Program(data), _tls_door(), bytearray()
    connection: Any = _Connection()
    door._pending[connection] = bytearray()
    with on_loop(SimpleNamespace(time=lambda: 0.0)):
        while program and not connection.closed:
            piece = program.string() or b"\0"
            whole += piece
            if connection.viewer is not None:
                connection.viewer.receive(piece, 0.0)
            else:
                door._hear(connection, piece)
                assert len(door._pending.get(connection, b"")) < LENGTH + MAX_HANDOVER
        if connection.viewer is None:
            door._hear(connection, b"")
            assert connection.closed
            return
    size = LENGTH + int.from_bytes(whole[:LENGTH])
    one = Camera().viewer()
    one.connect(_Connection(), Handover.parse(bytes(whole[LENGTH:size])).head, 0.0)
    if behind := bytes(whole[size:]):
        one.receive(behind, 0.0)
    assert bool(one.ended) == bool(connection.viewer.ended)
    assert not door._pending


def cut_fragments(data: bytes) -> None:
    """Batches of one track: the time of what comes out of them only grows."""
    program = Program(data)
    kind, codec = CODECS[program.byte() % len(CODECS)]
    fragmenter = fragmenter_of(kind, codec, 0)
    assert fragmenter is not None
    timestamp, at, last = 0, 10**9, float("-inf")
    while program:
        what = program.byte()
        timestamp += (program.byte() - 64) * 1_000
        at += program.byte() * 10**6
        flags = (Flags.UNIT_END if what & 1 else Flags(0)) | (Flags.KEYFRAME if what & 2 else Flags(0))
        nals = [nal for _ in range(1 + (what >> 2 & 3)) if (nal := program.string())] or [b"\0"]  # the bus has no empty
        batch = Batch(kind.value, codec, 1 + (what >> 6), 0, timestamp & 0xFFFFFFFF, at, at, int(flags), nals)
        made = fragmenter.push(batch, timestamp)
        if made is not None:
            assert made.seconds > last, "time goes back"
            last = made.seconds


_UNITS = encode(3)
_PICTURES = b"\0" + b"".join(
    bytes((0x0D | (2 if number == 0 else 0), 67, 33)) + b"".join(string(nal) for nal in [*unit, b"", b"", b"", b""][:4])
    for number, unit in enumerate(_UNITS)
)
_OPUS = b"\3" + b"".join(b"\1\x41\x14" + string(b"\xfc" + bytes(9)) for _ in range(3))
_ADTS = b"\2" + b"".join(b"\1\x41\x14" + string(b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)) for _ in range(3))

_HANDOVER = bytes(Handover(SECRET, "192.0.2.1:5000", b""))
_WORDS = len(_HANDOVER).to_bytes(LENGTH) + _HANDOVER

TARGETS = [
    Target(
        "websocket",
        "a page's frames at the page's own port, from whoever may watch",
        read_frames,
        (
            masked(0x81, b"restart"),
            masked(0x8A, b"") + masked(0x89, b"ping") + masked(0x88, b"\3\xe8bye"),
            b"\x81\xfe\0\x80" + MASK + bytes(128),
            b"\x02\x80" + MASK,
        ),
        (ProtocolError,),
        grow={
            "pings": repeated(b"\x89\x80\1\2\3\4"),
            "texts": lambda size: (b"\x81\xfe\4\0" + MASK + bytes(1_024)) * (size // 1_032),
        },
        most=512,
    ),
    Target(
        "page-frames",
        "where the frames of a page end, before they are read",
        end_frames,
        (
            b"\x01\x83" + MASK + b"abc" + masked(0x89, b"ping") + b"\x80\xfe\0\x80" + MASK + bytes(128),
            b"\x82\xff\0\0\0\0\0\1\0\0" + MASK + bytes(64),
            b"\x8a\0\x89\0" + b"\0\0" * 40,
        ),
        (ProtocolError,),
        grow={
            "pings": repeated(b"\x89\x80\1\2\3\4"),
            "pieces": repeated(b"\0\0\x80\0"),
            "texts": lambda size: (b"\x81\xfe\4\0" + MASK + bytes(1_024)) * (size // 1_032),
        },
        most=512,
    ),
    Target(
        "handover",
        "a connection's hand-over, and where an egress takes it, from the cluster's processes",
        hand_over,
        (
            bytes(Handover(SessionName("s" * 22), "192.0.2.1:5000", b"HTTP/1.1 101 Switching Protocols\r\n\r\n")),
            str(Doors("@camshaft-x", (("192.0.2.1", 5000),), "ab")).encode(),
        ),
        (ProtocolError,),
        grow={
            "addresses": lambda size: b'{"local":"","fingerprint":"","remote":[' + b'["a",1],' * (size // 8) + b"0]}",
            "brackets": repeated(b"[", b'{"local":'),
        },
        most=1_024,
        bound=4_096,
    ),
    Target(
        "tls-words",
        "the words of a hand-over by TLS, and what comes behind them, from anybody at the TCP port",
        say_words,
        (
            string(_WORDS) + string(masked(0x89, b"ping")),
            string(_WORDS[:1]) + string(_WORDS[1:9]) + string(_WORDS[9:] + masked(0x81, b"restart") + b"\x88"),
            string(b"\0\5hello") + string(b"\0\0"),
        ),
        (ProtocolError,),
        (_WORDS, masked(0x88, b""), b"\0\0", b"\x10\0"),
        grow={
            "pieces": repeated(string(b"\x0f")),
            "pings": lambda size: string(_WORDS + masked(0x89, b"") * (size // 6 - 20)),
            "long words": lambda size: string(b"\x10\0" + bytes(size - 4)),
        },
        most=512,
        bound=4_096,
    ),
    Target(
        "mse-fragments",
        "pictures and sound of the bus, on their way to Media Source Extensions",
        cut_fragments,
        (_PICTURES, _OPUS, _ADTS),
        words=(b"\0\0\1", b"\x67", b"\x68", b"\x65"),
        grow={"start codes": lambda size: b"\0\3\x41\x14" + string(b"\x65\x88" + b"\0\0\1" * (size // 3 - 2))},
        bound=16_384,
    ),
]
