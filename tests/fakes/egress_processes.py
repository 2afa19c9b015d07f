"""Egress processes of one name inside a test's own, one after the other, and successors that only a test wrote."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.config_file import load
from common.control import Report
from common.process import Stop
from common.succession import SUCCESSION
from egress import worker
from egress.succession import beginning, handing, predecessor, successor, telling
from egress.succession.channel import Channel, connect
from egress.succession.states import FeedState
from egress.succession.words import VERSION, Hello, Message, Prelude, Ready, Told
from rigs.waiting import until
from tests.fakes.bus import FakeBroker
from tests.fakes.egress_worker import NODE, NUMBERS
from tests.fakes.log import Recorder
from tests.fakes.media import audio

PATIENCE = 20.0  # seconds


class Processes:
    """Egress processes of one name, as they are started one after the other."""

    def __init__(self, broker: FakeBroker, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.broker = broker
        self.log = Recorder()
        self.stops: list[Stop] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.path = directory / "meet"
        self._monkeypatch = monkeypatch
        for module in (predecessor, telling, successor, handing, beginning):
            monkeypatch.setattr(module, "log", self.log)

    def start(self, group: asyncio.TaskGroup, **environ: str) -> None:
        variables = {
            "CAMSHAFT_BROKER_ADDRESS": self.broker.address,
            "CAMSHAFT_MEDIA_PORT": "0",
            "CAMSHAFT_MEDIA_LISTEN": "127.0.0.1",
        }
        config = load(None, environ=variables | {f"CAMSHAFT_{key.upper()}": value for key, value in environ.items()})
        self._monkeypatch.setenv(SUCCESSION, str(self.path))
        self.stops.append(Stop())
        self.tasks.append(group.create_task(worker.run(config, NODE, self.stops[-1])))

    @property
    def report(self) -> Report:
        return self.broker.reports[NODE]


@contextlib.asynccontextmanager
async def one(processes: Processes, **environ: str) -> AsyncIterator[None]:
    """One that serves."""
    async with asyncio.TaskGroup() as group:
        try:
            processes.start(group, **environ)
            await processes.broker.until(lambda: NODE in processes.broker.reports)
            yield
        finally:
            for stop in processes.stops:
                stop.ask(at_once=True)


@contextlib.asynccontextmanager
async def camera(broker: FakeBroker) -> AsyncIterator[None]:
    """Sound, for as long as it is open."""

    async def play() -> None:
        while True:
            broker.publish("yard", audio(next(NUMBERS), codec="PCMU")._replace(payloads=[bytes(160)]))
            await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as group:
        playing = group.create_task(play())
        yield
        playing.cancel()


async def come(processes: Processes) -> Channel:
    """A successor that nobody wrote but this test: it gets ready."""
    channel = connect(processes.path)
    assert channel is not None
    await channel.send(Hello(VERSION, NODE))
    prelude, _ = await channel.receive()
    assert isinstance(prelude, Prelude)
    for _ in range(prelude.feeds):
        assert isinstance((await channel.receive())[0], FeedState)
    ready = len(processes.log.of("a successor is ready"))
    await channel.send(Ready(prelude.feeds, "successor"))
    await until(lambda: len(processes.log.of("a successor is ready")) > ready)
    return channel


async def hear_all(channel: Channel) -> list[Message]:
    """Everything that is told at last."""
    words: list[Message] = []
    while not words or not isinstance(words[-1], Told):
        message, sockets = await channel.receive()
        for sock in sockets:
            sock.close()
        if isinstance(message, Prelude):
            again = [await channel.receive() for _ in range(message.feeds)]
            await channel.send(Ready(len(again), "successor"))
        else:
            words.append(message)
    return words
