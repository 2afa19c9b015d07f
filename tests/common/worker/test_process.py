"""A kind of worker in a few lines: it takes a rendition and makes another, and is all that a kind has to bring."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import zmq

from common import near
from common.config import BrokerConfig, Config
from common.control import HangUp, KeyWanted, Leaving, Report, Role, ToBroker, ToWorker, Unfit
from common.curve import Keys
from common.errors import ConfigError, UnfitError
from common.live import Live
from common.media import Batch, Rendition, live_topic
from common.worker.incoming import Incoming
from common.worker.process import Surroundings, run_worker
from common.worker.publisher import Publisher
from common.worker.subscriber import Subscriber
from tests.fakes.bus import FakeBroker
from tests.fakes.media import audio, video

NODE = "copier-1"
DOOR, COPY = Rendition("door"), Rendition("door/copy")


class Copier:
    """Publishes again what it reads."""

    def __init__(self, publisher: Publisher, subscriber: Subscriber) -> None:
        self.told: list[ToWorker] = []
        self.at_the_end: list[str] = []
        self._publisher = publisher
        sinks = {"video": self, "audio": self}
        subscriber.subscribe(DOOR, Incoming(sinks, lambda: subscriber.request_replay(DOOR)))

    def push(self, batch: Batch, now: float) -> None:
        self._publisher.publish(COPY, [batch])

    def pause(self) -> None:
        pass

    def handle(self, message: ToWorker) -> None:
        self.told.append(message)

    def report(self, base: Report) -> Report:
        return replace(base, counters={**base.counters, "copied": 1})

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.at_the_end.append("worker")


@asynccontextmanager
async def running(broker: FakeBroker, made: list[Copier]) -> AsyncIterator[None]:
    stop = asyncio.Event()

    @asynccontextmanager
    async def opened(around: Surroundings) -> AsyncIterator[Copier]:
        with around.publisher() as publisher, around.subscriber() as subscriber:
            made.append(Copier(publisher, subscriber))
            yield made[0]
            made[0].at_the_end.append("what it needs")

    config = Config(broker=BrokerConfig(address=broker.address))
    async with asyncio.TaskGroup() as group:
        group.create_task(run_worker(Role.EGRESS, opened, config, NODE, stop))
        try:
            yield
        finally:
            stop.set()


async def test_it_says_hello_is_told_things_and_says_goodbye_before_it_closes_what_it_needs(tmp_path: Path) -> None:
    made: list[Copier] = []
    async with FakeBroker(tmp_path) as broker:
        async with running(broker, made):
            report = await broker.until(lambda: broker.reports.get(NODE))
            assert (report.role, report.counters["copied"]) == (Role.EGRESS, 1)
            broker.tell(NODE, HangUp("s1"))
            await broker.until(lambda: made[0].told == [HangUp("s1")])
        await broker.said(Leaving)
        assert made[0].at_the_end == ["worker", "what it needs"]


async def test_it_takes_one_rendition_and_makes_another(tmp_path: Path) -> None:
    async with FakeBroker(tmp_path) as broker, running(broker, []):
        broker.follow(COPY)
        await broker.until(lambda: broker.watches(DOOR))
        sound = map(audio, itertools.count())
        async with asyncio.timeout(10):
            while not broker.published:  # nothing tells that a publisher has heard of a subscription
                broker.publish(DOOR, next(sound))
                await asyncio.sleep(0.01)
        picture = video(0, 0, keyframe=True)
        broker.publish(DOOR, picture)
        await broker.until(lambda: (COPY, picture) in broker.published)
        assert {rendition for rendition, _ in broker.published} == {COPY}


async def test_where_frames_are_sealed_it_asks_the_broker_for_the_key_of_what_it_cannot_open(tmp_path: Path) -> None:
    said: list[ToBroker] = []
    keys = Keys(zmq.curve_keypair()[0], b"", *zmq.curve_keypair())  # of a worker that joined by a token
    async with FakeBroker(tmp_path) as broker:
        with zmq.Context() as context:
            link = SimpleNamespace(send=said.append)
            around = Surroundings(Config(), NODE, context, broker.endpoints, keys, link, Live(Config()))  # type: ignore[arg-type]
            with around.subscriber() as subscriber:
                subscriber.subscribe(COPY, Incoming({}, lambda: None))
                subscriber._receive(live_topic(COPY) + b"not sealed")
    assert said == [KeyWanted(COPY)]


@pytest.mark.parametrize("direct", [True, False])
async def test_neighbours_are_called_once_all_releases_hear_it_and_if_they_are_to_be(
    tmp_path: Path, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[bool] = []
    monkeypatch.setattr(Subscriber, "call_neighbours", lambda _, call: called.append(call))
    config = Config(broker=BrokerConfig(direct=direct))
    async with FakeBroker(tmp_path) as broker:
        with zmq.Context() as context:
            link = SimpleNamespace()
            around = Surroundings(config, NODE, context, broker.endpoints, None, link, Live(config))  # type: ignore[arg-type]
            with around.subscriber():
                link.on_spoken(near.SINCE - 1)
                link.on_spoken(near.SINCE)
    assert called == [False, direct]


async def test_a_bus_that_cannot_be(tmp_path: Path) -> None:
    config = Config(broker=BrokerConfig(address="nonsense"))
    with pytest.raises(ConfigError):
        await run_worker(Role.EGRESS, None, config, NODE, asyncio.Event())  # type: ignore[arg-type]


async def test_it_ends_with_a_sentence_where_its_release_does_not_fit(tmp_path: Path) -> None:
    made: list[Copier] = []

    async def refused(broker: FakeBroker) -> None:
        async with running(broker, made):
            await broker.until(lambda: broker.reports.get(NODE))
            broker.tell(NODE, Unfit("go from release to release"))
            await asyncio.sleep(60)  # it ends before

    async with FakeBroker(tmp_path) as broker:
        with pytest.raises(ExceptionGroup) as caught:
            await refused(broker)
        await broker.said(Leaving)
    assert made[0].at_the_end == ["worker", "what it needs"]
    [error] = caught.value.exceptions
    assert isinstance(error, UnfitError)
    assert str(error) == f"{NODE} cannot be of this cluster: go from release to release"
