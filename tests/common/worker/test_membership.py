"""A worker gets its keys."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from common.config import ClusterConfig
from common.control import Role
from common.curve import Keys
from common.endpoints import Endpoints
from common.errors import ConfigError
from common.token import WorkerToken
from common.worker.membership import worker_keys
from tests.fakes.members import TokenCluster, joined, token_cluster
from tests.fakes.private_bus import zmq_context
from tests.fakes.workers import FakeEgress

TOKEN = str(WorkerToken.make(bytes(32)))


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq_context() as context:
        yield context


@pytest.fixture
def cluster(tmp_path: Path) -> TokenCluster:
    return token_cluster(tmp_path)


async def keys(context, address: str, stop: asyncio.Event | None = None, **cluster: object) -> Keys | None:
    config = ClusterConfig.model_validate(cluster)
    endpoints = Endpoints.parse(address)
    return await worker_keys(context, endpoints, config, Role.EGRESS, "out-1", stop or asyncio.Event())


async def test_the_one_secret_is_as_it_was(context) -> None:
    secret = "of this one cluster"
    assert await keys(context, "tcp://127.0.0.1:5550", secret=secret) == Keys.derive(secret)
    assert await keys(context, "tcp://127.0.0.1:5550") is None
    assert await keys(context, "ipc:///x", token=TOKEN) is None
    with pytest.raises(ConfigError, match=r"cluster\.secret: needed .* `camshaft token worker`"):
        await keys(context, "tcp://192.0.2.1:5550")


async def test_both_are_one_too_many(context) -> None:
    with pytest.raises(ConfigError, match=r"cluster\.token: and cluster\.secret cannot both be given"):
        await keys(context, "tcp://127.0.0.1:5550", token=TOKEN, secret="of this one cluster")


async def test_a_worker_waits_for_a_broker_that_is_away_and_stops_when_told(context, cluster: TokenCluster) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(keys(context, cluster.endpoints.address, stop, token=cluster.token(Role.EGRESS)))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(5):
        await waiting
    waiting = asyncio.create_task(keys(context, cluster.endpoints.address, token=cluster.token(Role.EGRESS)))
    await asyncio.sleep(0)
    async with cluster.broker():
        found = await waiting
    assert found is not None
    assert found.by_token


async def test_the_secret_half_of_its_key_is_nowhere_but_with_the_worker(context, cluster: TokenCluster) -> None:
    async with cluster.broker():
        found = await joined(context, cluster, Role.EGRESS, "out-1")
    assert found.server_secret == b""
    assert found.client_secret.decode() not in repr(found)
    files = [file.read_bytes() for file in cluster.directory.iterdir()]
    assert not any(found.client_secret in content for content in files)


async def test_a_refusal_is_an_error_with_the_brokers_sentence(context, cluster: TokenCluster) -> None:
    async with cluster.broker():
        for token, sentence in (
            (cluster.token(Role.EGRESS, expires=time.time() - 1), "has expired"),
            (cluster.token(Role.INGEST), "is for ingest workers"),
            (cluster.token(Role.EGRESS, uses=0), "as often as it allows"),
        ):
            with pytest.raises(ConfigError, match=rf"cluster\.token: .*{sentence}.*camshaft token worker") as caught:
                await keys(context, cluster.endpoints.address, token=token)
            assert token not in str(caught.value)


async def test_a_worker_that_was_started_again_gets_its_name_as_soon_as_its_former_self_is_gone(
    context, cluster: TokenCluster
) -> None:
    token = cluster.token(Role.EGRESS)
    async with cluster.broker() as broker:
        former = await joined(context, cluster, Role.EGRESS, "out-1", token=token)
        async with FakeEgress(cluster.endpoints, "out-1", keys=former):
            await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
            again = asyncio.create_task(joined(context, cluster, Role.EGRESS, "out-1", token=token))
            await broker.until("/api/nodes", lambda nodes: nodes[0]["counters"].get("join_refused"))
        assert await again != former


class TestKeyFile:
    async def test_a_worker_that_keeps_its_key_needs_its_token_once(self, context, cluster: TokenCluster) -> None:
        token, file = cluster.token(Role.EGRESS, uses=1), cluster.directory / "worker.key"
        async with cluster.broker():
            first = await joined(context, cluster, Role.EGRESS, "out-1", token=token, key_file=file)
            again = await joined(context, cluster, Role.EGRESS, "out-1", token=token, key_file=file)
        assert again == first
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    async def test_one_for_two_workers_is_refused(self, context, cluster: TokenCluster) -> None:
        token, file = cluster.token(Role.EGRESS), cluster.directory / "worker.key"
        async with cluster.broker():
            await joined(context, cluster, Role.EGRESS, "out-1", token=token, key_file=file)
            with pytest.raises(ConfigError, match="--cluster-key-file of its own"):
                await joined(context, cluster, Role.EGRESS, "out-2", token=token, key_file=file)

    @pytest.mark.parametrize("content", [b"", b"not a key", b"\xff" * 40, b"x" * 10_000])
    async def test_a_file_that_holds_no_key_is_named(self, context, tmp_path: Path, content: bytes) -> None:
        file = tmp_path / "worker.key"
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=r"worker\.key holds no key; remove it"):
            await keys(context, "tcp://127.0.0.1:5550", token=TOKEN, key_file=file)
        assert file.read_bytes() == content

    async def test_a_place_that_cannot_be_written_is_named(self, context, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"cluster\.key_file: .*No such file or directory"):
            await keys(context, "tcp://127.0.0.1:5550", token=TOKEN, key_file=tmp_path / "missing" / "worker.key")


def test_a_token_that_is_none_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ValueError, match="copy everything that `camshaft token worker` printed"):
        ClusterConfig(token="camshaft-x")


def test_the_keyring_is_not_made_by_looking_for_it(tmp_path: Path) -> None:
    cluster = TokenCluster(tmp_path, {})
    assert not list(tmp_path.iterdir())
    with closing(cluster.keyring()):
        assert [file.name for file in tmp_path.iterdir()] == ["camshaft.db.keys"]
