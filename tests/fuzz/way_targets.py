"""Ways for what is ordinary and comes often, beside those by which all goes: the same has to come of both."""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import SimpleNamespace

from common.errors import ProtocolError
from common.media import MAX_FRAME_BYTES
from common.worker import pipe
from tests.fakes.pictures import Camera
from tests.fakes.readable import Taking
from tests.fakes.ways import AAC, OPUS, Both
from tests.fuzz.media_targets import PPS, SPS
from tests.fuzz.target import SESSION, Program, Target, on_loop, repeated, string

PAUSES = (40, 40, 0, 1, 39, 41, 500, 70_000)  # milliseconds before a read
TICKET = 32  # bytes
WHOLE = 8  # bytes of the longest that a peer's kernel takes at once


def express(data: bytes) -> None:
    """Reads of a camera's connection, by the express way and by the one in Python alone."""
    program = Program(data)
    how = program.byte()
    camera = Camera(0, h265=bool(how & 1), strange=False)
    both = Both(h265=bool(how & 1), sound=AAC if how & 2 else OPUS, compiled=False)
    both.read(camera.keyframe(100))
    while program:
        what = program.byte()
        after_ns = PAUSES[what >> 5] * 10**6
        match what & 7:
            case 0:
                both.read(program.string(), after_ns)
            case 1:
                both.read(camera.ordinary(4 + 20 * program.byte()), after_ns)
            case 2:
                both.read(both.sound(1 + 5 * program.byte()), after_ns)
            case 3:
                nals = [program.string() or b"\0" for _ in range(1 + (what >> 3 & 3))]
                both.read(camera.picture(*nals, size=100 + program.byte()), after_ns)
            case 4:
                picture = bytearray(both.sound() if what & 8 else camera.ordinary(300))
                picture[program.byte() % len(picture)] ^= program.byte()
                both.read(bytes(picture), after_ns)
            case 5:
                picture = both.sound() if what & 8 else camera.ordinary(300)
                at = 1 + program.byte() % (len(picture) - 1)
                both.read(picture[:at], after_ns)
                both.read(picture[at:], 0)
            case 6:
                first, second = both.sound(), camera.report() if what & 8 else camera.ordinary(300)
                both.read(first + second if what & 16 else second + first, after_ns)
            case 7:
                both.settled()
    both.settled()


