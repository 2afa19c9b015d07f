"""The control connections of fifty workers are cut, again and again, and nobody is thought dead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path

import pytest

from broker import notices
from broker.catalogue import Catalogue
from broker.control_plane import ControlPlane
from broker.store import Store
from common.config import Config
from common.control import NodeName, Report, Role, ToWorker
from common.endpoints import Endpoints
from common.worker.link import Link
from tests.fakes.log import Recorder
from tests.fakes.private_bus import free_tcp_endpoints, zmq_context

PATIENCE = 30.0  # seconds
WORKERS, CUTS = 50, 4


class Idle:
    """A worker that has nothing."""

    drained = True

    def handle(self, message: ToWorker) -> None:
        pass

    def report(self, base: Report) -> Report:
        return base

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()


class Way:
    """The way to the broker's control socket, of which all connections can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def connections(self) -> int:
        return len(self._writers) // 2

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        finally:
            self._writers -= {writer, back}
            for each in (writer, back):
                each.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[tuple[ControlPlane, Way, Endpoints]]:
    """A broker's control plane, and a way to it that is not its own."""
    endpoints = free_tcp_endpoints()
    way = Way(int(endpoints.control.rpartition(":")[2]))
    beside = free_tcp_endpoints()
    port = int(beside.control.rpartition(":")[2])
    with zmq_context() as context, closing(Store(tmp_path / "camshaft.db")) as store:
        async with (
            ControlPlane(context, endpoints, None, Catalogue(Config(), store)) as made,
            await asyncio.start_server(way.carry, "127.0.0.1", port),
        ):
            yield made, way, beside
            way.cut()


@pytest.mark.thorough
@pytest.mark.quiet  # fifty workers and their broker share one loop: where others have its core, all of them are late
async def test_connections_that_break_and_come_back_cost_no_worker(
    control: tuple[ControlPlane, Way, Endpoints], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, way, beside = control
    log = Recorder()
    monkeypatch.setattr(notices, "log", log)

    async def heard_since(moment: float) -> None:
        async with asyncio.timeout(PATIENCE):
            while sum(worker.seen > moment for worker in made.director.workers) < WORKERS:
                await made.news()

    with zmq_context() as context:
        async with AsyncExitStack() as stack:
            for number in range(WORKERS):
                role = (Role.INGEST, Role.EGRESS, Role.TRANSCODE)[number % 3]
                link = Link(context, beside, None, node=NodeName(f"w{number}"), role=role)
                await stack.enter_async_context(link.serving(Idle()))
            await heard_since(0.0)
            for _ in range(CUTS):
                assert way.connections == WORKERS
                way.cut()
                cut = time.monotonic()
                await heard_since(cut)
            assert {worker.alive for worker in made.director.workers} == {True}
            assert log.of("worker lost") == []
    assert len(log.of("worker joined")) == WORKERS
