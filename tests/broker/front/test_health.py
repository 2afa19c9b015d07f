import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker.access.tokens import digest_of
from broker.front.health import reasons_not_ready
from common.control import DEAD_AFTER
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.stage import Stage
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
            assert await ready(broker) == (503, ["No egress process is connected: out-1 is ending."])


async def test_strangers_learn_no_names_of_processes(tmp_path: Path) -> None:
    tokens = {role: {"sha256": digest_of(f"t-{role}"), "role": role} for role in ("admin", "monitor")}
    tokens["viewer"] = {"sha256": digest_of("t-viewer"), "cameras": ["*"]}
    async with broker_in(tmp_path, auth={"tokens": tokens}) as broker, FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes?token=t-admin", lambda nodes: len(nodes) == 2)
        egress.report(draining=True)
        named = "No egress process is connected: out-1 is ending."
        await broker.until("/readyz?token=t-admin", lambda health: named in health["reasons"])
        for who, sentence in (
            ("monitor", named),
            ("viewer", "No egress process is connected."),
            ("nobody", "No egress process is connected."),
        ):
            async with broker.http.get("/readyz", params={"token": f"t-{who}"}) as response:
                assert sentence in (await response.json())["reasons"], who


async def test_not_ready_while_every_egress_is_full(broker: RunningBroker) -> None:
    async with (
        FakeIngest(broker.endpoints, "in-1"),
        FakeEgress(broker.endpoints, "out-1") as one,
        FakeEgress(broker.endpoints, "out-2") as other,
    ):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 4)
        one.report(full=True)
        assert (await ready(broker))[0] == 200, "the other one takes viewers"
        other.report(full=True)
        await broker.until("/readyz", lambda health: health["status"] == "not ready")
        sentence = (
            "Every egress process is full: it has reached limits.egress_viewers, limits.egress_load or "
            "limits.free_memory."
        )
        assert await ready(broker) == (503, [sentence])


# What no worker can show from outside


class Facts:
    """A context that is well, but for what a test does to it."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.stage.ingest("in-1")
        self.stage.egress("out-1")
        self.relay = SimpleNamespace(problem="")
        self.catalogue = SimpleNamespace(store_problem="")
        self.short = False

    @property
    def reasons(self) -> dict[str, str]:
        """Those that hold."""
        context: Any = SimpleNamespace(
            control=SimpleNamespace(director=self.stage.director, catalogue=self.catalogue),
            relay=self.relay,
            clock=lambda: self.stage.now,
            memory=SimpleNamespace(now=lambda _: self.short),
            quotas=SimpleNamespace(limits=SimpleNamespace(free_memory=256)),
        )
        return {reason: sentence for reason, sentence in reasons_not_ready(context, named=True).items() if sentence}


def test_nothing_is_wrong_where_all_is_well() -> None:
    assert Facts().reasons == {}


def test_an_egress_that_does_not_report_is_named() -> None:
    facts = Facts()
    for _ in range(int(DEAD_AFTER) + 4):
        facts.stage.tick(1.0)
        facts.stage.ingest("in-1")
    assert facts.reasons == {"no_egress": "No egress process is connected: out-1 has not reported for 7 s."}


def test_what_is_wrong_with_the_relay_is_told() -> None:
    facts = Facts()
    facts.relay.problem = "The media relay has not answered for 2 s."
    assert facts.reasons == {"relay": "The media relay has not answered for 2 s."}


def test_a_lack_of_memory_and_a_full_disk_are_told_and_no_path() -> None:
    facts = Facts()
    facts.short = True
    facts.catalogue.store_problem = "another file is at /home/me/camshaft.db now"
    assert facts.reasons.keys() == {"memory", "store"}
    assert "limits.free_memory is 256" in facts.reasons["memory"]
    assert "/home" not in facts.reasons["store"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(512))


async def test_a_disk_that_is_full_is_seen_before_somebody_needs_it(small_disk: Path) -> None:
    async with (
        broker_in(small_disk) as broker,
        FakeIngest(broker.endpoints, "in-1"),
        FakeEgress(broker.endpoints, "out-1"),
    ):
        await broker.until("/readyz", lambda health: health["status"] == "ready")
        filler = small_disk / "filler"
        with pytest.raises(OSError, match="No space left"):
            fill(filler)
        health = await broker.until("/readyz", lambda health: health["status"] != "ready")
        assert health["reasons"] == [
            "The camera store cannot be written, perhaps because the disk is full; the log says why."
        ]
        filler.unlink()
        await broker.until("/readyz", lambda health: health["status"] == "ready")
