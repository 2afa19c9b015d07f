"""The words of an egress that ends to its successor: a process of our own user's, which is read like a stranger."""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import partial
from typing import Any

import msgpack

from common.errors import ProtocolError
from common.media import Kind, Rendition
from egress.formats import Format
from egress.media.feed import Source
from egress.media.stream import Stream
from egress.sender import Sender
from egress.succession import resuming, states, words
from egress.succession.places import Place
from tests.fakes.session import IDENTITY
from tests.fakes.target import FakeTarget
from tests.fuzz.target import SESSION, Program, Target

SOURCES = {kind: Source(1 + at, 11 + at, 0) for at, kind in enumerate(Kind)}
NOW = 100.0
PROGRAM = b"\xc1"  # begins no MessagePack: what follows says how one of the seeds is changed
LONG = 256  # items of what is not made twice as long once more
STOP = 0xFF  # of a way into a message: what has been got to is changed as a whole
_GENERATION = states.GenerationState("remo", b"a remote password of 22", "ours", "a password of 24 signs…")
_PAIR = states.PairState(("192.0.2.1", 5000), b"\x7f\0\0\1", False, 900, 0, 99.0, False, b"t" * 12, 98.0, 0.01)
SESSION_STATE = states.SessionState(
    session="s" * 38,
    camera="door",
    declined="",
    principal="user:ann",
    expires=None,
    started=1.7e9,
    joined_at=10.0,
    restarts=1,
    ice_mark="abcdef",
    ice=states.IceState(
        created=9.0,
        current=_GENERATION,
        former=None,
        spent=("older",),
        pairs=(_PAIR, replace(_PAIR, remote=("2001:db8::7", 5000, 0, 0), local=b"")),
        nominated=_PAIR.remote,
        selected=_PAIR.remote,
        selected_local=_PAIR.local,
        answers=True,
        renewed=True,
        tie_breaker=b"tie-brea",
    ),
    srtp=states.SrtpState(
        "SRTP_AEAD_AES_128_GCM", b"o" * 28, b"t" * 28, ((1, 90),), ((9, 40),), (b"\x16\xfe\xfd" + bytes(60),)
    ),
    sections=(
        states.SectionState("0", Kind.VIDEO, (Format(108, "H264", "42e01f", 109),), 3, 6, False, False, False),
        states.SectionState("1", Kind.AUDIO, (Format(111, "opus"),), 0, 0, False, False, False),
    ),
    senders=(
        states.SenderState(
            Kind.VIDEO,
            "door",
            70_000,
            7,
            69_000,
            69_993,
            80_000_000,
            20.5,
            (0.2, 69_000),
            (1, 0, 2),
            states.RepeatState(12, 68_990, 30, 28, 29, 0),
            states.ReceptionState(0.25, -3, 69_990, 90, 1 << 31, 65_536, 69_900, 27),
        ),
        states.SenderState(
            Kind.AUDIO,
            "door",
            900,
            0,
            901,
            900,
            90_000,
            None,
            (0.0, 0),
            (0,) * 3,
            states.RepeatState(0, -1, 0, 0, 0, 0),
            None,
        ),
    ),
    path=(0.01, 95.0, (1e6, 2e6), 99.0),
    round_trip=0.01,
    bandwidth=4_000_000,
    counts=(25, 1, 0),
)
PLAIN = replace(
    SESSION_STATE, srtp=states.SrtpState("SRTP_AES128_CM_SHA1_80", b"o" * 30, b"t" * 30, ((1, 90),), (), ())
)
FEED = states.FeedState("door", Kind.VIDEO, "H264", "42e01f", 90_000, 1 << 60, 5, 6, 7, 70_000, 90_000, True, b"k" * 16)


class _Renditions:
    """Counts what is taken and not given back."""

    def __init__(self) -> None:
        self.taken = 0

    def acquire(self, rendition: Rendition) -> Stream:
        self.taken += 1
        return Stream(rendition, lambda: None, sources=SOURCES)

    def release(self, *streams: Stream) -> None:
        self.taken -= len(streams)


def take(data: bytes) -> None:
    """One message; a session is made of one that is whole, and its numbers go on."""
    message = words.decode(_changed(Program(data[1:])) if data[:1] == PROGRAM else data)
    assert words.decode(words.encode(message)) == message
    if isinstance(message, states.FeedState):
        resuming.resume_feed(Stream("door", lambda: None, sources=SOURCES).feeds[message.kind], message)
    if isinstance(message, states.SessionState):
        _go_on(message)


