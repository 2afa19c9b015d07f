"""A worker's link to the broker, against a ROUTER that comes and goes."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
import zmq

from common import __version__
from common.bus import Channel, open_socket
from common.control import (
    MAX_MESSAGE_BYTES,
    Answered,
    Ended,
    HangUp,
    Leaving,
    Ping,
    Release,
    Report,
    Role,
    Speak,
    ToBroker,
    ToWorker,
    Unfit,
    ViewerReport,
    ViewerState,
    decode_for_broker,
    encode,
)
from common.endpoints import Endpoints
from common.reports import Parts
from common.wire import OURS
from common.worker.link import MIN_REPORT_GAP, REPORT_SHARE, Link, default_node
from rigs.waiting import until

AWAY = "no broker answers: is it running, is the secret the same, or was the token revoked?"

Context = zmq.Context[zmq.Socket[bytes]]


class Broker:
    """The broker's end: collects the messages of workers by name."""

    def __init__(self, context: Context, endpoints: Endpoints) -> None:
        self.received: list[tuple[str, ToBroker]] = []
        self._changed = asyncio.Event()
        socket = open_socket(context, zmq.ROUTER)
        socket.bind(endpoints.control)
        self.channel = Channel(socket, self._on_message, multipart=True)

    def _on_message(self, frames: list[bytes]) -> None:
        self.received.append((frames[0].decode(), decode_for_broker(frames[1])))
        self._changed.set()

    async def until(self, condition: Callable[[ToBroker], bool]) -> ToBroker:
        """The first message that meets the condition."""
        async with asyncio.timeout(10):
            while True:
                for _, message in self.received:
                    if condition(message):
                        return message
                self._changed.clear()
                await self._changed.wait()

    async def report(self) -> Report:
        message = await self.until(lambda message: isinstance(message, Report))
        assert isinstance(message, Report)
        return message


class Worker:
    """The worker's side of a link: what it would report, and what it was told."""

    def __init__(self) -> None:
        self.cameras: tuple[str, ...] = ()
        self.viewers: tuple[ViewerReport, ...] = ()
        self.reports = 0
        self.fail = False
        self.takes = 0.0  # seconds of work that a report is
        self.told: asyncio.Queue[ToWorker] = asyncio.Queue()

    def handle(self, message: ToWorker) -> None:
        self.told.put_nowait(message)

    def report(self, base: Report) -> Report:
        self.reports += 1
        if self.fail:
            raise RuntimeError("no report")
        time.sleep(self.takes)
        return replace(base, subscribed=self.cameras, viewers=self.viewers)


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    return Endpoints.parse(f"ipc://{tmp_path}")


@pytest.fixture
async def broker(context: Context, endpoints: Endpoints) -> AsyncIterator[Broker]:
    broker = Broker(context, endpoints)
    yield broker
    broker.channel.close()


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def link(context: Context, endpoints: Endpoints) -> Link:
    return Link(context, endpoints, None, node="egress-7", role=Role.EGRESS)


async def test_first_report_says_who_and_what(broker: Broker, link: Link, worker: Worker) -> None:
    worker.cameras = ("yard",)
    async with link.serving(worker):
        report = await broker.report()
    assert (report.node, report.role, report.version, report.subscribed) == (
        "egress-7",
        Role.EGRESS,
        __version__,
        ("yard",),
    )
    assert report.incarnation == link.incarnation
    assert report.pid > 0
    assert report.load.memory > 0
    assert broker.received[0][0] == "egress-7"


async def test_reports_keep_coming(broker: Broker, link: Link) -> None:
    async with link.serving(Worker()):
        await broker.report()
        broker.received.clear()
        await broker.report()


async def test_broker_is_heard(broker: Broker, link: Link, worker: Worker) -> None:
    async with link.serving(worker), asyncio.timeout(5):
        await broker.report()
        broker.channel.send(b"egress-7", encode(Ping()))  # for the connection, not for the worker
        broker.channel.send(b"egress-7", encode(Release("yard")))
        broker.channel.send(b"egress-7", encode(HangUp("s1")))
        assert await worker.told.get() == Release("yard")
        assert await worker.told.get() == HangUp("s1")


