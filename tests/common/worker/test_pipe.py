"""Frames by a connection of one machine: whole and in order, whatever the kernel takes at once."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
from collections.abc import AsyncIterator

import pytest

from common.worker import pipe as module
from common.worker.pipe import MOST_PARTS, Pipe, uid_of_peer
from rigs.waiting import until

LONGEST = 1 << 20


class Failing(socket.socket):
    """Sends until it has an ``error``, the number of one of the system's."""

    error = 0

    def send(self, *args: object) -> int:
        self._fail()
        return super().send(*args)  # type: ignore[arg-type]

    def sendmsg(self, *args: object) -> int:
        self._fail()
        return super().sendmsg(*args)  # type: ignore[arg-type]

    def _fail(self) -> None:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))


class Ends:
    """Two pipes, of which ``there`` reads."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        ours = self.socket = Failing(fileno=ours.detach())
        self.here, self.there = Pipe(ours, longest=LONGEST), Pipe(theirs, longest=LONGEST)
        self.frames: list[bytes] = []
        self.ended: list[Pipe] = []
        self.there.on_frame = self.frames.append
        for each in (self.here, self.there):
            each.on_end = lambda each=each: self.ended.append(each)
        self.here.open()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    made = Ends()
    yield made
    made.here.close()
    made.there.close()


async def test_frames_of_all_sizes_come_in_order(ends: Ends) -> None:
    ends.there.open()
    sent = [random.randbytes(size) for size in (0, 1, 3, 65_532, 65_533, 70_000, LONGEST, *range(2 * MOST_PARTS))]
    for frame in sent[:7]:
        ends.here.send(frame)
    for frame in sent[7:]:
        ends.here.put(frame)
    ends.here.flush()
    await until(lambda: len(ends.frames) == len(sent))
    assert ends.frames == sent


async def test_what_a_peer_does_not_take_yet_waits_for_it(ends: Ends) -> None:
    sent = [bytes([n]) * 100_000 for n in range(20)]
    for frame in sent:
        ends.here.send(frame)
    await asyncio.sleep(0)
    ends.there.open()
    await until(lambda: len(ends.frames) == len(sent))
    assert ends.frames == sent


@pytest.mark.parametrize("bound", ["MAX_WAITING", "STALLED"])
async def test_a_peer_that_takes_nothing_is_given_up(ends: Ends, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(module, bound, {"MAX_WAITING": 1 << 20, "STALLED": -1.0}[bound])
    for _ in range(20):
        ends.here.send(bytes(100_000))
    assert ends.here.given_up
    assert not ends.ended, "who sends now is in the middle of something"
    await until(lambda: ends.ended)
    assert ends.ended == [ends.here]


async def test_a_peer_that_moves_but_is_too_slow_is_given_up(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALLED", 0.05)
    for _ in range(40):
        ends.here.send(bytes(100_000))
    async with asyncio.timeout(10):
        while len(ends.frames) < 40 and not ends.here.given_up:
            ends.there.read()
            await asyncio.sleep(0.005)
    assert ends.frames, "it moves"
    assert ends.here.given_up
    await until(lambda: ends.ended == [ends.here])


@pytest.mark.parametrize("error", [errno.ENOBUFS, errno.ENOMEM])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_frame_that_cannot_be_sent_ends_it(ends: Ends, error: int, waits: bool) -> None:
    if waits:
        ends.here.send(bytes(LONGEST))
    ends.socket.error = error
    if not waits:
        ends.here.send(b"lost")
    ends.there.open()
    await until(lambda: len(ends.ended) == 2)
    assert ends.ended[0] is ends.here
    assert not ends.here.given_up
    assert ends.frames == []


@pytest.mark.parametrize("error", [0, errno.EPIPE, errno.ECONNRESET])
@pytest.mark.parametrize("waits", [False, True])
async def test_what_a_peer_sent_before_it_went_is_read(ends: Ends, error: int, waits: bool) -> None:
    ends.here.on_frame = ends.frames.append
    ends.here.rest()
    ends.here.send(bytes(LONGEST) if waits else b"it has come")
    ends.there.send(b"last words")
    ends.there.close()
    ends.socket.error = error  # 0: the system's own
    ends.here.send(b"nobody reads this")
    await asyncio.sleep(0.01)
    assert not ends.ended
    ends.here.open()
    await until(lambda: ends.ended)
    assert ends.ended == [ends.here]
    assert ends.frames == [b"last words"]


async def test_what_was_sent_before_the_end_comes_before_it(ends: Ends) -> None:
    ends.here.send(b"last words")
    ends.here.close()
    ends.there.send(b"nobody reads this")
    ends.there.open()
    await until(lambda: ends.ended)
    assert ends.frames == [b"last words"]
    assert ends.ended == [ends.there]
    assert not ends.there.given_up
    assert ends.there.closed


@pytest.mark.parametrize("first", [2, 8])
async def test_a_frame_that_is_too_long_ends_it(ends: Ends, first: int) -> None:
    ends.there.open()
    header = (LONGEST + 1).to_bytes(4) + b"more"
    ends.here._socket.send(header[:first])
    await asyncio.sleep(0.01)
    if first < len(header):
        ends.here._socket.send(header[first:])
    await until(lambda: ends.there in ends.ended)
    assert ends.frames == []


async def test_a_handler_that_fails_costs_no_other_frame(ends: Ends) -> None:
    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(str(context["exception"])))

    def take(frame: bytes) -> None:
        ends.frames.append(frame)
        if frame == b"one":
            raise ValueError("a mistake of ours")

    ends.there.on_frame = take
    for frame in (b"one", b"two", b"three"):
        ends.here.put(frame)
    ends.here.flush()
    ends.there.open()
    await until(lambda: len(ends.frames) == 3)
    assert ends.frames == [b"one", b"two", b"three"]
    assert errors == ["a mistake of ours"]


async def test_one_that_rests_is_read_when_asked(ends: Ends) -> None:
    ends.there.open()
    ends.there.rest()
    ends.here.send(b"frame")
    await asyncio.sleep(0.01)
    assert not ends.frames
    ends.there.read()
    assert not ends.there.read(), "nothing is there"
    assert ends.frames == [b"frame"]


async def test_one_that_rests_tells_whether_more_may_be_there(ends: Ends) -> None:
    ends.here.send(bytes(100_000))
    assert ends.there.read()
    assert not ends.there.read()
    assert ends.frames == [bytes(100_000)]


async def test_more_is_looked_for_behind_a_frame_that_filled_a_read_and_let_longer_ones_in() -> None:
    ours, theirs = socket.socketpair()
    here, there = Pipe(ours, longest=LONGEST), Pipe(theirs, longest=4)
    frames: list[bytes] = []

    def let_in(frame: bytes) -> None:
        frames.append(frame)
        there.allow(LONGEST)

    there.on_frame = let_in
    here.send(b"word")
    here.send(b"a frame")
    assert there.read(), "the first filled the room that there was"
    there.read()
    assert frames == [b"word", b"a frame"]
    here.close()
    there.close()


@pytest.mark.parametrize("opens", [False, True])
async def test_what_there_was_no_time_for_comes_before_the_rest(
    ends: Ends, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    monkeypatch.setattr(module, "DRAIN_TIME", -1.0)
    for frame in (b"one", b"two", b"three"):
        ends.here.send(frame)
    assert ends.there.read()
    assert ends.frames == [b"one"]
    ends.here.send(b"four")
    if opens:
        ends.there.open()
        await until(lambda: len(ends.frames) == 4)
    else:
        for _ in range(3):
            ends.there.read()
    assert ends.frames == [b"one", b"two", b"three", b"four"]


async def test_the_user_of_a_peer_is_known() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert uid_of_peer(ours) == os.geteuid()