def _changed(program: Program) -> bytes:
    """One of the seeds, changed at some places: of bytes changed by chance next to none are a session any more."""
    tree = msgpack.unpackb(SEEDS[program.byte() % len(SEEDS)])
    while program:
        holder, key = tree, None
        node = tree
        while isinstance(node, dict | list) and node and (key is None or program.byte() != STOP):
            holder, at = node, program.byte() % len(node)
            key = list(node)[at] if isinstance(node, dict) else at
            node = node[key]
        if key is not None:
            holder[key] = _value(program, node)
    packed: bytes = msgpack.packb(tree)
    return packed


def _value(program: Program, before: Any) -> Any:
    match program.byte() & 7:
        case 0:
            return before[:-1] if isinstance(before, bytes | str | list) else program.byte() - 128
        case 1:
            return before * 2 if isinstance(before, bytes | str | list) and len(before) < LONG else program.number(2)
        case 2:
            return program.number(4)
        case 3:
            return program.number(8)
        case 4:
            return struct.unpack("!d", program.take(8).ljust(8, b"\0"))[0]
        case 5:
            return program.take(program.byte()).decode("latin-1")
        case 6:
            return program.take(program.byte())
        case _:
            return (None, False, True, [])[program.byte() & 3]


def _go_on(state: states.SessionState) -> None:
    renditions, behind = _Renditions(), list[Sender]()
    here = resuming.Here(IDENTITY, "cname", behind.append, renditions)
    try:
        viewer = resuming.prepared(state, here, NOW)
        resuming.complete(viewer, state, FakeTarget, NOW)
    except ProtocolError:
        assert not renditions.taken, "what was taken is given back"
        raise
    places = {(each.rendition, each.kind): Place(-1_000, 0) for each in state.senders}
    resuming.begin(viewer, state, places, NOW)
    following = {each.kind: each.following for each in state.senders}
    for sender in viewer.senders.values():
        told = following.pop(sender.feed.kind)
        assert told is None or sender.cursor.upto - sender.lane.base == told
    assert not following
    viewer.report(NOW)
    viewer.sweep(now=NOW, unix_ns=10**18)
    viewer.close(unix_ns=10**18)
    assert not renditions.taken


CHANGE = states.SessionChange(
    0, SESSION_STATE.ice, ((1, 90),), (), SESSION_STATE.senders, SESSION_STATE.path, 0.1, None, (0, 0, 0), watched=False
)
SEEDS = tuple(
    map(
        words.encode,
        (
            SESSION_STATE,
            PLAIN,
            FEED,
            words.Hello(1, "egress-0"),
            words.Prelude(1, "egress-0", "incarnation", "cname", tuple((k, 1, 2, 3) for k in Kind), None, 4),  # type: ignore[arg-type]
            states.ConnectionState(("192.0.2.1", 5000, 7), b"\0\x14abc", b"rest"),
            words.Sockets(2, 2),
            words.Told(4, 1, 99.0),
            words.Ready(1, "inc"),
            words.Taken(2, (0, 3)),
            words.Go(),
            words.Ahead(7),
            words.SessionChanges((CHANGE,)),
        ),
    )
)
TARGETS = [
    Target(
        "succession",
        "sockets and sessions of an egress that ends, from a process of our own user",
        take,
        (
            *SEEDS,
            PROGRAM + b"\0",
            PROGRAM + b"\0\6\3\x27\x0f",
            PROGRAM + b"\1\x09\1\4\1\4\1\5\2\0\1\0\0",
            PROGRAM + b"\2\5\3" + b"\xff" * 8 + b"\4\4\x7f\xf8",
        ),
        (ProtocolError,),
        words=(b"\xa7session", b"\xc0", b"\xcf" + b"\xff" * 8, b"\xcb\x7f\xf0" + bytes(6)),
        grow={
            "nests": lambda size: b"\x91" * size,
            "pairs": lambda size: _grown(size, "pairs"),
            "formats": lambda size: _grown(size, "formats"),
        },
        bound=words.MAX_MESSAGE,
        slow=SESSION,
    )
]


def _grown(size: int, what: str) -> bytes:
    """A session with many more pairs, or formats, than any may have."""
    if what == "pairs":
        more = replace(SESSION_STATE.ice, pairs=(_PAIR,) * (size // 200))
        return words.encode(replace(SESSION_STATE, ice=more))
    video, audio = SESSION_STATE.sections
    formats = partial(replace, video)(formats=video.formats * (size // 60))
    return words.encode(replace(SESSION_STATE, sections=(formats, audio)))
