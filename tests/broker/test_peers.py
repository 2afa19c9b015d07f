"""Strangers to a socket of the bus that asks for keys: they are sent away before they have said much."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Iterator

import pytest
import zmq

from broker.peers import MOST_ASKED, MOST_PENDING, MOST_RECEIVED, MOST_SENT, Peers, progress
from broker.unauthenticated import Unauthenticated
from common.bus import Channel, bind, open_socket
from common.curve import Keys, authenticated
from tests.fakes.private_bus import free_tcp_endpoints, zmq_context

PATIENCE = 30.0  # seconds
LONGEST = (8 << 20) - 1  # bytes that libzmq takes as one message
GREETING = b"\xff" + bytes(7) + b"\1\x7f\3\1" + b"CURVE".ljust(20, b"\0") + bytes(32)  # ZMQ RFC 23, and 4 kinds of it
SAID = 100_000  # bytes of it


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq_context() as context:
        yield context


@pytest.mark.parametrize("kind", [zmq.ROUTER, zmq.XSUB, zmq.XPUB])
async def test_who_says_megabytes_before_a_handshake_is_sent_away(
    kind: int, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    """libzmq took them all, of everybody who came, and kept them until it had waited for five seconds."""
    endpoints, keys = free_tcp_endpoints(), Keys.derive("secret")
    host, port = endpoints.control.removeprefix("tcp://").rsplit(":", 1)
    with authenticated(context, keys), contextlib.ExitStack() as stack:
        bound = stack.enter_context(open_socket(context, kind))
        bound.setsockopt(zmq.HANDSHAKE_IVL, 0)  # libzmq itself waits without end
        bind(bound, endpoints.control, keys, "control plane")
        stack.callback(Unauthenticated(bound, Counter(), "strangers").close)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(GREETING + b"\6" + LONGEST.to_bytes(8) + bytes(SAID))
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                while await reader.read(1_024):
                    pass
        writer.transport.abort()


async def test_a_peer_whose_key_is_good_may_say_all_at_once(context: zmq.Context[zmq.Socket[bytes]]) -> None:
    endpoints, keys, counters = free_tcp_endpoints(), Keys.derive("secret"), Counter[str]()
    came, whole = Counter[int](), asyncio.Event()

    def take(frames: list[bytes]) -> None:
        came[len(frames[1])] += 1
        if came.total() == 60:
            whole.set()

    with authenticated(context, keys), contextlib.ExitStack() as stack:
        bound = open_socket(context, zmq.ROUTER)
        bind(bound, endpoints.control, keys, "control plane")
        stack.callback(Unauthenticated(bound, counters, "strangers").close)
        stack.callback(Channel(bound, take, multipart=True).close)
        for number in range(20):
            worker = stack.enter_context(open_socket(context, zmq.DEALER, keys))
            worker.setsockopt(zmq.IMMEDIATE, 0)
            worker.connect(endpoints.control)
            for _ in range(3):
                worker.send(bytes(200_000 + number))
        async with asyncio.timeout(PATIENCE):
            await whole.wait()
    assert not counters


@contextlib.contextmanager
def connections(number: int) -> Iterator[tuple[int, list[socket.socket], list[socket.socket]]]:
    """A port, and connections to it: our ends and the others."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=number))
        theirs = [stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(number)]
        ours = [stack.enter_context(listener.accept()[0]) for _ in theirs]
        yield listener.getsockname()[1], ours, theirs


async def test_the_oldest_of_too_many_goes_but_none_that_is_through() -> None:
    away = Counter[str]()
    with connections(MOST_PENDING + 2) as (port, ours, theirs):
        peers = Peers(port, lambda _: away.update(["away"]))
        ours[0].sendall(bytes(MOST_SENT + 1))
        for each in ours:
            peers.accepted(each.fileno())
        assert away["away"] == 1
        theirs[1].settimeout(PATIENCE)
        assert theirs[1].recv(1) == b""
        theirs[0].settimeout(PATIENCE)
        assert len(theirs[0].recv(1_000)) == MOST_SENT + 1
        peers.close()


async def test_what_is_none_of_its_connections_is_let_alone() -> None:
    """By the time that a descriptor is told it may be another's."""
    away = Counter[str]()
    with connections(1) as (_, [ours], [theirs]), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        theirs.sendall(bytes(MOST_RECEIVED + 1))
        async with asyncio.timeout(PATIENCE):
            while progress(ours).received <= MOST_RECEIVED:  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)
        peers = Peers(1, lambda _: away.update(["away"]))
        pipe = os.pipe()
        for descriptor in (ours.fileno(), other.fileno(), *pipe, 1 << 20):
            peers.accepted(descriptor)
        await asyncio.sleep(0.1)
        assert not away
        ours.sendall(b"x")
        peers.close()
        for descriptor in pipe:
            os.close(descriptor)


async def test_who_subscribes_without_end_is_cut_off_and_who_publishes_is_not() -> None:
    away = Counter[bool]()
    with connections(3) as (port, ours, theirs), contextlib.ExitStack() as stack:
        for each, connection in enumerate(ours):
            peers = Peers(port, lambda through: away.update([through]), subscribers=each < 2)
            stack.callback(peers.close)
            connection.sendall(bytes(MOST_SENT + 1))  # its key was good
            peers.accepted(connection.fileno())
        reading = [asyncio.create_task(asyncio.to_thread(take, each)) for each in ours]
        for each, size in zip(theirs, (MOST_ASKED + 1_000_000, MOST_ASKED // 2, MOST_ASKED + 1_000_000), strict=True):
            with contextlib.suppress(ConnectionError):
                await asyncio.to_thread(each.sendall, bytes(size))
        await reading[0]
        for each in theirs:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_WR)
        assert [await each for each in reading[1:]] == [MOST_ASKED // 2, MOST_ASKED + 1_000_000]
    assert away == {True: 1}


def take(connection: socket.socket) -> int:
    """Read until the end. Returns how many bytes came."""
    came = 0
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(1 << 16):
            came += len(data)
    return came
