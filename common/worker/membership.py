"""How a worker becomes a member of its cluster: by the one secret, or by a token exchanged for a key of its own.

The key pair is made here, and its secret half never leaves the process but for ``cluster.key_file``. A worker that the
broker knows by its key is let in whatever has become of the token.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import zmq
from zmq.utils import z85

from common.bus import Channel, connect, open_socket
from common.config import ClusterConfig
from common.control import NodeName, Role
from common.curve import Keys
from common.endpoints import Endpoints
from common.errors import ConfigError, ProtocolError
from common.join import MAX_JOIN_BYTES, Join, Verdict, decode_verdict, encode
from common.log import get_logger
from common.token import WorkerToken
from common.worker.link import Contact

CONNECT_INTERVAL = 0.1  # seconds between looks whether the broker is there
ANSWER_TIMEOUT = 1.0  # seconds for an answer: it takes milliseconds, unless the broker drops the connection
RETRY_INTERVAL = 0.5  # seconds until a refusal that may pass is tried again
PATIENCE = 10.0  # seconds for what may pass: a former self of this name is known to be dead after three


async def worker_keys(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoints: Endpoints,
    cluster: ClusterConfig,
    role: Role,
    node: NodeName,
    stop: asyncio.Event,
) -> Keys | None:
    """The keys by which a worker connects, ``None`` where none are needed or if ``stop`` was set meanwhile.

    Waits for a broker that is away. Raises ``ConfigError`` if the worker may not join.
    """
    if endpoints.directory is not None or not cluster.token:
        return Keys.of_cluster(endpoints, cluster.secret)
    if cluster.secret:
        raise ConfigError("and cluster.secret cannot both be given: the cluster uses one of them", key="cluster.token")
    token = WorkerToken.parse(cluster.token)
    public, secret = _key_pair(cluster.key_file)
    keys = Keys(z85.encode(token.broker), b"", public, secret)
    joining = asyncio.ensure_future(_join(context, endpoints, keys, Join(token.id, token.secret, role, node)))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((joining, stopping), return_when=asyncio.FIRST_COMPLETED)
        if joining.done():
            joining.result()
    finally:
        for task in (joining, stopping):
            task.cancel()
        await asyncio.gather(joining, stopping, return_exceptions=True)
    return keys


async def _join(context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints, keys: Keys, join: Join) -> None:
    """Ask until the broker says yes. Raises ``ConfigError`` if it says no."""
    loop = asyncio.get_running_loop()
    contact = Contact(endpoints.join, loop.time(), get_logger(node=join.node))
    frames: asyncio.Queue[bytes] = asyncio.Queue(1)

    def receive(frame: bytes) -> None:
        if not frames.full():
            frames.put_nowait(frame)

    socket = open_socket(context, zmq.DEALER, keys)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_JOIN_BYTES)
    connect(socket, endpoints.join)
    channel = Channel(socket, receive)
    give_up = loop.time() + PATIENCE
    try:
        while True:
            asked = channel.send(encode(join))
            contact.tried(asked, loop.time())
            if asked:
                verdict = await _verdict(frames)
                if verdict is not None and verdict.accepted:
                    return
                if verdict is not None and (not verdict.passing or loop.time() >= give_up):
                    raise ConfigError(verdict.reason, key="cluster.token")
            await asyncio.sleep(RETRY_INTERVAL if asked else CONNECT_INTERVAL)
    finally:
        channel.close()


async def _verdict(frames: asyncio.Queue[bytes]) -> Verdict | None:
    """The broker's answer, ``None`` if none comes."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            return decode_verdict(await frames.get())
    except (TimeoutError, ProtocolError):
        return None


def _key_pair(file: Path | None) -> tuple[bytes, bytes]:
    """Public and secret key (Z85): those of ``file``, which is made if it does not exist, or new ones."""
    if file is None:
        return zmq.curve_keypair()
    try:
        try:
            secret = file.read_bytes().strip()
        except FileNotFoundError:
            _, secret = zmq.curve_keypair()
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
                made.write(secret + b"\n")
        return zmq.curve_public(secret), secret
    except OSError as exc:
        raise ConfigError(f"{file}: {exc.strerror}", key="cluster.key_file") from None
    except (ValueError, zmq.ZMQError):
        problem = f"{file} holds no key; remove it, and the worker joins again with its token"
        raise ConfigError(problem, key="cluster.key_file") from None
