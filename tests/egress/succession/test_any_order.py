"""A predecessor that says anything in any order, with any sockets: the whole alone is believed, nothing left open."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.cameras import CameraName
from common.errors import ProtocolError
from common.media import Kind, Rendition
from egress.media.stream import Stream
from egress.media.streams import Streams
from egress.succession import states, successor, words
from egress.succession.channel import Channel, GoneError
from egress.succession.resuming import Here, prepared
from egress.succession.successor import Session, Successor, Taken
from egress.viewer import Viewer
from egress.wire.dtls import Identity
from tests.fakes.descriptors import descriptors
from tests.fuzz.succession_targets import FEED, SESSION_STATE, SOURCES

PRELUDE = words.Prelude(words.VERSION, "egress-0", "first", "cname", tuple((k, 1, 2, 3) for k in Kind), None, 0)  # type: ignore[arg-type]
CONNECTION = states.ConnectionState(("192.0.2.1", 5000, 7), b"", b"")
CHANGE = states.SessionChange(0, None, (), (), None, None, None, None, (0, 0, 0), watched=False)
SILENT = replace(SESSION_STATE.srtp, sent=(), heard=())
WORDS: list[bytes | words.Message] = [
    PRELUDE,
    replace(PRELUDE, feeds=1),
    FEED,
    replace(FEED, kind=Kind.AUDIO),
    SESSION_STATE,
    replace(SESSION_STATE, session="t" * 38),
    CONNECTION,
    words.Sockets(1, 0),
    words.Sockets(1, 1),
    words.Told(0, 0, 1.0),
    words.Told(1, 1, 1.0),
    words.Told(1, 2, 1.0),
    words.Hello(words.VERSION, "egress-0"),
    words.Ready(1, "second"),
    words.Taken(1),
    words.Go(),
    words.Ahead(1),
    words.SessionChanges((CHANGE,)),
    words.SessionChanges((CHANGE, replace(CHANGE, place=1))),
    b"no word",
]
KINDS = ["udp", "tcp", "listening", "unix", "file"]
speeches = st.lists(st.tuples(st.sampled_from(WORDS), st.lists(st.sampled_from(KINDS))))
WHOLE: list[tuple[bytes | words.Message, list[str]]] = [
    (FEED, []),
    (words.Sockets(1, 1), ["udp", "listening"]),
    (CONNECTION, ["tcp"]),
    (SESSION_STATE, []),
    (b"no word", []),
    (words.Told(1, 2, 1.0), []),
]


class Renditions:
    """In the place of ``Streams``."""

    def __init__(self) -> None:
        self.held = 0

    def acquire(self, rendition: Rendition) -> Stream:
        self.held += 1
        return Stream(rendition, lambda: None, sources=SOURCES)

    def release(self, *streams: Stream) -> None:
        self.held -= len(streams)

    def learn(self, rendition: Rendition, key: bytes) -> None:
        pass

    def renew(self, revisions: Mapping[CameraName, int]) -> None:
        pass


def opened(kind: str) -> int:
    """A descriptor of that kind."""
    if kind == "file":
        return os.open(os.devnull, os.O_RDONLY)
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    if kind == "listening":
        made.listen()
    return made.detach()


async def followed(
    said: Sequence[tuple[bytes | words.Message, Sequence[str]]],
    prepare: Callable[[Any], Any] = lambda _: None,
    renditions: Renditions | None = None,
) -> Taken | None:
    """All that a successor makes of these words, behind which the channel ends. Raises what it raises."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    renditions = renditions or Renditions()
    channel = Channel(ours)
    follower = Successor(channel, PRELUDE)
    streams = cast(Streams, renditions)
    following = asyncio.ensure_future(follower.follow(streams, "second", lambda: None, prepare))
    theirs.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_recv(theirs, 100)  # that it is ready
        for word, kinds in said:
            descriptors = [opened(kind) for kind in kinds[:8]]
            data = word if isinstance(word, bytes) else words.encode(word)
            while not following.done():
                try:
                    socket.send_fds(theirs, [data], descriptors)
                except BlockingIOError:
                    await asyncio.sleep(0)
                except OSError:
                    break
                else:
                    break
            for descriptor in descriptors:
                os.close(descriptor)
        with suppress(OSError):
            theirs.shutdown(socket.SHUT_WR)  # and it hears still
        return await following
    finally:
        theirs.close()
        follower.close(streams)
        assert not renditions.held


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(successor, "WARM_WITHIN", 0.0)


@pytest.fixture(scope="module")
def few_objects() -> None:
    """Each look at the descriptors collects garbage: not among all that is there before."""
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("few_objects")
@given(speeches)
def test_only_the_whole_is_believed_and_nothing_is_left_open(said: list[Any]) -> None:
    with asyncio.Runner() as runner:
        runner.run(asyncio.sleep(0))
        before = descriptors()
        try:
            taken = runner.run(followed(said))
        except (GoneError, ProtocolError):
            taken = None
        if taken is not None:
            assert taken.udp
            taken.close()
        assert descriptors() == before


