"""The figures as Prometheus fetches them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from broker.front.lists import SHARE
from broker.front.metrics import CONTENT_TYPE, PIECE, Scrape
from common.control import ViewerReport, ViewerState
from common.sessions import public_name
from tests.fakes.broker import PATIENCE, RunningBroker, broker_in
from tests.fakes.workers import FakeEgress, FakeIngest

OFFER = "v=0\r\n"
URL = "rtsp://user:secret@host/door"


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras={"door": {"url": URL}}) as broker:
        yield broker


async def scrape(broker: RunningBroker) -> str:
    async with broker.http.get("/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == CONTENT_TYPE
        return await response.text()


async def values(broker: RunningBroker, name: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(await scrape(broker))
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in samples}


async def outcomes(broker: RunningBroker) -> dict[tuple[str, ...], float]:
    """Those of offers that there were."""
    return {outcome: count for outcome, count in (await values(broker, "camshaft_offers_total")).items() if count}


async def test_a_cluster_without_workers_is_not_ready(broker: RunningBroker) -> None:
    assert await values(broker, "camshaft_ready") == {(): 0}
    not_ready = await values(broker, "camshaft_not_ready")
    assert (not_ready["no_ingest",], not_ready["no_egress",], not_ready["relay",]) == (1, 1, 0)
    assert (await values(broker, "camshaft_camera_state"))["door", "connecting", "main"] == 1


async def test_offers_are_counted_by_what_came_of_them(broker: RunningBroker) -> None:
    async with FakeIngest(broker.endpoints, "in-1"), FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/readyz", lambda health: health["status"] == "ready")
        assert await values(broker, "camshaft_ready") == {(): 1}
        headers = {"Content-Type": "application/sdp"}
        for camera in ("door", "nowhere"):
            await broker.http.post(f"/whep/{camera}", data=OFFER, headers=headers)
        egress.refusal = (406, "no_common_codec", "None.")
        await broker.http.post("/whep/door", data=OFFER, headers=headers)
        wanted = {("answered",): 1, ("unknown_camera",): 1, ("no_common_codec",): 1}
        async with asyncio.timeout(PATIENCE):  # one that took long is kept for a moment
            while await outcomes(broker) != wanted:  # noqa: ASYNC110 - HTTP has no event
                await asyncio.sleep(0.1)
        assert (await values(broker, "camshaft_answer_seconds_count")) == {(): 1}


@pytest.mark.thorough
async def test_what_has_gone_leaves_no_series(cheap_passwords: None, broker: RunningBroker) -> None:
    """Cameras, stills, sessions and strangers come and go for months; a series that stays is memory of Prometheus."""
    named = {"kind", "codec", "state", "event", "outcome", "reason", "le"}

    async def series() -> set[tuple[str, ...]]:
        families = text_string_to_metric_families(await scrape(broker))
        return {
            (sample.name, *(value for label, value in sorted(sample.labels.items()) if label not in named))
            for family in families
            for sample in family.samples
        }

    async def come(numbers: range) -> None:
        for each in numbers:
            body = {"id": f"c{each}", "url": f"rtsp://10.0.0.1/{each}", "name": f"{each}"}
            assert (await broker.http.post("/api/cameras", json=body)).status == 201
            await broker.http.get(f"/api/cameras/nothing-{each}/snapshot.jpg")
            await broker.http.get(f"/nothing/{each}")
            await broker.http.post(f"/whep/nothing-{each}", data=OFFER, headers={"Content-Type": "application/sdp"})
            await broker.http.post("/api/login", json={"user": f"user-{each}", "password": "a password"})

    await come(range(1))  # what is measured at first use is none of somebody's
    before = await series()
    await come(range(1, 51))
    async with asyncio.timeout(PATIENCE):  # a scrape that took long is kept for a moment
        while len(await series()) < len(before) + 50:  # noqa: ASYNC110 - HTTP has no event
            await asyncio.sleep(0.1)
        for each in range(1, 51):
            assert (await broker.http.delete(f"/api/cameras/c{each}")).status == 204
        while await series() != before:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)


async def test_no_label_ends_its_line(broker: RunningBroker) -> None:
    odd = 'a"b\\c\nd{e="f"} 1'
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        egress.report(host=odd, version=odd, counters={odd: 7})
        await broker.until("/api/nodes", lambda nodes: nodes[1]["host"] == odd)
        infos = await values(broker, "camshaft_node_info")
        assert (odd, "out-1", "egress", odd) in infos
        assert {
            count for labels, count in (await values(broker, "camshaft_events_total")).items() if odd in labels
        } <= {7}


async def test_codes_that_an_egress_makes_up_are_not_counted_without_end(tmp_path: Path) -> None:
    limits = {"offer_rate": 0, "offer_rate_per_camera": 0}
    async with (
        broker_in(tmp_path, cameras={"door": {"url": URL}}, limits=limits) as broker,
        FakeEgress(broker.endpoints, "out-1") as egress,
    ):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        for number in range(120):
            egress.refusal = (406, f"made up {number}", "None.")
            await broker.http.post("/whep/door", data=OFFER, headers={"Content-Type": "application/sdp"})
        found = await outcomes(broker)
    assert len(found) == 101
    assert found["other",] == 20


async def test_neither_a_password_nor_a_viewer_is_named(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        egress.report(viewers=(ViewerReport("s1", "door", ViewerState.CONNECTED, remote="192.0.2.1:5000"),))
        await broker.until("/api/viewers", len)
        text = await scrape(broker)
    for word in ("secret", "user:", "s1", public_name("s1"), "192.0.2.1"):
        assert word not in text


class Work:
    """Families that take so many seconds of work each, by clocks of its own."""

    def __init__(self, seconds: float, count: int = 1) -> None:
        self.now = self.worked = 0.0
        self.made = 0
        self._seconds = seconds
        self._count = count
        self.scrape = Scrape(lambda: self.now, lambda: self.worked)

    def __call__(self) -> Iterator[Metric | None]:
        self.made += 1
        for _ in range(self._count):
            self.worked += self._seconds
            self.now += self._seconds
            metric = Metric("made", "Number.", "gauge")
            metric.add_sample("made", {}, self.made)
            yield metric
            yield None

    async def read(self) -> bytes:
        return await self.scrape.read(self)


async def test_what_is_quickly_made_is_as_of_now() -> None:
    work = Work(0.001)
    assert [(await work.read())[-6:] for _ in range(2)] == [b"e 1.0\n", b"e 2.0\n"]


async def test_however_many_ask_it_takes_its_share_of_the_time() -> None:
    work = Work(0.01, count=10)
    while work.now < 100.0:
        await work.read()
        work.now += 0.01
    assert work.made * 0.1 <= 100.0 * SHARE


async def test_others_have_their_turn_while_it_is_made() -> None:
    work, turns = Work(0.01, count=10), 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await asyncio.gather(work.read(), work.read())
    task.cancel()
    assert turns >= 10
    assert work.made == 1, "who asks at the same time gets the same"


class Family:
    """One family, as a collector."""

    def __init__(self, size: int) -> None:
        self.metric = Metric("camera_made", "Number.", "counter")
        for number in range(size):
            self.metric.add_sample("camera_made_total", {"camera": f"cam-{number}\n"}, number)

    def collect(self) -> Iterator[Metric]:
        yield self.metric


@pytest.mark.parametrize("size", [1, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE])
async def test_a_large_family_is_written_in_pieces_and_reads_as_one(size: int) -> None:
    family = Family(size)
    turns = 0

    def cpu() -> float:
        nonlocal turns
        turns += 1
        return float(turns)

    text = await Scrape(lambda: 0.0, cpu).read(family.collect)
    assert text == generate_latest(family)  # type: ignore[arg-type]
    assert turns >= size // PIECE
