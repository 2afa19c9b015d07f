"""A cluster whose workers join by tokens: a whole broker on the loopback, and members that do what a test says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from broker.admission import Member
from broker.keyring import Keyring, keyring_path
from common.bus import Channel, open_socket
from common.config import Config
from common.control import Role
from common.curve import Keys
from common.endpoints import Endpoints
from common.token import WorkerToken
from common.worker.membership import worker_keys
from rigs.waiting import until
from tests.fakes.broker import RunningBroker, configuration, running_broker
from tests.fakes.private_bus import free_tcp_endpoints

PATIENCE = 10.0  # seconds
NOW = 1_000_000.0  # Unix time at which members are admitted


def admit(
    keyring: Keyring,
    token: WorkerToken,
    node: str = "out-1",
    *,
    key: str = "",
    role: Role = Role.EGRESS,
    alive: tuple[str, ...] = (),
    now: float = NOW,
) -> Member:
    """Have a worker join, with a new key if it brings none."""
    key = key or zmq.curve_keypair()[0].decode()
    return keyring.admit(token.id, token.secret, key, role, node, lives=alive.__contains__, now=now)


@dataclass
class TokenCluster:
    """A cluster's addresses. The broker can be stopped and started again in the same place."""

    directory: Path
    sections: dict[str, Any]
    endpoints: Endpoints = field(default_factory=free_tcp_endpoints)

    @property
    def config(self) -> Config:
        """The broker's."""
        return configuration(self.directory, self.endpoints, **self.sections)

    def keyring(self) -> Keyring:
        """As ``camshaft token`` opens it."""
        return Keyring(keyring_path(self.config.store.path))

    def token(self, role: Role, **limits: Any) -> str:
        """A new worker token."""
        with closing(self.keyring()) as keyring:
            return str(keyring.make_token(role, now=time.time(), **limits))

    def revoke(self, name: str) -> None:
        """As ``camshaft token revoke`` does."""
        with closing(self.keyring()) as keyring:
            keyring.revoke(name)

    def worker(self, role: Role, *, token: str = "", **cluster: Any) -> Config:
        """The configuration of a worker with a token of its own."""
        cluster = {"token": token or self.token(role), **cluster}
        return configuration(self.directory, self.endpoints, cluster=cluster, media={"port": 0})

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[RunningBroker]:
        """The broker, until left."""
        async with running_broker(self.config, self.endpoints) as broker:
            yield broker


def token_cluster(directory: Path, **sections: Any) -> TokenCluster:
    """One for which a token has been made, which is what turns tokens on."""
    cluster = TokenCluster(directory, sections)
    cluster.keyring().close()
    return cluster


async def joined(
    context: zmq.Context[zmq.Socket[bytes]],
    cluster: TokenCluster,
    role: Role,
    node: str,
    *,
    token: str = "",
    **more: Any,
) -> Keys:
    """The keys of a worker that has joined. Raises ``ConfigError`` if it may not."""
    config = cluster.worker(role, token=token, **more)
    async with asyncio.timeout(2 * PATIENCE):
        keys = await worker_keys(context, cluster.endpoints, config.cluster, role, node, asyncio.Event())
    assert keys is not None
    return keys


class Socket:
    """A media socket of a member, or of somebody who would like to be one."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], kind: int, endpoint: str, keys: Keys | None) -> None:
        socket = open_socket(context, kind, keys)
        if kind == zmq.XPUB:
            socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        socket.connect(endpoint)
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.channel = Channel(socket, self.frames.put_nowait)

    async def connected(self) -> None:
        """Wait until a message would leave. Another thread must not: the channel would take its wake-up."""
        await until(lambda: self.channel.writable, PATIENCE)

    async def next(self) -> bytes:
        """The next frame."""
        async with asyncio.timeout(PATIENCE):
            return await self.frames.get()