@pytest.mark.parametrize("told", [[FEED], [FEED, replace(FEED, kind=Kind.AUDIO)]])
def test_what_is_read_along_is_given_back(told: list[words.Message]) -> None:
    """Else its camera would be pulled for as long as the process lives, whether or not anybody watches."""
    said = [(replace(PRELUDE, feeds=len(told)), list[str]()), *((each, list[str]()) for each in told)]
    with suppress(GoneError):
        asyncio.run(followed(said))  # which asks what is held


def test_what_was_made_in_advance_is_given_back_where_the_predecessor_ends_by_itself() -> None:
    renditions = Renditions()
    here = Here(Identity(compiled=False), "cname", lambda _: None, cast(Streams, renditions))
    made: list[Viewer] = []

    def prepare(state: states.SessionState) -> Viewer:
        made.append(prepared(state, here, 0.0))
        return made[-1]

    assert asyncio.run(followed([(SESSION_STATE, [])], prepare, renditions)) is None  # and asks what is held
    assert made


def test_the_whole_is_taken() -> None:
    taken = asyncio.run(followed(WHOLE))
    assert taken is not None
    assert (len(taken.udp), len(taken.tcp), len(taken.connections)) == (1, 1, 1)
    assert taken.sessions == [Session(SESSION_STATE), None]
    taken.close()


def test_what_was_told_in_advance_is_brought_up_to_date_once_and_what_could_not_be_made_is_nobodys() -> None:
    made = object()
    later = [replace(CHANGE, place=place, round_trip=0.5) for place in (0, 1, 0)]
    said = [
        (SESSION_STATE, []),
        (b"no word", []),
        (replace(SESSION_STATE, session="ended since"), []),
        (words.Ahead(3), []),
        *WHOLE[:3],
        (words.SessionChanges(tuple(later)), []),
        (words.Told(1, 3, 1.0), []),
    ]
    taken = asyncio.run(followed(said, lambda _: made))
    assert taken is not None
    first = Session(
        replace(SESSION_STATE, round_trip=0.5, bandwidth=None, counts=(0, 0, 0), srtp=SILENT), SESSION_STATE, made
    )  # type: ignore[arg-type]
    assert taken.sessions == [first, None, None]
    assert [each and each.state.session for each in taken.ahead] == [None, None, "ended since"]
    taken.close()


def test_a_change_that_cannot_be_read_leaves_all_others_alone() -> None:
    made = object()
    odd = replace(CHANGE, place=1, bandwidth=-1)
    said = [
        *[(replace(SESSION_STATE, session=f"s{number}"), list[str]()) for number in range(3)],
        (words.Ahead(3), []),
        *WHOLE[:3],
        (words.SessionChanges((CHANGE, odd, replace(CHANGE, place=2))), []),
        (words.Told(1, 3, 1.0), []),
    ]
    taken = asyncio.run(followed(said, lambda _: made))
    assert taken is not None
    assert [each and each.state.session for each in taken.sessions] == ["s0", None, "s2"]
    assert [each and each.state.session for each in taken.ahead] == [None, "s1", None], "which is given back"
    taken.close()


@pytest.mark.parametrize("count", [0, 2])
def test_another_number_of_them_is_not_believed(count: int) -> None:
    with pytest.raises(ProtocolError):
        asyncio.run(followed([(SESSION_STATE, []), (words.Ahead(count), [])]))


@pytest.mark.parametrize("count", [1, 50, 500])
def test_as_many_sessions_are_taken_as_there_are(count: int) -> None:
    """They are more than the socket holds, and than are read at once."""
    sessions = [replace(SESSION_STATE, session=f"session {number}") for number in range(count)]
    said = [*WHOLE[:3], *((each, list[str]()) for each in sessions), (words.Told(1, count, 1.0), list[str]())]
    taken = asyncio.run(followed(said))
    assert taken is not None
    assert taken.sessions == [*map(Session, sessions)]
    taken.close()


@pytest.mark.parametrize("place", range(len(WHOLE)))
@pytest.mark.parametrize("what", ["left out", "twice", "with other sockets"])
def test_a_whole_that_is_another_is_not_taken(place: int, what: str) -> None:
    word, kinds = WHOLE[place]
    others = {"left out": [], "twice": [(word, kinds)] * 2, "with other sockets": [(word, [*kinds, "unix"])]}[what]
    said = [*WHOLE[:place], *others, *WHOLE[place + 1 :]]
    if what == "twice" and word in (FEED, CONNECTION):
        pytest.skip("as if it were said once: the newest counts, or a connection is nobody's")
    if what == "left out" and word == CONNECTION:
        pytest.skip("its viewer is left behind alone")
    if what == "with other sockets" and word == b"no word":
        pytest.skip("it is no word in any case, and they are closed")
    if what == "twice" and isinstance(word, words.Told):
        pytest.skip("what comes behind the whole is no part of it")
    with pytest.raises((GoneError, ProtocolError)):
        asyncio.run(followed(said))
