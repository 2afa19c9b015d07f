"""Pages that watch by the page's own port: what they say at the front door, and a session of theirs at an egress."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from aiohttp._websocket.reader_py import WebSocketDataQueue, WebSocketReader  # of those compiled nothing is seen

from broker.front.paced import AT_ONCE, MAX_HEAD, Paced
from broker.front.signalling import MAX_FRAME
from common.media import Kind
from egress.mse.viewer import SILENT_AFTER
from tests.fakes.mse import HEAD, Camera, connected, packet, picture
from tests.fakes.readable import Readable
from tests.fuzz.mse_targets import MASK, masked
from tests.fuzz.target import Program, Target, on_loop, repeated, string

LIMIT = 1 << 18  # bytes that aiohttp keeps for those who handle them
ROOM = 64  # bytes, of which a browser takes some at once


class _Queue(WebSocketDataQueue):
    """Counts the messages that nobody has handled."""

    waiting = 0

    def feed_data(self, data: Any, size: int) -> None:
        self.waiting += 1
        super().feed_data(data, size)


class _Reader:
    """aiohttp's reader, and one who handles messages."""

    def __init__(self, limit: int) -> None:
        protocol = SimpleNamespace(_reading_paused=False, pause_reading=lambda: None, resume_reading=lambda: None)
        self.queue = _Queue(protocol, limit, loop=None)  # type: ignore[arg-type]
        self.parser = WebSocketReader(self.queue, MAX_FRAME, compress=False, decode_text=True)
        self.messages: list[object] = []

    def handle(self, most: int, handled: Callable[[], None] = lambda: None) -> None:
        """Handle so many messages, if they are there."""
        while most and self.queue.waiting:
            most -= 1
            self.queue.waiting -= 1
            try:
                self.queue.read().send(None)
            except StopIteration as done:
                self.messages.append(done.value)
            handled()


def pace(data: bytes) -> None:
    """Words of a page, in pieces, and how fast they are handled: the same messages come of them as of all at once."""
    program, transport, reader = Program(data), Readable(), _Reader(LIMIT)
    calls: list[Callable[[], object]] = []
    said, waiting = bytearray(), 0

    def grown(size: int) -> None:
        nonlocal waiting
        waiting += size

    def turn() -> None:
        due, calls[:] = calls[:], []
        for call in due:
            call()
        assert waiting == len(paced._waiting), "neither more nor less is counted"
        assert reader.queue.waiting <= AT_ONCE + 1, "and the one that was under way"
        if transport.reading and not paced._closed:
            assert waiting < MAX_HEAD, "a page whose words wait is not read"

    with on_loop(SimpleNamespace(call_soon=calls.append)):
        paced = Paced(transport, grown).to(reader.parser)  # type: ignore[arg-type]
        while program and not transport.aborted:
            what = program.byte()
            if what & 3 == 3:
                reader.handle(what >> 2, paced.handled)
            else:
                piece = program.string() * (1 + (what >> 2))
                said += piece
                paced.feed_data(piece)
            turn()
        while calls or reader.queue.waiting:
            if len(data) % 2:  # the end comes while something waits
                break
            reader.handle(AT_ONCE, paced.handled)
            turn()
        error = reader.queue.exception()  # which aiohttp forgets with the end
        whole = _read_whole(bytes(said[: len(said) - len(paced._waiting)]))  # what waits may be half of a head
        assert len(data) % 2 or repr(error) == repr(whole.queue.exception())
        paced.feed_eof()
        while calls or reader.queue.waiting:
            reader.handle(AT_ONCE, paced.handled)
            turn()
    assert transport.aborted or reader.messages == _read_whole(bytes(said)).messages
    assert not waiting


def _read_whole(said: bytes) -> _Reader:
    """One that gets all at once, and whatever it takes."""
    reader = _Reader(1 << 30)
    reader.parser.feed_data(said)
    reader.handle(len(said))
    return reader


