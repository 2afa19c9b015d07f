"""A camera's picture and sound for viewers by the page's own port, and a browser that takes what room it has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from common.cameras import CameraName
from common.media import Batch, Flags, Kind, Rendition
from common.sessions import SessionName
from egress.media.stream import Stream
from egress.mse.reel import Reel
from egress.mse.viewer import MseViewer
from egress.mse.websocket import Opcode

START_NS = 1_700_000_000_000_000_000
SPS = bytes.fromhex("6742c01fda0280f6c05a808080a0000003002000000651e3065400")
PPS = bytes.fromhex("68ce3c80")
TAKES = frozenset({"H264", "AAC", "opus"})
HEAD = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def picture(number: int, *, keyframe: bool = False, size: int = 40, codec: str = "H264") -> Batch:
    """Picture ``number`` of 10 a second."""
    slice_ = (b"\x65" if keyframe else b"\x41") + bytes((number + 1,)) * size
    payloads = [SPS, PPS, slice_] if keyframe else [slice_]
    flags = int(Flags.UNIT_END | (Flags.KEYFRAME if keyframe else Flags(0)))
    at = START_NS + number * 100_000_000
    return Batch("video", codec, 1, 0, number * 9_000, at, at, flags, payloads)


def packet(number: int, codec: str = "opus") -> Batch:
    """Packet ``number`` of sound of 10 a second."""
    at = START_NS + number * 100_000_000
    return Batch("audio", codec, 1, 0, number * 4_800, at, at, int(Flags.UNIT_END), [b"\xfc" + bytes((number + 1,))])


def quick(number: int) -> Batch:
    """Packet ``number`` of sound of 50 a second."""
    at = START_NS + number * 20_000_000
    data = [b"\xfc" + bytes((number + 1,))]
    return Batch("audio", "opus", 1, 0, number * 960, at, at, int(Flags.UNIT_END), data)


class Camera:
    """A stream that is pushed to, and its reels."""

    origin_ns = START_NS - 1_000_000_000

    def __init__(self, name: str = "door") -> None:
        self.stream = Stream(Rendition(name), lambda: None)
        self.released = 0
        self._reels: dict[tuple[Rendition, Kind], Reel] = {}

    def acquire(self, stream: Stream, kind: Kind) -> Reel:
        key = stream.rendition, kind
        if key not in self._reels:
            self._reels[key] = Reel(stream, kind, self.origin_ns)
            self._reels[key].open(0.0)
        return self._reels[key]

    def release(self, reel: Reel) -> None:
        self.released += 1

    def push(self, *batches: Batch, stream: Stream | None = None) -> None:
        for batch in batches:
            (stream or self.stream).feeds[batch.kind].push(batch, 0.0)

    def viewer(self, *kinds: Kind, takes: frozenset[str] = TAKES) -> MseViewer:
        streams = dict.fromkeys(kinds or (Kind.VIDEO,), self.stream)
        name = SessionName("secret")
        return MseViewer(
            name, CameraName("door"), streams, takes, self, holder=("token:wall", 9.0), now=0.0, started=1.0
        )


@dataclass
class Browser:
    """The other end of an outlet, which takes ``room`` bytes."""

    room: float = float("inf")
    broken: bool = False
    remote: str = "192.0.2.9:4000"
    taken: bytearray = field(default_factory=bytearray)
    waits: bool = False
    closed: bool = False
    heard: bool = True

    def send(self, data: bytes | memoryview) -> int:
        if self.broken:
            raise BrokenPipeError(32, "Broken pipe")
        sent = int(min(len(data), self.room))
        self.taken += data[:sent]
        self.room -= sent
        return sent

    def direct(self, data: bytes) -> int:
        if not self.room:
            raise BlockingIOError
        return self.send(data)

    def await_room(self) -> None:
        self.waits = True

    def hear_no_more(self) -> None:
        self.heard = False

    def close(self) -> None:
        self.closed = True

    def messages(self) -> list[tuple[int, bytes]]:
        """Every whole message after the head, and that nothing but the beginning of another follows."""
        data, at, found = bytes(self.taken).removeprefix(HEAD), 0, []
        while len(data) - at >= 2:
            size, begins = data[at + 1], at + 2
            if size == 126:
                size, begins = int.from_bytes(data[at + 2 : at + 4]), at + 4
            elif size == 127:
                size, begins = int.from_bytes(data[at + 2 : at + 10]), at + 10
            if len(data) < begins + size:
                break
            found.append((data[at] & 15, data[begins : begins + size]))
            at = begins + size
        return found

    def texts(self) -> list[Mapping[str, object]]:
        return [json.loads(data) for opcode, data in self.messages() if opcode == Opcode.TEXT]

    def pictures(self) -> list[int]:
        """The numbers of the pictures that came."""
        return list(self._numbers(0, b"\x41", b"\x65"))

    def packets(self) -> list[int]:
        return list(self._numbers(1, b"\xfc"))

    def _numbers(self, track: int, *marks: bytes) -> Iterator[int]:
        for opcode, data in self.messages():
            if opcode == Opcode.BINARY and data[0] == track and data[5:9] == b"moof":
                sample = data[data.index(b"mdat") + 4 :]
                content = sample[4:] if track == 0 else sample
                assert content[:1] in marks
                yield content[1] - 1


def connected(viewer: MseViewer, **fields: object) -> Browser:
    browser = Browser(**fields)  # type: ignore[arg-type]
    viewer.connect(browser, HEAD, 0.0)
    return browser
