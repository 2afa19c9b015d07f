"""Two egress processes, inside this one: the second gets what the first has, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiortc import RTCPeerConnection

from common.config_file import load
from common.control import HangUp, Leaving, Report
from common.process import Stop
from common.succession import SUCCESSION
from egress import worker
from egress.succession import channel as channel_module
from egress.succession import predecessor
from egress.succession.channel import Channel, GoneError, connect
from egress.succession.states import (
    VERSION,
    FeedState,
    Go,
    Hello,
    Message,
    Prelude,
    Ready,
    SessionState,
    Told,
)
from tests.egress.test_worker import NODE, NUMBERS, watch
from tests.fakes.bus import FakeBroker
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
        monkeypatch.setattr(predecessor, "log", self.log)

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


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


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


async def heard(peer: RTCPeerConnection) -> tuple[int, int]:
    """Packets that came, and that were lost."""
    stats = await peer.getReceivers()[0].getStats()
    inbound = [each for each in stats.values() if each.type == "inbound-rtp"]
    return (inbound[0].packetsReceived, inbound[0].packetsLost) if inbound else (0, 0)


async def more(peer: RTCPeerConnection, count: int) -> None:
    before, _ = await heard(peer)
    async with asyncio.timeout(PATIENCE):
        while (await heard(peer))[0] < before + count:  # noqa: ASYNC110 - statistics have no event
            await asyncio.sleep(0.01)


@pytest.fixture
async def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Processes]:
    async with FakeBroker(tmp_path) as broker:
        yield Processes(broker, tmp_path, monkeypatch)


@pytest.mark.parametrize("compiled", ["auto", "never"])
async def test_a_successor_goes_on_and_the_viewer_loses_nothing(processes: Processes, compiled: str) -> None:
    broker = processes.broker
    async with one(processes, egress_compiled=compiled), asyncio.TaskGroup() as group:
        async with camera(broker):
            peer = await watch(broker)
            await more(peer, 20)
            first = processes.report.incarnation
            processes.start(group, egress_compiled=compiled)
            await until(lambda: processes.log.of("a successor is ready"))
            await more(peer, 20)
            processes.stops[0].ask()
            await asyncio.wait_for(processes.tasks[0], PATIENCE)
            leaving = await broker.said(Leaving)
            assert leaving.incarnation == first
            await broker.until(lambda: processes.report.incarnation == leaving.successor)
            await more(peer, 50)
            assert (await heard(peer))[1] == 0
        [viewer] = processes.report.viewers
        assert (viewer.session, viewer.state) == ("s1", "connected")
        assert processes.report.counters["viewers_inherited"] == 1
        broker.tell(NODE, HangUp("s1"))
        await broker.until(lambda: not processes.report.viewers)
        await peer.close()
        processes.stops[1].ask(at_once=True)


async def come(processes: Processes) -> Channel:
    """A successor that nobody wrote but this test: it gets ready."""
    channel = connect(processes.path)
    assert channel is not None
    await channel.send(Hello(VERSION))
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


@pytest.mark.parametrize("dies", ["ready", "told", "with too few"])
async def test_one_that_dies_in_the_middle_leaves_the_first_serving(processes: Processes, dies: str) -> None:
    broker = processes.broker
    async with one(processes), camera(broker):
        peer = await watch(broker)
        await more(peer, 20)
        first = processes.report.incarnation
        channel = await come(processes)
        processes.stops[0].ask()
        if dies != "ready":
            words = await hear_all(channel)
            assert [word.session for word in words if isinstance(word, SessionState)] == ["s1"]
        if dies == "with too few":
            await channel.send(Ready(0))
            with pytest.raises(GoneError):
                await channel.receive()
        channel.close()
        if dies != "ready":  # else it may be seen before it is told anything
            await until(lambda: processes.log.of("the successor did not take over, and this goes on"))
        broker.reports.clear()
        await broker.until(lambda: NODE in broker.reports)
        assert (processes.report.incarnation, len(processes.report.viewers)) == (first, 1)
        await more(peer, 50)
        assert (await heard(peer))[1] == 0
        (await come(processes)).close()  # another may come
        await peer.close()


async def test_who_has_said_the_last_word_sends_nothing_more(processes: Processes) -> None:
    broker = processes.broker
    async with one(processes), camera(broker):
        peer = await watch(broker)
        await more(peer, 20)
        channel = await come(processes)
        processes.stops[0].ask()
        [state] = [word for word in await hear_all(channel) if isinstance(word, SessionState)]
        await channel.send(Ready(1))
        assert isinstance((await channel.receive())[0], Go)
        channel.close()
        await asyncio.wait_for(processes.tasks[0], PATIENCE)
        [sound] = state.senders
        assert sound.following is not None
        await asyncio.sleep(0.1)
        assert (await heard(peer))[0] == sound.packets, "what was told is what was sent"
        await peer.close()


async def test_only_our_own_user_is_spoken_to(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with one(processes):
        assert processes.path.stat().st_mode & 0o777 == 0o600
        with monkeypatch.context() as patched:
            patched.setattr(channel_module.os, "geteuid", lambda: 12345)
            with pytest.raises(PermissionError):
                connect(processes.path)
            await until(lambda: processes.log.of("a process of another user came as successor"))
        channel = connect(processes.path)
        assert channel is not None
        await channel.send(Hello(VERSION + 1))
        with pytest.raises(GoneError):
            await channel.receive()
        channel.close()
        processes.stops[0].ask()
        await asyncio.wait_for(processes.tasks[0], PATIENCE)


async def test_a_successor_whose_predecessor_ends_by_itself_begins_anew(processes: Processes) -> None:
    broker = processes.broker
    async with one(processes), asyncio.TaskGroup() as group:
        first = processes.report
        processes.start(group)
        await until(lambda: processes.log.of("a successor is ready"))
        processes.stops[0].ask(at_once=True)
        await asyncio.wait_for(processes.tasks[0], PATIENCE)
        await broker.until(lambda: processes.report.incarnation != first.incarnation)
        peer = await watch(broker, "s2")
        await peer.close()
        processes.stops[1].ask(at_once=True)


async def test_a_successor_that_is_not_needed_any_more_ends(processes: Processes) -> None:
    async with one(processes), asyncio.TaskGroup() as group:
        processes.start(group)
        await until(lambda: processes.log.of("a successor is ready"))
        processes.stops[1].ask()
        await asyncio.wait_for(processes.tasks[1], PATIENCE)
        assert not processes.tasks[0].done()
