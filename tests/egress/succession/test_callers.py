"""The place where successors come to: whoever else comes there, and a predecessor that is gone when one comes."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from egress.succession import channel as channel_module
from egress.succession import predecessor
from egress.succession.channel import GoneError, connect
from egress.succession.words import VERSION, Hello, Ready, encode
from tests.fakes.descriptors import descriptors
from tests.fakes.egress_processes import PATIENCE, Processes, camera, come, hear_all, one, until
from tests.fakes.egress_worker import NODE, watch

HELLO = encode(Hello(VERSION, NODE))


@pytest.fixture
def no_sockets() -> Iterator[list[int]]:
    """Descriptors of a pipe and a file."""
    found = [*os.pipe(), os.open(os.devnull, os.O_RDONLY)]
    yield found
    for each in found:
        os.close(each)


def call(processes: Processes) -> socket.socket:
    """A connection that says what a test has it say."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.connect(str(processes.path))
    return made


async def still_gives(processes: Processes) -> None:
    """A successor is got ready all the same."""
    channel = await come(processes)
    channel.close()


async def closed(sock: socket.socket) -> None:
    """Wait until the other end has closed it, whatever it said before."""
    sock.setblocking(False)
    async with asyncio.timeout(PATIENCE):
        while await asyncio.get_running_loop().sock_recv(sock, 1 << 20):
            pass
    sock.close()


async def test_descriptors_that_are_no_sockets_do_no_harm(processes: Processes, no_sockets: list[int]) -> None:
    async with one(processes):
        before = descriptors()
        for word in (HELLO, b"no word", b""):
            caller = call(processes)
            socket.send_fds(caller, [word], no_sockets)
            await closed(caller)
        assert descriptors() == before, "they are closed"
        await still_gives(processes)


async def test_descriptors_that_are_no_sockets_are_answered_like_any_wrong_word(
    processes: Processes, no_sockets: list[int]
) -> None:
    """In the middle of everything: the predecessor goes on."""
    async with one(processes), camera(processes.broker):
        peer = await watch(processes.broker)
        channel = await come(processes)
        processes.stops[0].ask()
        await hear_all(channel)
        socket.send_fds(channel._socket, [encode(Ready(1, "successor"))], no_sockets)
        await until(lambda: processes.log.of("the successor did not take over; this process continues"))
        channel.close()
        await still_gives(processes)
        await peer.close()


async def test_sockets_of_another_kind_are_not_taken(processes: Processes, no_sockets: list[int]) -> None:
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with pair[0], pair[1], socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        async with one(processes):
            before = descriptors()
            caller = call(processes)
            socket.send_fds(caller, [HELLO], [pair[0].fileno(), datagrams.fileno()])
            await closed(caller)
            assert descriptors() == before
            await still_gives(processes)


async def test_who_says_nothing_is_in_nobodys_way(processes: Processes) -> None:
    async with one(processes), camera(processes.broker):
        peer = await watch(processes.broker)
        silent = [call(processes) for _ in range(3)]
        channel = await asyncio.wait_for(come(processes), predecessor.WARM / 2)
        for each in (channel, *silent):
            each.close()
        await peer.close()


async def test_who_says_nothing_for_long_is_sent_away(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module.Channel.hear, "__defaults__", (0.01,))
    async with one(processes):
        await closed(call(processes))
        await until(lambda: processes.log.of("a successor did not get ready"))


async def test_only_so_many_are_listened_to(processes: Processes) -> None:
    async with one(processes):
        callers = [call(processes) for _ in range(predecessor.MAX_CALLERS + 1)]
        await closed(callers.pop())
        for each in callers:
            each.close()


