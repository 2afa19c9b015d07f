"""The relay as a process of its own: media with no broker at all, and what a broker hears of it when there is one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import zmq

from common.bus import Channel
from common.config import Config
from common.control import Leaving, Role, Unfit, decode_for_broker, encode
from common.curve import Keys
from common.endpoints import Endpoints
from common.errors import AddressInUseError, CamshaftError
from common.media import live_topic
from relay.process import run
from tests.fakes.broker import RunningBroker, configuration, running_broker
from tests.fakes.members import PATIENCE, Socket, joined, token_cluster
from tests.fakes.private_bus import free_tcp_endpoints, private_endpoints, zmq_context
from tests.fakes.workers import FakeEgress, FakeIngest

DOOR = live_topic("door")
SECRET = "of this one cluster"


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq_context() as context:
        yield context


@asynccontextmanager
async def relaying(config: Config) -> AsyncIterator[asyncio.Task[None]]:
    """The process's ``run``, until left."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(config, stop))
    try:
        yield task
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


@asynccontextmanager
async def pair(context: zmq.Context, endpoints: Endpoints, *keys: Keys | None) -> AsyncIterator[tuple[Socket, Socket]]:
    """A publisher and a subscriber of the door, who have found each other."""
    publisher = Socket(context, zmq.XPUB, endpoints.media_in, keys[0])
    subscriber = Socket(context, zmq.SUB, endpoints.media_out, keys[-1])
    subscriber.channel.socket.subscribe(DOOR)
    try:
        assert await publisher.next() == b"\x01" + DOOR
        yield publisher, subscriber
    finally:
        publisher.channel.close()
        subscriber.channel.close()


async def passes(publisher: Socket, subscriber: Socket, frame: bytes) -> None:
    publisher.channel.send(DOOR + frame)
    assert await subscriber.next() == DOOR + frame


async def relayed(broker: RunningBroker) -> dict[str, int]:
    """Frames by direction, as Prometheus is told them."""
    async with broker.http.get("/metrics") as response:
        text = await response.text()
    found = re.findall(r'^camshaft_relay_frames_total\{direction="(\w+)"\} (\d+)', text, re.MULTILINE)
    return {way: int(frames) for way, frames in found}


@pytest.mark.thorough
@pytest.mark.parametrize("way", ["ipc", "curve"])
async def test_media_passes_before_there_is_a_broker_while_it_is_there_and_after(
    tmp_path: Path, context: zmq.Context, way: str
) -> None:
    with private_endpoints() as private:
        endpoints = private if way == "ipc" else free_tcp_endpoints()
        keys = None if way == "ipc" else Keys.derive(SECRET)
        sections = {"cluster": {"secret": "" if way == "ipc" else SECRET}}
        config = configuration(tmp_path, endpoints, broker={"address": endpoints.address, "relay": "apart"}, **sections)
        async with relaying(config), pair(context, endpoints, keys) as (publisher, subscriber):
            await passes(publisher, subscriber, b"before")
            async with running_broker(config, endpoints) as broker:
                nodes = await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
                assert (nodes[1]["node"], nodes[1]["role"]) == ("relay", "relay")
                await passes(publisher, subscriber, b"while")
                async with asyncio.timeout(PATIENCE):
                    while await relayed(broker) != {"in": 2, "out": 2}:  # noqa: ASYNC110 - HTTP has no event
                        await asyncio.sleep(0.05)
                async with broker.http.post("/api/nodes/relay/drain") as response:
                    assert (await response.json())["code"] == "last_of_role"
            await passes(publisher, subscriber, b"after")
            async with running_broker(config, endpoints) as broker:
                await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
                assert publisher.frames.empty(), "nobody has subscribed again"


async def test_a_broker_without_its_relay_is_not_ready(tmp_path: Path) -> None:
    with private_endpoints() as endpoints:
        config = configuration(tmp_path, endpoints, broker={"address": endpoints.address, "relay": "apart"})
        async with (
            running_broker(config, endpoints) as broker,
            FakeIngest(endpoints, "in-1"),
            FakeEgress(endpoints, "out-1"),
        ):
            lacking = {"status": "not ready", "reasons": ["No relay process is connected."]}
            await broker.until("/readyz", lambda answer: answer == lacking)
            async with relaying(config):
                await broker.until("/readyz", lambda answer: answer["status"] == "ready")
            await broker.until("/readyz", lambda answer: answer == lacking)


async def test_a_broker_that_speaks_nothing_that_it_does_costs_no_picture(tmp_path: Path, context: zmq.Context) -> None:
    with private_endpoints() as endpoints:
        control = context.socket(zmq.ROUTER)
        control.bind(endpoints.control)
        gave_up = asyncio.Event()

        def refuse(frames: list[bytes]) -> None:
            channel.send(frames[0], encode(Unfit("0.9 is too old")))
            if isinstance(decode_for_broker(frames[1]), Leaving):
                gave_up.set()

        channel = Channel(control, refuse, multipart=True)
        async with (
            relaying(configuration(tmp_path, endpoints)) as task,
            pair(context, endpoints, None) as (publisher, subscriber),
            asyncio.timeout(PATIENCE),
        ):
            await gave_up.wait()
            await passes(publisher, subscriber, b"all the same")
            assert not task.done()
        channel.close()


async def test_there_is_one_relay(tmp_path: Path) -> None:
    """ZeroMQ would take the other's sockets over, and neither would say a word."""
    with private_endpoints() as endpoints:
        inside = configuration(tmp_path, endpoints)
        async with running_broker(inside, endpoints):
            with pytest.raises(AddressInUseError, match=r"media relay: ipc://.* is in use"):
                await run(inside, asyncio.Event())


@pytest.mark.thorough
async def test_where_workers_have_keys_they_may_do_as_their_role_says_until_that_is_taken_back(
    tmp_path: Path, context: zmq.Context
) -> None:
    cluster = token_cluster(tmp_path)
    cluster.sections["broker"] = {"address": cluster.endpoints.address, "relay": "apart"}
    async with relaying(cluster.config), cluster.broker() as broker:
        ingest = await joined(context, cluster, Role.INGEST, "in-1")
        egress = await joined(context, cluster, Role.EGRESS, "out-1")
        await broker.until("/api/nodes", lambda nodes: [node["role"] for node in nodes] == ["broker", "relay"])
        async with pair(context, cluster.endpoints, ingest, egress) as (publisher, subscriber):
            forger = Socket(context, zmq.XPUB, cluster.endpoints.media_in, egress)
            await passes(publisher, subscriber, b"sealed or not")
            await broker.until("/api/nodes", lambda nodes: nodes[1]["counters"].get("publish_refused") == 1)
            assert forger.frames.empty(), "an egress publishes nothing"
            forger.channel.close()
            cluster.revoke("out-1")
            await broker.until("/api/nodes", lambda nodes: nodes[1]["counters"].get("subscribe_refused"))
            publisher.channel.send(DOOR + b"for others")
            assert subscriber.frames.empty()
    with closing(cluster.keyring()) as keyring:
        assert Role.RELAY not in {token.role for token in keyring.tokens()}, "a release without a relay can open it"
        assert keyring.member_named("relay") is None


async def test_one_that_hangs_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.relay._relay", lambda *sockets: [socket.close(linger=0) for socket in sockets])
    with private_endpoints() as endpoints, pytest.raises(ExceptionGroup) as caught:
        async with relaying(configuration(tmp_path, endpoints)) as task, asyncio.timeout(PATIENCE):
            await task
    assert caught.group_contains(CamshaftError, match="ended by itself")