def watch(data: bytes) -> None:
    """Words of a page, room for what it is sent, its camera's media, and time: all that it gets is whole."""
    program, camera, now = Program(data), Camera(), 0.0
    viewer = camera.viewer(Kind.VIDEO, Kind.AUDIO)
    browser = connected(viewer)
    pictures = sounds = 0
    while program and not viewer.ended:
        what = program.byte()
        match what & 7:
            case 0 | 1:
                viewer.receive(program.string(), now)
            case 2 | 3:
                camera.push(picture(pictures, keyframe=bool(what & 8), size=what >> 4))
                pictures = (pictures + 1) % 250
            case 4:
                camera.push(packet(sounds))
                sounds = (sounds + 1) % 250
            case 5:
                browser.room = program.byte() * ROOM if what & 8 else float("inf")
                if browser.waits:
                    browser.waits = False
                    viewer.writable()
            case 6:
                now += (what >> 3) / 8
                viewer.sweep(now)
                viewer.report(now)
            case 7:
                viewer.receive(masked(0x81, b"restart"), now)
    assert all(text["type"] in ("hello", "track") for text in browser.texts())
    if not viewer.ended:
        viewer.sweep(now + SILENT_AFTER + 1)
        assert viewer.ended or not browser.taken
    viewer.close(viewer.ended)
    assert browser.closed
    assert camera.released == 2
    assert bytes(browser.taken[: len(HEAD)]) == HEAD


_PINGS = masked(0x89, b"")

TARGETS = [
    Target(
        "page-pace",
        "a page's frames at the front door, of which few are read at once, from anybody",
        pace,
        (
            b"\0" + string(masked(0x81, b"{}") + _PINGS * 3) + b"\x07\0" + string(masked(0x88, b"\3\xe8")),
            b"\xfc" + string(_PINGS) + b"\xfc" + string(_PINGS) + b"\x0b\x0b\xff",
            b"\xfc" + string(b"\1\x80" + MASK + b"\0\x80" + MASK) + b"\0" + string(b"\x80\x80" + MASK) + b"\x07",
            b"\0" + string(_PINGS[:3]) + b"\0" + string(_PINGS[3:] + b"\x81\xfe\1\0" + MASK + bytes(100)),
        ),
        words=(_PINGS, b"\1\x80" + MASK, b"\0\x80" + MASK, b"\x80\x80" + MASK, b"\x81\xfe"),
        grow={
            "pings": lambda size: b"\0" + string(_PINGS * (size // 6)),
            "pieces": repeated(b"\0" + string(b"\x89")),
            "fragments": lambda size: b"\0" + string((b"\1\x80" + MASK) + (b"\0\x80" + MASK) * (size // 6)),
            "texts": lambda size: b"\0" + string(masked(0x81, b"a" * 100) * (size // 106)),
        },
        most=512,
    ),
    Target(
        "page-session",
        "a whole session of a page at its own port: what it says and takes, media, and time",
        watch,
        (
            b"\x0a\x02\4\x12\4\x06\7\x22\4\1" + string(masked(0x89, b"ping")) + b"\x0e\1" + string(masked(0x88, b"")),
            b"\x0d\1\x1a\x02\4\x12\x0d\2\x0a\x12\4\5\x02\xfe\4",
            b"\4\4\x0a\x02\x0d\0\x02\x02\x0a\x02\x0d\x40\7\7\7\7\5\x02",
        ),
        words=(masked(0x81, b"restart"), _PINGS, masked(0x8A, b""), b"\x0d\0", b"\x0a\2\4"),
        grow={
            "pictures": repeated(b"\2", b"\x0a"),
            "keyframes": repeated(b"\x0a"),
            "pictures that are not taken": repeated(b"\2\4", b"\x0a\x0d\1"),
            "restarts": repeated(b"\7\xfe"),
            "a byte at a time": repeated(b"\x0d\1\2", b"\x0a"),
            "pings": repeated(b"\0" + string(_PINGS)),
        },
        most=256,
        bound=4_096,
    ),
]
