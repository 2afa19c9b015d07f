"""The join socket, on the loopback: what it answers, and that garbage and floods leave it small and at work."""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
import zmq

from broker import joining as module
from broker.doorman import AddressBudget, Doorman
from broker.joining import Joining
from broker.keyring import Keyring
from common import bus
from common.control import Role
from common.curve import Keys
from common.endpoints import Endpoints
from common.errors import ConfigError
from common.join import MAX_JOIN_BYTES, Join, Verdict, decode_verdict, encode
from common.token import WorkerToken
from rigs.waiting import until
from tests.fakes.members import PATIENCE, Socket
from tests.fakes.private_bus import free_tcp_endpoints, zmq_context


class Door:
    """A join socket that listens, and what it counts."""

    def __init__(self, context: zmq.Context, keyring: Keyring, budget: AddressBudget) -> None:
        self.context = context
        self.keyring = keyring
        self.endpoints: Endpoints = free_tcp_endpoints()
        self.counters: Counter[str] = Counter()
        self.doorman = Doorman(context, keyring, self.counters)
        self.doorman.joining = budget
        self.joining = Joining(
            context, self.endpoints, keyring.keys, keyring, budget, lambda node: node == "busy", self.counters
        )

    @contextmanager
    def peer(self) -> Iterator[Socket]:
        """Somebody who knows the broker's public key."""
        peer = Socket(self.context, zmq.DEALER, self.endpoints.join, self.keys())
        yield peer
        peer.channel.close()

    def keys(self) -> Keys:
        return Keys(self.keyring.public, b"", *zmq.curve_keypair())

    async def ask(self, peer: Socket, message: bytes) -> Verdict:
        """Send until there is an answer: the connection may be dropped at any time."""
        async with asyncio.timeout(PATIENCE):
            while peer.frames.empty():
                peer.channel.send(message)
                await asyncio.sleep(0.05)
        return decode_verdict(await peer.next())


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async for door in opened(tmp_path, AddressBudget(1_000, 1_000.0)):
        yield door


@pytest.fixture
async def strict_door(tmp_path: Path) -> AsyncIterator[Door]:
    """One that soon has enough of an address."""
    async for door in opened(tmp_path, AddressBudget(20, 2.0)):
        yield door


async def opened(tmp_path: Path, budget: AddressBudget) -> AsyncIterator[Door]:
    with closing(Keyring(tmp_path / "camshaft.db.keys")) as keyring, zmq_context() as context:
        door = Door(context, keyring, budget)
        with door.doorman, door.joining:
            yield door


async def test_no_heartbeat_goes_to_who_joins(door: Door) -> None:
    """One that is due where a stranger has taken its own name twice would end the broker (``common.bus.bind``)."""
    channel = door.joining._channel
    assert channel is not None
    assert channel.socket.getsockopt(zmq.HEARTBEAT_IVL) == 0


def join(token: WorkerToken, node: str = "out-1", role: Role = Role.EGRESS) -> bytes:
    return encode(Join(token.id, token.secret, role, node))


async def test_yes_and_again_yes_to_the_same_key(door: Door) -> None:
    token = door.keyring.make_token(Role.EGRESS, uses=1, now=0.0)
    with door.peer() as peer:
        for _ in range(2):
            assert await door.ask(peer, join(token)) == Verdict(True)
        member = door.keyring.member_named("out-1")
    assert member is not None
    assert member.role is Role.EGRESS


async def test_no_with_the_reason(door: Door) -> None:
    token = door.keyring.make_token(Role.EGRESS, now=0.0)
    with door.peer() as peer:
        verdict = await door.ask(peer, join(WorkerToken.make(bytes(32))))
        assert (verdict.accepted, verdict.passing) == (False, False)
        assert "does not know this worker token" in verdict.reason
    await door_ask_once(door, join(token, "busy"))
    verdict = await door_ask_once(door, join(token, "busy"))  # another key, while that worker is at work
    assert (verdict.accepted, verdict.passing) == (False, True)
    assert "'busy' is already running" in verdict.reason


async def door_ask_once(door: Door, message: bytes) -> Verdict:
    with door.peer() as peer:
        return await door.ask(peer, message)


async def test_garbage_is_counted_and_not_answered(door: Door) -> None:
    token = door.keyring.make_token(Role.EGRESS, now=0.0)
    with door.peer() as peer:
        await peer.connected()
        for garbage in (b"", b"\xff" * 100, b"\x80", os.urandom(400)):
            assert peer.channel.send(garbage)
        assert peer.channel.send(join(token), join(token))
        assert await door.ask(peer, join(token)) == Verdict(True)
        assert peer.frames.empty()
    assert door.counters["join_garbage"] == 5


async def test_a_message_that_is_too_long_ends_the_connection(door: Door) -> None:
    token = door.keyring.make_token(Role.EGRESS, now=0.0)
    with door.peer() as peer:
        await peer.connected()
        peer.channel.send(bytes(MAX_JOIN_BYTES + 1))
        assert await door.ask(peer, join(token)) == Verdict(True)  # by a connection that libzmq makes anew
    assert door.counters["join_garbage"] == 0


async def test_connections_that_stay_are_dropped_and_the_next_worker_gets_in(door: Door, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 20)
    token = door.keyring.make_token(Role.EGRESS, now=0.0)
    before = len(psutil.Process().net_connections("tcp"))
    peers = [Socket(door.context, zmq.DEALER, door.endpoints.join, door.keys()) for _ in range(40)]
    for number, peer in enumerate(peers):
        await door.ask(peer, join(token, f"out-{number}"))
    with door.peer() as late:
        assert await door.ask(late, join(token, "late")) == Verdict(True)
    for peer in peers:
        peer.channel.close()
    await until(lambda: len(psutil.Process().net_connections("tcp")) <= before + 2, PATIENCE)


async def test_an_address_that_floods_is_cut_off_and_memory_stays(strict_door: Door) -> None:
    door, process = strict_door, psutil.Process()
    peers = [Socket(door.context, zmq.DEALER, door.endpoints.join, door.keys()) for _ in range(10)]
    await asyncio.sleep(0)
    grown, began = [], time.monotonic()
    for _ in range(3):
        for _ in range(300):
            for peer in peers:
                peer.channel.send(os.urandom(400))
            await asyncio.sleep(0.001)
        grown.append(process.memory_info().rss)
    read = door.counters["join_garbage"]  # a peer that may not try again is refused as often as libzmq lets it ask
    assert read <= 20 + 2 * (time.monotonic() - began), "20 at once and 2 a second"
    assert door.counters["join_flood"] >= 1
    assert grown[-1] - grown[0] < 20 << 20
    for peer in peers:
        peer.channel.close()
    token = door.keyring.make_token(Role.EGRESS, now=0.0)
    assert await door_ask_once(door, join(token)) == Verdict(True)


async def test_a_socket_that_cannot_be_made_is_tried_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    token = door.keyring.make_token(Role.EGRESS, now=0.0)
    failures = iter([zmq.ZMQError(errno.EMFILE), ConfigError("cannot listen", key="broker.address")])

    def open_socket(*arguments: object) -> zmq.Socket[bytes]:
        for failure in failures:
            raise failure
        return bus.open_socket(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "open_socket", open_socket)
    door.joining._renew()
    assert await door_ask_once(door, join(token)) == Verdict(True)
