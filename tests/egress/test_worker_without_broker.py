"""An egress worker's own turns, without a broker: what fails, and what is counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from common.config import MediaConfig
from common.control import (
    Answered,
    HangUp,
    Offer,
    Report,
    Role,
)
from common.histogram import Histogram, Measure
from egress import sweeps, worker
from egress.catch_up import CatchUp
from egress.media.stream import Stream
from egress.succession.resuming import Here
from egress.viewer import Viewer
from egress.wire import addresses
from egress.wire.dtls import Identity
from egress.wire.port import MediaPort
from egress.wire.ports import Ports
from rigs.browser import Browser
from rigs.waiting import until
from tests.fakes.egress_worker import NODE


class BrokenOnce:
    """Streams of which the first lacks what an answer needs."""

    def __init__(self) -> None:
        self.users = self.skips = 0
        self._broken = Stream("yard", lambda: None)
        self._broken.feeds.clear()
        whole = Stream("yard", lambda: None)
        self._streams = [whole, whole, self._broken, self._broken]  # for picture and sound

    def sweep(self, now: float) -> None:
        pass

    renditions = ()
    delay = Histogram(Measure.DELAY).measured

    def statistics(self) -> dict[str, int]:
        return {}

    def renew(self, revisions: dict[str, int]) -> None:
        pass

    def acquire(self, camera: str) -> Stream:
        self.users += 1
        return self._streams.pop()

    def release(self, *streams: Stream) -> None:
        self.users -= len(streams)


class Said:
    """A link that leads nowhere, and what was said through it."""

    node = NODE
    draining = False

    def __init__(self) -> None:
        self.messages: list[object] = []

    def send(self, message: object) -> None:
        self.messages.append(message)

    def report_soon(self) -> None:
        pass


@contextlib.asynccontextmanager
async def without_broker(link: Said, streams: BrokenOnce) -> AsyncIterator[tuple[worker.Egress, MediaPort]]:
    """An egress at work that nobody but the test tells anything, and its port."""
    stop = asyncio.Event()
    advertised = addresses.Advertised((), "127.0.0.1")
    with contextlib.closing(Ports(MediaConfig(listen="127.0.0.1", port=0))) as ports:
        catch_up = CatchUp()
        here = Here(Identity(compiled=False), "cname", catch_up.add, streams)  # type: ignore[arg-type]
        egress = worker.Egress(link, ports, streams, advertised, here, catch_up)  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as group:
            group.create_task(egress.run(stop))
            await asyncio.sleep(0)
            try:
                yield egress, ports.udp
            finally:
                stop.set()


@contextlib.asynccontextmanager
async def with_a_viewer() -> AsyncIterator[tuple[worker.Egress, MediaPort]]:
    """The same, once it has answered the offer of the session s1."""
    async with without_broker(Said(), BrokenOnce()) as (tested, port):
        with pytest.raises(KeyError):
            tested.handle(Offer("s1", "yard", Browser().offer()))
        tested.handle(Offer("s1", "yard", Browser().offer()))
        yield tested, port


async def test_an_answer_that_cannot_be_written_leaves_nothing_behind() -> None:
    said, streams = Said(), BrokenOnce()
    async with without_broker(said, streams) as (tested, _):
        offer = Offer("s1", "yard", Browser().offer())
        with pytest.raises(KeyError):
            tested.handle(offer)
        assert streams.users == 0
        tested.handle(offer)
        assert [type(message) for message in said.messages] == [Answered]
    assert streams.users == 0


async def test_viewers_are_told_when_the_port_has_dropped_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SWEEP_INTERVAL", 0.01)
    monkeypatch.setattr(sweeps, "CALM_INTERVAL", 0.01)
    told: list[float] = []
    async with with_a_viewer() as (tested, port):
        monkeypatch.setattr(tested._viewers.get("s1"), "deaf_until", told.append)
        for dropped in (5, 6):
            port.sockets[0].dropped = dropped
            await asyncio.sleep(0.2)
        assert len(told) == 2


async def test_one_that_was_never_heard_of_is_told_of_as_it_was_at_its_last_look_and_anew_once_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "CALM_INTERVAL", 0.01)
    async with with_a_viewer() as (tested, _):
        viewer = tested._viewers.get("s1")
        assert viewer is not None
        await asyncio.sleep(0.3)

        base = Report(NODE, Role.EGRESS, "i")
        (told,) = tested.report(base).viewers
        assert told.tried is not None
        assert tested.report(base).viewers[0] is told, "a stranger's thousand offers would take long each time"

        monkeypatch.setattr(type(viewer), "heard", True)
        viewer.due = asyncio.get_running_loop().time()
        viewer.hurry()
        await until(lambda: tested.report(base).viewers[0] is not told)


async def test_how_often_paths_were_stuck_is_counted_also_of_viewers_that_have_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Viewer, "stuck", 3)
    async with with_a_viewer() as (tested, _):
        assert tested.report(Report(NODE, Role.EGRESS, "i")).counters["paths_stuck"] == 3
        tested.handle(HangUp("s1"))
        assert tested.report(Report(NODE, Role.EGRESS, "i")).counters["paths_stuck"] == 3


async def test_a_few_viewers_who_have_settled_are_looked_at_less_often_until_one_hurries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "CALM_INTERVAL", 30.0)
    swept: list[float] = []
    async with with_a_viewer() as (tested, _):
        viewer = tested._viewers.get("s1")
        assert viewer is not None
        monkeypatch.setattr(tested._streams, "sweep", swept.append)  # of all viewers, or none
        await asyncio.sleep(0.3)
        swept.clear()
        await asyncio.sleep(0.5)
        assert not swept, "nothing was heard of it: there is nothing to be seen to"

        monkeypatch.setattr(type(viewer), "heard", True)
        viewer.due = asyncio.get_running_loop().time()
        viewer.hurry()
        await asyncio.sleep(0.5)
        assert len(swept) > 1, "it has not settled: it is not even connected"

        monkeypatch.setattr(viewer, "sweep", lambda *, now, unix_ns: setattr(viewer, "due", now + 1.0))
        await asyncio.sleep(0.3)
        swept.clear()
        await asyncio.sleep(0.5)
        assert not swept

        viewer._end("it leaves")
        await asyncio.sleep(0.5)
        assert swept
        assert "s1" not in tested._viewers


async def test_many_viewers_are_looked_at_in_turn_also_when_they_have_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "CALM_INTERVAL", 30.0)
    monkeypatch.setattr(sweeps, "FEW", 0)
    monkeypatch.setattr("egress.viewers.Viewers.settled", True)
    swept: list[float] = []
    async with with_a_viewer() as (tested, _):
        monkeypatch.setattr(tested._streams, "sweep", swept.append)
        await asyncio.sleep(0.5)
        assert len(swept) > 1
