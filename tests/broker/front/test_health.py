from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeEgress, FakeIngest


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path) as broker:
        yield broker


async def ready(broker: RunningBroker) -> tuple[int, list[str]]:
    async with broker.http.get("/readyz") as response:
        return response.status, (await response.json())["reasons"]


async def test_alive_is_not_ready(broker: RunningBroker) -> None:
    async with broker.http.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})
    assert await ready(broker) == (503, ["No ingest process is connected.", "No egress process is connected."])


async def test_ready_when_a_viewer_would_be_served(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/readyz", lambda health: len(health["reasons"]) == 1)
        assert await ready(broker) == (503, ["No ingest process is connected."])
        async with FakeIngest(broker.endpoints, "in-1"):
            await broker.until("/readyz", lambda health: health["status"] == "ready")
            assert await ready(broker) == (200, [])
            egress.report(draining=True)
            await broker.until("/readyz", lambda health: health["status"] == "not ready")
            assert await ready(broker) == (503, ["No egress process is connected."])
