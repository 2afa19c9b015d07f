"""The socket between both: what is said before the end is heard, and nothing after it was shut; by each event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from common.errors import ProtocolError
from egress.succession.channel import MAX_WAITING, Channel, GoneError
from egress.succession.words import MAX_MESSAGE, Go, Ready, Taken, encode

PATIENCE = 20.0  # seconds
Run = Callable[[Callable[[Channel, socket.socket], Coroutine[None, None, None]]], None]
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Has a test play with a channel and the bare socket at its other end."""

    def play(main: Callable[[Channel, socket.socket], Coroutine[None, None, None]]) -> None:
        async def both() -> None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            channel = Channel(ours)
            try:
                async with asyncio.timeout(PATIENCE):
                    await main(channel, theirs)
            finally:
                channel.close()
                theirs.close()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(both())

    return play


@pytest.mark.parametrize("words", [0, 1, MAX_WAITING, 2 * MAX_WAITING])
@pytest.mark.parametrize("unread", [False, True])
def test_what_was_said_before_the_end_is_heard_also_where_the_other_had_not_listened(
    run: Run, words: int, unread: bool
) -> None:
    async def main(channel: Channel, theirs: socket.socket) -> None:
        if unread:
            await channel.send(Go())
        for number in range(words):
            theirs.send(encode(Ready(number, "")))
        theirs.close()
        for number in range(words):
            assert (await channel.receive())[0] == Ready(number, "")
        with pytest.raises(GoneError):
            await channel.receive()
        assert channel.over.is_set()

    run(main)


@pytest.mark.parametrize("words", [0, 3])
def test_after_it_was_shut_nothing_can_be_said_and_what_was_is_heard(run: Run, words: int) -> None:
    async def main(channel: Channel, theirs: socket.socket) -> None:
        for _ in range(words):
            theirs.send(encode(Go()))
        channel.shut()
        with pytest.raises(BrokenPipeError):
            theirs.send(encode(Go()))
        for _ in range(words):
            await channel.hear(Go)
        with pytest.raises(GoneError):
            await channel.hear(Go)

    run(main)


def test_it_is_seen_that_the_other_has_ended_while_nothing_is_awaited(run: Run) -> None:
    async def main(channel: Channel, theirs: socket.socket) -> None:
        waiting = asyncio.ensure_future(channel.over.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        theirs.close()
        await waiting

    run(main)


def test_a_word_of_another_kind_too_long_or_late_is_not_taken(run: Run) -> None:
    async def main(channel: Channel, theirs: socket.socket) -> None:
        theirs.send(encode(Go()))
        with pytest.raises(ProtocolError, match="not what is said here"):
            await channel.hear(Taken)
        theirs.send(bytes(MAX_MESSAGE + 2))
        with pytest.raises(ProtocolError, match="more than a message has"):
            await channel.hear(Go)
        with pytest.raises(TimeoutError):
            await channel.hear(Go, 0.01)
        theirs.send(encode(Go()))
        await channel.hear(Go)

    run(main)


def test_sockets_that_come_along_are_closed_where_they_are_not_taken(run: Run) -> None:
    async def main(channel: Channel, theirs: socket.socket) -> None:
        ours, far = socket.socketpair()
        for word in (encode(Go()), b"no word"):
            socket.send_fds(theirs, [word], [far.fileno()])
        far.close()
        with pytest.raises(ProtocolError):
            await channel.hear(Go)
        with pytest.raises(ProtocolError):
            await channel.receive()
        assert ours.recv(1) == b"", "nobody has the other end any more"
        ours.close()

    run(main)
