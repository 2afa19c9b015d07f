"""A stolen worker, or a stolen token, can do no more in a cluster of tokens than that worker may.

Real sockets on the loopback, against a whole broker.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import zmq

from common.cameras import CameraState
from common.control import Answered, Assign, HangUp, Offer, Report, Role, StreamKey, StreamReport, encode
from common.curve import Keys
from common.errors import ConfigError
from common.media import live_topic
from rigs.waiting import until
from tests.fakes.broker import RunningBroker
from tests.fakes.members import PATIENCE, Socket, TokenCluster, joined, token_cluster
from tests.fakes.private_bus import zmq_context
from tests.fakes.workers import FakeEgress, FakeIngest

DOOR = live_topic("door")
CAMERAS = {"door": {"url": "rtsp://admin:hunter2@host/door"}, "yard": {"url": "rtsp://admin:hunter2@host/yard"}}


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq_context() as context:
        yield context


@pytest.fixture
def cluster(tmp_path: Path) -> TokenCluster:
    return token_cluster(tmp_path, cameras=CAMERAS)


async def count(broker: RunningBroker, name: str, least: int = 1) -> None:
    """Wait until the broker has counted something as often."""
    await broker.until("/api/nodes", lambda nodes: nodes[0]["counters"].get(name, 0) >= least)


async def test_members_publish_and_subscribe(context, cluster: TokenCluster) -> None:
    async with cluster.broker():
        ingest, egress = [await joined(context, cluster, role, role.value) for role in (Role.INGEST, Role.EGRESS)]
        publisher = Socket(context, zmq.XPUB, cluster.endpoints.media_in, ingest)
        subscriber = Socket(context, zmq.SUB, cluster.endpoints.media_out, egress)
        subscriber.channel.socket.subscribe(DOOR)
        assert await publisher.next() == b"\x01" + DOOR
        publisher.channel.send(DOOR + b"batch")
        assert await subscriber.next() == DOOR + b"batch"
        publisher.channel.close()
        subscriber.channel.close()


async def test_an_egress_cannot_publish_and_an_ingest_cannot_watch(context, cluster: TokenCluster) -> None:
    async with cluster.broker() as broker:
        ingest, egress = [await joined(context, cluster, role, role.value) for role in (Role.INGEST, Role.EGRESS)]
        subscriber = Socket(context, zmq.SUB, cluster.endpoints.media_out, egress)
        subscriber.channel.socket.subscribe(DOOR)
        rogue_publisher = Socket(context, zmq.XPUB, cluster.endpoints.media_in, egress)
        rogue_subscriber = Socket(context, zmq.SUB, cluster.endpoints.media_out, ingest)
        await count(broker, "publish_refused")
        await count(broker, "subscribe_refused")
        assert rogue_publisher.frames.empty(), "it does not even learn who watches what"
        for socket in (subscriber, rogue_publisher, rogue_subscriber):
            socket.channel.close()


async def test_who_is_no_member_gets_nowhere(context, cluster: TokenCluster) -> None:
    endpoints = cluster.endpoints
    async with cluster.broker() as broker:
        member = await joined(context, cluster, Role.EGRESS, "out-1")
        public, secret = zmq.curve_keypair()
        stranger = Keys(member.server_public, b"", public, secret)  # it knows the broker's public key, as from a token
        sockets = [
            Socket(context, kind, endpoint, keys)
            for keys in (stranger, Keys.derive("secret of a cluster"), None)
            for kind, endpoint in (
                (zmq.DEALER, endpoints.control),
                (zmq.XPUB, endpoints.media_in),
                (zmq.SUB, endpoints.media_out),
            )
        ]
        for name in ("control_refused", "publish_refused", "subscribe_refused"):
            await count(broker, name)
        for name in ("control_strangers", "media_in_strangers", "media_out_strangers"):
            await count(broker, name, 3)
        assert not any(socket.channel.writable for socket in sockets if socket.channel.socket.type == zmq.DEALER)
        for socket in sockets:
            socket.channel.close()


async def test_a_live_workers_name_cannot_be_taken(context, cluster: TokenCluster) -> None:
    """Neither by joining under it nor by saying it, and nothing that is for the worker reaches the other."""
    async with cluster.broker() as broker:
        honest = await joined(context, cluster, Role.EGRESS, "out-1")
        async with FakeEgress(cluster.endpoints, "out-1", keys=honest) as worker:
            await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
            with pytest.raises(ConfigError, match="'out-1' belongs to a worker of another token"):
                await joined(context, cluster, Role.EGRESS, "out-1")
            other = await joined(context, cluster, Role.EGRESS, "out-2")
            async with FakeEgress(cluster.endpoints, "out-1", keys=other, routing_id=b"out-1") as impostor:
                await count(broker, "control_impostor", 2)
                impostor.send(Answered("x", "sdp"))  # what it says of itself counts as its own
                nodes = await broker.json("/api/nodes")
                assert [node["node"] for node in nodes] == ["broker", "out-1"]
                headers = {"Content-Type": "application/sdp"}
                async with broker.http.post("/whep/door", data="v=0", headers=headers) as response:
                    assert (response.status, await response.text()) == (201, "answer of v=0")
                assert worker.state.viewers
                assert set(map(type, impostor.messages)) <= {HangUp}, "the answer to its own word, and no offer"


async def test_a_report_with_another_role_is_dropped(context, cluster: TokenCluster) -> None:
    """An egress that says it is an ingest would be given cameras, with their passwords."""
    async with cluster.broker() as broker:
        keys = await joined(context, cluster, Role.EGRESS, "out-1")
        async with FakeIngest(cluster.endpoints, "out-1", keys=keys) as rogue:
            await count(broker, "control_impostor", 2)
            assert rogue.messages == []


async def test_a_camera_goes_with_its_password_to_one_ingest_alone(context, cluster: TokenCluster) -> None:
    """Also when another says that it has the camera already: right after a start nobody else is known to have it."""
    tokens = {role: cluster.token(role) for role in Role}
    keys = {}
    async with cluster.broker() as broker:
        for node, role in (("in-1", Role.INGEST), ("in-2", Role.INGEST), ("out-1", Role.EGRESS)):
            keys[node] = await joined(context, cluster, role, node, token=tokens[role])
        async with FakeIngest(cluster.endpoints, "in-1", keys=keys["in-1"]) as first:
            await first.until(lambda: len(first.state.served) == 2)
            await broker.until("/api/nodes", lambda nodes: len(nodes[1]["cameras"]) == 2 if len(nodes) > 1 else False)
    async with (
        cluster.broker() as broker,
        FakeIngest(cluster.endpoints, "in-2", keys=keys["in-2"]) as rogue,
        FakeEgress(cluster.endpoints, "out-1", keys=keys["out-1"]) as egress,
    ):
        claimed = tuple(StreamReport(name, 1, CameraState.PLAYING) for name in CAMERAS)
        rogue.report(served=claimed)
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 3)
        async with FakeIngest(cluster.endpoints, "in-1", keys=keys["in-1"]) as first:
            first.report(served=tuple(StreamReport(name, 1, CameraState.PLAYING) for name in CAMERAS))
            await first.until(lambda: sum(isinstance(message, Assign) for message in first.messages) >= 2)
            said = [message for worker in (rogue, egress) for message in worker.messages]
            assert not any(isinstance(message, Assign) for message in said)
            assert b"hunter2" not in b"".join(map(encode, said))


async def test_a_viewers_egress_is_told_the_key_of_the_ingest_that_has_the_camera(
    context, cluster: TokenCluster
) -> None:
    async with cluster.broker() as broker:
        ingest_keys = await joined(context, cluster, Role.INGEST, "in-1")
        egress_keys = await joined(context, cluster, Role.EGRESS, "out-1")
        async with (
            FakeIngest(cluster.endpoints, "in-1", keys=ingest_keys) as ingest,
            FakeEgress(cluster.endpoints, "out-1", keys=egress_keys) as egress,
        ):
            assigned = {}
            for _ in CAMERAS:
                assign = await ingest.told(Assign)
                assigned[assign.camera.id] = assign.key
            assert len(set(assigned.values())) == 2
            await broker.until("/api/nodes", lambda nodes: len(nodes) == 3)
            async with broker.http.post("/whep/door", data="v=0", headers={"Content-Type": "application/sdp"}):
                pass
            kinds = [type(message) for message in egress.messages if isinstance(message, StreamKey | Offer)]
            assert kinds == [StreamKey, Offer], "the key comes first"
            assert await egress.told(StreamKey) == StreamKey("door", assigned["door"])


async def test_a_revoked_workers_word_is_dropped_and_its_connections_end(context, cluster: TokenCluster) -> None:
    async with cluster.broker() as broker:
        stolen = await joined(context, cluster, Role.EGRESS, "stolen")
        keys = [await joined(context, cluster, role, f"{role}-1") for role in Role]
        publisher = Socket(context, zmq.XPUB, cluster.endpoints.media_in, keys[0])
        honest, rogue = (Socket(context, zmq.SUB, cluster.endpoints.media_out, each) for each in (keys[1], stolen))
        for subscriber in (honest, rogue):
            subscriber.channel.socket.subscribe(DOOR)
            await publisher.next()
        async with FakeEgress(cluster.endpoints, "stolen", keys=stolen) as worker:
            await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
            cluster.revoke("stolen")
            await count(broker, "subscribe_refused")
            await count(broker, "control_revoked")
            worker.report(viewers=())
            await broker.until("/api/nodes", lambda nodes: len(nodes) < 2 or not nodes[1]["alive"])
        while not rogue.frames.empty():
            rogue.frames.get_nowait()
        async with asyncio.timeout(PATIENCE):
            while honest.frames.empty():
                publisher.channel.send(DOOR + b"after")
                await asyncio.sleep(0.02)
        assert await honest.next() == DOOR + b"after"
        assert rogue.frames.empty()
        for socket in (publisher, honest, rogue):
            socket.channel.close()


async def test_members_are_known_to_a_broker_that_was_started_again(context, cluster: TokenCluster) -> None:
    async with cluster.broker():
        keys = await joined(context, cluster, Role.INGEST, "in-1", token=cluster.token(Role.INGEST, uses=1))
    async with cluster.broker() as broker, FakeIngest(cluster.endpoints, "in-1", keys=keys) as worker:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        before = {(await worker.told(Assign)).key for _ in CAMERAS}
    async with cluster.broker(), FakeIngest(cluster.endpoints, "in-1", keys=keys) as worker:
        assert {(await worker.told(Assign)).key for _ in CAMERAS} == before


async def test_a_keyring_that_somebody_holds_stops_neither_the_broker_nor_its_members(context, cluster) -> None:
    async with cluster.broker() as broker:
        keys = await joined(context, cluster, Role.EGRESS, "out-1")
        holder = sqlite3.connect(cluster.config.store.path.with_name("camshaft.db.keys"), isolation_level=None)
        with structlog.testing.capture_logs() as lines:
            holder.execute("BEGIN EXCLUSIVE")
            async with FakeEgress(cluster.endpoints, "out-1", keys=keys):
                await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
                await until(lambda: any("keyring cannot be read" in line["event"] for line in lines), PATIENCE)
                assert await broker.json("/healthz") == {"status": "ok"}
        holder.execute("ROLLBACK")
        holder.close()
        await joined(context, cluster, Role.EGRESS, "out-2")


async def test_the_one_secret_wins_and_makes_tokens_worthless(context, cluster: TokenCluster) -> None:
    cluster.sections["cluster"] = {"secret": "of this one cluster"}
    async with cluster.broker() as broker:
        async with FakeEgress(cluster.endpoints, "out-1", keys=Keys.derive("of this one cluster")):
            await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await joined(context, cluster, Role.EGRESS, "out-2")


async def test_a_connection_named_like_a_worker_draws_nothing_to_itself(context, cluster: TokenCluster) -> None:
    async with cluster.broker() as broker:
        honest = await joined(context, cluster, Role.INGEST, "in-1")
        other = await joined(context, cluster, Role.EGRESS, "out-2")
        async with FakeEgress(cluster.endpoints, "out-2", keys=other, routing_id=b"in-1") as rogue:
            await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
            async with FakeIngest(cluster.endpoints, "in-1", keys=honest) as worker:
                await worker.until(lambda: len(worker.state.served) == 2)
                assert rogue.messages == []


def test_reports_carry_no_password() -> None:
    report = Report("in-1", Role.INGEST, "1", served=(StreamReport("door", 1, CameraState.PLAYING),))
    assert b"hunter2" not in encode(report)