async def test_only_our_own_user_is_spoken_to(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with one(processes):
        assert processes.path.stat().st_mode & 0o777 == 0o600
        with monkeypatch.context() as patched:
            patched.setattr(channel_module.os, "geteuid", lambda: 12345)
            with pytest.raises(PermissionError):
                connect(processes.path)
            await until(lambda: processes.log.of("a process of another user connected as successor"))
        await still_gives(processes)


CALLER = """
import socket, sys
made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
made.connect(sys.argv[1])
try:
    made.send(bytes.fromhex(sys.argv[2]))
    sys.exit(len(made.recv(1 << 20)))
except OSError:  # it was quicker
    sys.exit(0)
"""


async def test_a_process_that_our_supervisor_did_not_start_is_sent_away(processes: Processes) -> None:
    """It would be told the keys of every session."""
    async with one(processes):
        arguments = [sys.executable, "-c", CALLER, str(processes.path), HELLO.hex()]
        heard = await asyncio.to_thread(subprocess.call, arguments)
        assert heard == 0
        assert processes.log.of("a process that is not a successor was turned away")
        await still_gives(processes)


@pytest.mark.parametrize("hello", [Hello(VERSION + 1, NODE), Hello(VERSION, "egress-8"), Ready(0, "successor")])
async def test_who_is_to_be_another_is_sent_away(processes: Processes, hello: Hello | Ready) -> None:
    async with one(processes):
        channel = connect(processes.path)
        assert channel is not None
        await channel.send(hello)
        with pytest.raises(GoneError):
            await channel.receive()
        channel.close()
        await still_gives(processes)


async def test_one_successor_is_here_at_a_time(processes: Processes) -> None:
    async with one(processes):
        first = await come(processes)
        second = connect(processes.path)
        assert second is not None
        await second.send(Hello(VERSION, NODE))
        with pytest.raises(GoneError):
            await second.receive()
        second.close()
        assert not first.over.is_set()
        first.close()
        await until(lambda: processes.log.of("a successor did not get ready"))
        await still_gives(processes)


async def test_a_successor_that_speaks_unasked_is_given_nothing(processes: Processes) -> None:
    async with one(processes), camera(processes.broker):
        peer = await watch(processes.broker)
        channel = await come(processes)
        await channel.send(Ready(1, "successor"))
        processes.stops[0].ask()
        await until(lambda: processes.log.of("the successor did not take over; this process continues"))
        channel.close()
        await still_gives(processes)
        await peer.close()


async def test_after_a_hand_over_that_failed_at_its_end_another_may_come(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place where it comes to was given up already."""
    async with one(processes), camera(processes.broker):
        peer = await watch(processes.broker)
        channel = await come(processes)
        processes.stops[0].ask()
        await hear_all(channel)
        with monkeypatch.context() as patched:
            patched.setattr(predecessor.words, "Go", lambda: Ready(1 << 70, "it cannot be said"))
            await channel.send(predecessor.words.Taken(1))
            await until(lambda: processes.log.of("the successor did not take over; this process continues"))
        channel.close()
        await still_gives(processes)
        await peer.close()


async def test_one_that_comes_as_the_predecessor_ends_begins_anew(processes: Processes) -> None:
    """It closes the socket before it says anything, and lets its ports go a little later."""
    port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port.bind(("127.0.0.1", 0))
    listener = channel_module.listen(processes.path)
    listener.setblocking(True)
    async with asyncio.TaskGroup() as group:
        processes.start(group, media_port=str(port.getsockname()[1]))
        sock, _ = await asyncio.to_thread(listener.accept)
        sock.close()
        listener.close()
        await until(lambda: processes.log.of("the predecessor does not speak with its successor"))
        await asyncio.sleep(0.2)  # it has found its ports in use
        port.close()
        await processes.broker.until(lambda: NODE in processes.broker.reports)
        processes.stops[0].ask(at_once=True)


async def test_one_whose_predecessor_was_killed_begins_at_once(processes: Processes) -> None:
    channel_module.listen(processes.path).close()
    assert processes.path.exists()
    async with one(processes):
        await still_gives(processes)
