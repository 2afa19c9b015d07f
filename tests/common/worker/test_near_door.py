"""The door of a subscriber that rests, and publishers that come in."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from common.near import Call
from common.worker import near_door, neighbours
from common.worker.near_door import NearDoor
from common.worker.neighbours import Neighbour, Neighbours
from common.worker.pipe import Pipe
from rigs.waiting import until

BOUND = 5.0


class Resting:
    """A door that rests for good, so that its time to read is ``pause_over``, and publishers that came in."""

    def __init__(self) -> None:
        self.come: list[tuple[Pipe, bytes]] = []
        self.failing = 0  # frames, of which the handler fails
        self.door = NearDoor("out", Counter(), self._opened, lambda _pipe: None)
        self.door.rest(1_000.0)
        self._neighbours: list[Neighbours] = []

    async def publisher(self) -> Neighbour:
        made = Neighbours(Counter(), lambda *_: None, lambda _call: None)
        self._neighbours.append(made)
        made.called(self.door.call)
        await until(lambda: len(self.door.pipes) == len(self._neighbours))
        (neighbour,) = made._connected.values()
        return neighbour

    def pause_over(self) -> None:
        assert self.door._pausing is not None
        self.door._pausing.cancel()
        self.door._rested()

    def close(self) -> None:
        for each in self._neighbours:
            each.close()
        self.door.close()

    def _opened(self, pipe: Pipe) -> None:
        pipe.on_frame = partial(self._take, pipe)

    def _take(self, pipe: Pipe, frame: bytes) -> None:
        self.come.append((pipe, frame))
        if self.failing:
            self.failing -= 1
            raise ValueError("a mistake of ours")


@pytest.fixture
async def resting() -> AsyncIterator[Resting]:
    made = Resting()
    yield made
    made.close()


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Nothing more can be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_all_that_came_in_one_pause_is_taken_at_its_end(resting: Resting) -> None:
    publisher = await resting.publisher()
    sent = [bytes([n]) * 20_000 for n in range(50)] + [bytes(300_000)]  # more than the kernel keeps
    for frame in sent:
        publisher.pipe.send(frame)
    resting.pause_over()
    await until(lambda: len(resting.come) == len(sent))
    assert [frame for _, frame in resting.come] == sent
    pausing = resting.door._pausing
    assert isinstance(pausing, asyncio.TimerHandle)
    await until(lambda: resting.door._pausing.when() > asyncio.get_running_loop().time() + 900)  # type: ignore[union-attr]


async def test_publishers_are_read_in_turn_and_let_others_have_theirs(
    resting: Resting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_door, "DRAIN_TIME", -1.0)
    for each in [await resting.publisher() for _ in range(3)]:
        for _ in range(8):
            each.pipe.send(bytes(20_000))
    turns: list[int] = []

    def turn() -> None:
        turns.append(len(resting.come))
        if len(resting.come) < 24:
            asyncio.get_running_loop().call_soon(turn)

    resting.pause_over()
    turn()
    await until(lambda: len(resting.come) == 24)
    assert len({*turns}) >= 6, "others had their turns between"
    assert len({pipe for pipe, _ in resting.come[:10]}) == 3, "nobody waits until another one is empty"


async def test_a_handler_that_fails_at_the_end_of_a_pause_costs_nothing_else(resting: Resting) -> None:
    errors: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(str(context["exception"])))
    for each in [await resting.publisher() for _ in range(2)]:
        for _ in range(8):
            each.pipe.send(bytes(20_000))
    resting.failing = 5
    asyncio.get_running_loop().call_soon(resting.pause_over)
    await until(lambda: len(resting.come) == 16)
    assert errors == ["a mistake of ours"] * 5


@pytest.mark.parametrize("seconds", [0.0, 0.001])
async def test_a_handler_may_say_how_long_to_rest(resting: Resting, seconds: float) -> None:
    publisher = await resting.publisher()
    taken = resting._take
    (pipe,) = resting.door.pipes
    pipe.on_frame = lambda frame: (resting.door.rest(seconds), taken(pipe, frame))
    for _ in range(3):
        publisher.pipe.send(bytes(100_000))
    resting.pause_over()
    await until(lambda: len(resting.come) == 3)
    publisher.pipe.send(b"more")
    await until(lambda: len(resting.come) == 4)
    assert (resting.door._pausing is None) is (seconds == 0.0)


async def test_a_publisher_with_no_descriptor_left_tells_and_tries_again(
    resting: Resting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "RETRY_INTERVAL", 0.01)
    unreached: list[Call] = []
    made = Neighbours(Counter(), lambda *_: None, unreached.append)
    with no_descriptors():
        made.called(resting.door.call)
    assert unreached == [resting.door.call]
    await until(lambda: resting.door.pipes)
    made.close()


@pytest.fixture
def full_door(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Call, socket.socket]]:
    """A call whose socket has no room, until somebody is let in."""
    monkeypatch.setattr(neighbours, "RETRY_INTERVAL", 1_000.0)
    call = Call("out", "0" * 24 + os.urandom(4).hex(), "1" * 32)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.setblocking(False)
        listener.bind(call.address)
        listener.listen(0)
        first.connect(call.address)
        yield call, listener


async def test_a_publisher_that_finds_no_room_knocks_again(
    resting: Resting, full_door: tuple[Call, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any user of the machine may stand at the door."""
    monkeypatch.setattr(neighbours, "SECRET_KNOCKS", 50)
    call, listener = full_door
    unreached: list[Call] = []
    made = Neighbours(Counter(), lambda *_: None, unreached.append)
    made.called(call)
    assert not made._connected
    listener.accept()[0].close()
    await until(lambda: made._connected)
    assert not unreached, "media goes on by the way that it went"
    made.close()