async def test_the_wire_version_that_the_broker_names_is_spoken_and_told(
    broker: Broker, link: Link, worker: Worker
) -> None:
    async with link.serving(worker), asyncio.timeout(5):
        report = await broker.report()
        assert (report.wire, report.speaks) == (OURS, OURS.oldest)
        broker.channel.send(b"egress-7", encode(Speak(OURS.newest)))
        await broker.until(lambda message: isinstance(message, Report) and message.speaks == OURS.newest)
        broker.channel.send(b"egress-7", encode(Unfit("Upgrade.")))  # another broker, of another release
        broker.channel.send(b"egress-7", encode(HangUp("s1")))
        assert await worker.told.get() == HangUp("s1"), "the worker hears nothing of versions"
        assert (link.agreement.problem, link.hopeless.is_set()) == ("Upgrade.", False)


async def test_garbage_from_the_broker_is_counted_and_reported(broker: Broker, link: Link, worker: Worker) -> None:
    async with link.serving(worker), asyncio.timeout(5):
        await broker.report()
        broker.channel.send(b"egress-7", b"\xc1garbage")
        broker.channel.send(b"egress-7", encode(HangUp("s1")))
        await worker.told.get()
        link.report_soon()
        await broker.until(lambda message: isinstance(message, Report) and message.counters.get("control_garbage") == 1)


@pytest.mark.thorough
async def test_reports_that_are_much_work_come_less_often(broker: Broker, link: Link, worker: Worker) -> None:
    worker.takes = 0.05
    loop = asyncio.get_running_loop()
    async with link.serving(worker):
        await broker.report()
        before, started = worker.reports, loop.time()
        while worker.reports < before + 3:
            link.report_soon()
            await asyncio.sleep(0.01)
        assert loop.time() - started > 2 * worker.takes / REPORT_SHARE


async def test_a_burst_of_changes_is_one_report_and_soon(broker: Broker, link: Link, worker: Worker) -> None:
    async with link.serving(worker):
        await broker.report()
        before = worker.reports
        started = asyncio.get_running_loop().time()
        for number in range(100):
            worker.cameras = (f"cam-{number}",)
            link.report_soon()
        await broker.until(lambda message: isinstance(message, Report) and message.subscribed == ("cam-99",))
        assert worker.reports - before <= 2 + (asyncio.get_running_loop().time() - started) / MIN_REPORT_GAP


async def test_own_messages_and_farewell(broker: Broker, link: Link) -> None:
    async with link.serving(Worker()):
        await broker.report()
        assert link.send(Ended("s", "hung up"))
    await broker.until(lambda message: message == Ended("s", "hung up"))
    await broker.until(lambda message: message == Leaving("egress-7", link.incarnation))
    assert not link.send(Ended("s", "too late"))
    link.report_soon()


async def test_new_broker_gets_the_newest_report_and_no_stale_ones(
    context: Context, endpoints: Endpoints, link: Link, worker: Worker
) -> None:
    first = Broker(context, endpoints)
    async with link.serving(worker):
        await first.report()
        first.channel.close()
        await until(lambda: not link.send(Ended("s", "during the outage")), 5)
        snapshots = worker.reports
        for number in range(50):
            worker.cameras = (f"cam-{number}",)
            link.report_soon()
            await asyncio.sleep(0.005)
        assert worker.reports == snapshots, "no report is built for a broker that is away"
        second = Broker(context, endpoints)
        report = await second.report()
        assert report.subscribed == ("cam-49",)
        assert [type(message) for _, message in second.received] == [Report]
        second.channel.close()