class _Kernel(Taking):
    """A connected socket: what a peer has sent, and how much of what it is sent it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.come = bytearray()

    def fileno(self) -> int:
        return 0

    def setblocking(self, _blocking: bool) -> None:
        pass

    def close(self) -> None:
        pass

    def recv_into(self, buffer: bytearray) -> int:
        if not self.come:
            raise BlockingIOError
        size = min(len(buffer), len(self.come))
        buffer[:size] = self.come[:size]
        del self.come[:size]
        return size


def near(data: bytes) -> None:
    """A connection between two processes of a machine: its first frame is a ticket, as at the door of a subscriber."""
    program, kernel = Program(data), _Kernel()
    calls: list[Callable[[], object]] = []
    with on_loop(SimpleNamespace(call_soon=calls.append, time=lambda: now, **dict.fromkeys(_HANDLERS, _nothing))):
        there = pipe.Pipe(kernel, longest=TICKET)  # type: ignore[arg-type]
    sent, put, frames, now = bytearray(), bytearray(), list[bytes](), 0.0

    def take(frame: bytes) -> None:
        frames.append(frame)
        if len(frames) == 1:
            there.allow(MAX_FRAME_BYTES)
        if frame == b"close":
            there.close()

    there.on_frame = take
    while program and not there.closed:
        what = program.byte()
        match what & 3:
            case 0 | 1:
                piece = program.string()
                sent += piece
                kernel.come += piece
                while there.read():
                    pass
            case 2:
                frame = bytes(what >> 2)
                put += len(frame).to_bytes(4) + frame
                if what & 4:
                    there.send_at_once(memoryview(len(frame).to_bytes(4) + frame))
                else:
                    there.put(frame)
            case 3:
                now += program.byte() / 16
                kernel.room = program.byte() * WHOLE
                there.flush()
                if there._waiting and not there.closed:
                    there._writable()
        while calls:
            calls.pop(0)()
    expected = _frames(sent)
    assert frames == expected[: len(frames)]
    assert there.closed or len(frames) == len(expected), "what is whole was handed on"
    assert len(there._partial) <= max(TICKET, MAX_FRAME_BYTES) + 4
    assert put.startswith(kernel.taken)


_HANDLERS = ("add_reader", "remove_reader", "add_writer", "remove_writer")


def _nothing(*_: object) -> None:
    pass


def _frames(stream: bytearray) -> list[bytes]:
    """The whole frames at the beginning of what was sent."""
    frames, at = list[bytes](), 0
    while at + 4 <= len(stream):
        end = at + 4 + int.from_bytes(stream[at : at + 4])
        if end > len(stream):
            break
        frames.append(bytes(stream[at + 4 : end]))
        at = end
    return frames


def _framed(*frames: bytes) -> bytes:
    return b"".join(struct.pack("!I", len(frame)) + frame for frame in frames)


_TICKET = _framed(b"0123456789abcdef" * 2)
_NALS = string(b"\x41\x9a" + bytes(range(20)))

TARGETS = [
    Target(
        "express",
        "reads of ordinary pictures and sound by the express way, from a camera",
        express,
        (
            b"\0\1\x20\1\x20\2\x10\1\x20\2\x10",
            b"\1\1\x20\4\x30\1\x0d\x09\1\x20\5\x30\1\x20",
            b"\3\2\x10\2\x20\7\2\x20\x16\x0e\1\x20\xe1\x20",
            b"\0\1\x20\3" + _NALS + b"\x40\x0b" + _NALS + _NALS,
            b"\0\1\x20\0" + string(b"RTSP/1.0 200 OK\r\n\r\n") + b"\1\x20\0" + string(b"$\2\0\4abcd"),
        ),
        (ProtocolError,),
        (b"RTSP/1.0 200 OK\r\n\r\n", b"$\0\0\x20", b"$\2\0\x20", b"\0\0\1", SPS, PPS),
        {
            "pictures": repeated(b"\1\1", b"\0"),
            "sounds": repeated(b"\2\1", b"\0"),
            "looks": repeated(b"\1\1\7", b"\0"),
            "one read": lambda size: b"\0\1\1\0" + string(b"$\0\0\x0d\x80\xe0" + bytes(11) * (size // 11)),
            "slices": lambda size: b"\0\1\1\3" + string(b"\x41\x9a" + b"a" * size),
        },
        most=96,
        bound=1_024,
        slow=SESSION,
    ),
    Target(
        "near-frames",
        "frames between processes of one machine, from one of our own user",
        near,
        (
            b"\0" + string(_TICKET) + b"\0" + string(_framed(b"door\0frame", b"", b"another")),
            b"\0" + string(_TICKET[:7]) + b"\0" + string(_TICKET[7:] + _framed(b"a", b"close", b"b")),
            b"\0" + string(_framed(b"")) + b"\0" + string(b"\0\0\0\x09abc") + b"\0" + string(b"defghi\0"),
            b"\x22\xfe\x03\1\2\x26\x03\1\xff\x7e\x03\xff\0",
        ),
        words=(_TICKET, b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\5close"),
        grow={
            "frames": lambda size: b"\0" + string(_TICKET) + b"\0" + string(_framed(b"") * (size // 4 - 10)),
            "pieces": repeated(b"\0\0\1\0", b"\0" + string(_TICKET)),
            "a long frame": lambda size: (
                b"\0" + string(_TICKET) + b"\0" + string(b"\0\1\0\0") + repeated(b"\0" + string(bytes(64)))(size - 42)
            ),
            "what waits": repeated(b"\x7e", b"\3\0\1"),
        },
        most=256,
    ),
]