async def test_a_subscriber_hears_soon_that_a_publisher_finds_no_room(
    resting: Resting, full_door: tuple[Call, socket.socket]
) -> None:
    call, _ = full_door
    unreached: list[Call] = []
    made = Neighbours(Counter(), lambda *_: None, unreached.append)
    made.called(call)
    await until(lambda: unreached)
    await until(lambda: len(unreached) == 2)  # it knocks no more, and comes again later
    assert unreached == [call, call]
    made.close()


@contextmanager
def knocking(resting: Resting, number: int, said: bytes = b"") -> Iterator[list[socket.socket]]:
    """Connections that are no publisher's."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(number)]
        for each in found:
            each.setblocking(False)
            each.connect(resting.door.call.address)
            each.send(said)
        yield found


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


async def test_other_users_that_knock_without_end_take_little_of_a_process(
    resting: Resting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, knocking(resting, 100) as others:
        patch.setattr(near_door, "uid_of_peer", lambda _socket: -1)
        patch.setattr(near_door, "_STRANGER_PAUSE", 0.05)
        since = time.monotonic()
        while (closed := sum(map(is_closed, others))) < 50:
            pauses = (time.monotonic() - since) / near_door._STRANGER_PAUSE
            assert closed <= near_door._AT_ONCE * (pauses + 1), "it has other things to do"
            await asyncio.sleep(0)
        await until(lambda: all(map(is_closed, others)))
    assert await resting.publisher()


@pytest.mark.parametrize("said", [b"", (32).to_bytes(4) + b"0123"])
async def test_who_says_nothing_keeps_no_place(resting: Resting, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(near_door, "TICKET_TIME", 0.02)
    publisher = await resting.publisher()
    with knocking(resting, 1, said) as silent:
        await until(lambda: is_closed(silent[0]))
    assert not publisher.pipe.closed
    assert len(resting.door.pipes) == 1


async def test_who_has_shown_nothing_takes_no_memory(resting: Resting) -> None:
    """A frame of megabytes may come from a publisher alone."""
    with knocking(resting, 1, (33).to_bytes(4)) as guesses:
        await until(lambda: is_closed(guesses[0]))
    publisher = await resting.publisher()
    publisher.pipe.send(bytes(3_000_000))
    resting.pause_over()
    await until(lambda: resting.come)


async def test_a_door_with_no_descriptor_left_lets_in_later(resting: Resting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_door, "_PAUSE", 0.01)
    with socket.socket(socket.AF_UNIX) as early:
        with no_descriptors():
            early.connect(resting.door.call.address)
            for _ in range(50):
                await asyncio.sleep(0.001)
        early.sendall((32).to_bytes(4) + resting.door.call.ticket.encode())
        await until(lambda: resting.door.pipes)
    assert await resting.publisher()