@pytest.mark.thorough
async def test_a_report_that_cannot_be_made_is_told_less_of_and_counted(
    broker: Broker, link: Link, worker: Worker
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with link.serving(worker):
            await broker.report()
            worker.fail = True
            link.report_soon()
            failed = await broker.until(lambda message: isinstance(message, Report) and message.partial)
            assert isinstance(failed, Report)
            assert (failed.node, failed.subscribed) == ("egress-7", ())
            await broker.until(
                lambda message: isinstance(message, Report) and message.counters.get("report_failed", 0) >= 2
            )
            worker.fail = False
            broker.received.clear()
            assert not (await broker.report()).partial
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["the report could not be made"]


async def test_what_cannot_be_encoded_is_left_out_of_the_report(broker: Broker, link: Link, worker: Worker) -> None:
    good = ViewerReport("good", "yard", ViewerState.CONNECTED)
    worker.viewers = (good, replace(good, session="bad", packets=object()), replace(good, session="good too"))
    async with link.serving(worker):
        report = await broker.report()
        assert [viewer.session for viewer in report.viewers] == ["good", "good too"]
        assert report.partial
        await broker.until(
            lambda message: isinstance(message, Report) and message.counters.get("report_failed", 0) >= 1
        )


@pytest.mark.thorough
async def test_a_report_of_any_size_arrives(broker: Broker, link: Link, worker: Worker) -> None:
    name = "c" * 64
    worker.viewers = tuple(
        ViewerReport(f"{number:032}", name, ViewerState.CONNECTED, waiting="w" * 900) for number in range(10_000)
    )
    async with link.serving(worker):
        parts = Parts()
        whole = None
        seen = 0
        async with asyncio.timeout(20):
            while whole is None:
                await broker.until(lambda _message, seen=seen: len(broker.received) > seen)
                message = broker.received[seen][1]
                seen += 1
                whole = parts.take(message) if isinstance(message, Report) else None
    assert whole.viewers == worker.viewers
    assert seen > 1


async def test_a_message_that_no_message_can_hold_is_counted_and_not_sent(broker: Broker, link: Link) -> None:
    async with link.serving(Worker()):
        await broker.report()
        assert not link.send(Answered("s", "x" * (MAX_MESSAGE_BYTES + 1)))
        assert not link.send(Answered("s", object()))  # type: ignore[arg-type]
        assert link.counters["control_unsendable"] == 2
        assert link.send(Ended("s", "still here"))
        await broker.until(lambda message: message == Ended("s", "still here"))


async def test_worker_that_comes_back_under_its_name_replaces_the_old_connection(
    context: Context, endpoints: Endpoints, broker: Broker, link: Link, worker: Worker
) -> None:
    """As after ``kill -9``: the old connection may still look alive to the broker."""
    again = Worker()
    async with link.serving(worker):
        await broker.report()
        successor = Link(
            context,
            endpoints,
            None,
            node="egress-7",
            role=Role.EGRESS,
        )
        async with successor.serving(again), asyncio.timeout(5):
            await broker.until(
                lambda message: isinstance(message, Report) and message.incarnation == successor.incarnation
            )
            broker.channel.send(b"egress-7", encode(HangUp("s1")))
            assert await again.told.get() == HangUp("s1")
            assert worker.told.empty()


async def test_cancelled_while_leaving_it_still_closes_its_socket(broker: Broker, link: Link) -> None:
    async def work() -> None:
        async with link.serving(Worker()):
            assert link._channel is not None
            opened.append(link._channel.socket)
            await broker.report()
            leaving.set()

    opened: list[zmq.Socket[bytes]] = []
    leaving = asyncio.Event()
    task = asyncio.create_task(work())
    await leaving.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert opened[0].closed


def test_changes_are_reported_on_the_loop_that_the_workers_run_on(endpoints: Endpoints) -> None:
    """uvloop's handles are not asyncio's."""
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        with zmq.Context() as context:
            broker, worker = Broker(context, endpoints), Worker()
            link = Link(
                context,
                endpoints,
                None,
                node="egress-7",
                role=Role.EGRESS,
            )
            async with link.serving(worker):
                link.report_soon()
                await broker.report()
                for number in range(3):
                    await asyncio.sleep(2 * MIN_REPORT_GAP)  # so that the next is due at once
                    worker.cameras = (f"cam-{number}",)
                    link.report_soon()
                    link.report_soon()
                await broker.until(lambda message: isinstance(message, Report) and message.subscribed == ("cam-2",))
            broker.channel.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_default_node_names_role_and_host_and_is_nobody_elses() -> None:
    assert default_node(Role.EGRESS).startswith(f"egress-{socket.gethostname()}-")
    assert default_node(Role.EGRESS) != default_node(Role.EGRESS)  # in containers all have one process id
