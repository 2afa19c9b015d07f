"""The ingest process on a bus, with a broker that says what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from common.bus import Channel, open_socket
from common.cameras import CameraSpec, CameraState
from common.config import BrokerConfig, Config
from common.control import (
    Assign,
    Leaving,
    Release,
    Report,
    Role,
    StreamReport,
    ToWorker,
    decode_for_broker,
    encode,
)
from common.endpoints import Endpoints
from common.errors import ConfigError
from common.media import Batch, Rendition, as_it_came, decode_frame, first_epoch, live_topic, replay_topic, taken_topic
from common.worker.link import Link
from common.worker.publisher import Publisher
from ingest import worker
from ingest.rtsp import publishing
from ingest.rtsp.client import Connection
from ingest.rtsp.message import Request, Response
from rigs.camera import Answer, FakeCamera, h264_track, opus_track

BOUND = 15.0
NODE = "ingest-1"


class Broker:
    """A ROUTER and an XSUB, as a worker sees them."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Endpoints) -> None:
        self.report: Report | None = None
        self.left: Leaving | None = None
        self.batches: list[tuple[str, Batch]] = []
        self._changed = asyncio.Event()
        router, media = open_socket(context, zmq.ROUTER), open_socket(context, zmq.XSUB)
        router.bind(endpoints.control)
        media.bind(endpoints.media_in)
        self._control = Channel(router, self._receive, multipart=True)
        self._media = Channel(media, self._receive_media)

    def _receive(self, frames: list[bytes]) -> None:
        message = decode_for_broker(frames[1])
        if isinstance(message, Report):
            self.report = message
        elif isinstance(message, Leaving):
            self.left = message
        self._changed.set()

    def _receive_media(self, frame: bytes) -> None:
        camera, *_, batches = decode_frame(frame)
        self.batches += [(camera, batch) for batch in batches]
        self._changed.set()

    def send(self, message: ToWorker) -> None:
        self._control.send(NODE.encode(), encode(message))

    def subscribe(self, topic: bytes) -> None:
        self._media.send(b"\x01" + topic)

    def stream(self, camera: str) -> StreamReport | None:
        streams = self.report.served if self.report else ()
        return next((stream for stream in streams if stream.camera == camera), None)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(BOUND):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def reached(self, camera: str, state: CameraState) -> StreamReport:
        await self.until(lambda: (found := self.stream(camera)) and found.state is state)
        found = self.stream(camera)
        assert found is not None
        return found

    def close(self) -> None:
        self._control.close()
        self._media.close()


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[tuple[Broker, asyncio.Event, asyncio.Task[None]]]:
    """A worker and its broker."""
    address = f"ipc://{tmp_path}"
    stop = asyncio.Event()
    with zmq.Context() as context:
        broker = Broker(context, Endpoints.parse(address))
        task = asyncio.create_task(worker.run(Config(broker=BrokerConfig(address=address)), NODE, stop))
        try:
            await broker.until(lambda: broker.report)
            yield broker, stop, task
            stop.set()
            async with asyncio.timeout(3):
                await task
        finally:
            broker.close()


def spec(name: str, fake: FakeCamera, revision: int = 1) -> CameraSpec:
    return CameraSpec(name, fake.url, revision=revision)


async def test_says_who_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as (broker, _, _):
        assert broker.report is not None
        assert (broker.report.node, broker.report.role, broker.report.served) == (NODE, Role.INGEST, ())
    assert broker.report.load.memory > 0


async def test_pulls_what_it_is_assigned(tmp_path: Path) -> None:
    async with FakeCamera([h264_track(), opus_track()]) as fake, running(tmp_path) as (broker, _, _):
        broker.subscribe(live_topic("door"))
        broker.send(Assign(spec("door", fake)))
        stream = await broker.reached("door", CameraState.PLAYING)
        assert (stream.revision, stream.transport) == (1, "tcp")
        await broker.until(lambda: {batch.kind for _, batch in broker.batches} == {"video", "audio"})
        broker.subscribe(replay_topic("door", "egress-1"))
        await broker.until(lambda: broker.report and broker.report.counters.get("replays"))
        assert {camera for camera, _ in broker.batches} == {"door"}


async def test_assigning_again_changes_nothing(tmp_path: Path) -> None:
    async with FakeCamera() as fake, running(tmp_path) as (broker, _, _):
        for _ in range(3):
            broker.send(Assign(spec("door", fake)))
        await broker.reached("door", CameraState.PLAYING)
        broker.send(Assign(spec("door", fake)))
        broker.send(Assign(spec("other", fake)))
        await broker.reached("other", CameraState.PLAYING)
        assert fake.connections == 2


async def test_a_new_revision_restarts_after_the_old_one_has_gone(tmp_path: Path) -> None:
    async with FakeCamera() as old, FakeCamera() as new, running(tmp_path) as (broker, _, _):
        broker.send(Assign(spec("door", old)))
        await broker.reached("door", CameraState.PLAYING)
        broker.send(Assign(spec("door", new, 2)))
        await broker.until(lambda: (found := broker.stream("door")) and found.revision == 2)
        await broker.reached("door", CameraState.PLAYING)
        assert old.methods[-1] == "TEARDOWN"
        assert broker.report is not None
        assert len(broker.report.served) == 1


async def test_many_revisions_in_a_row(tmp_path: Path) -> None:
    async with FakeCamera() as fake, running(tmp_path) as (broker, _, _):
        for revision in range(1, 20):
            broker.send(Assign(spec("door", fake, revision)))
        await broker.until(lambda: (found := broker.stream("door")) and found.revision == 19)
        await broker.reached("door", CameraState.PLAYING)
        assert fake.methods.count("PLAY") - fake.methods.count("TEARDOWN") == 1


async def test_release(tmp_path: Path) -> None:
    async with FakeCamera() as fake, running(tmp_path) as (broker, _, _):
        broker.send(Assign(spec("door", fake)))
        await broker.reached("door", CameraState.PLAYING)
        broker.send(Release("unknown"))
        broker.send(Release("door"))
        await broker.until(lambda: broker.report and not broker.report.served)
        await fake.asked("TEARDOWN")
        broker.send(Assign(spec("door", fake)))
        await broker.reached("door", CameraState.PLAYING)


async def test_one_that_ends_says_so_and_that_its_cameras_may_move_while_it_says_goodbye(tmp_path: Path) -> None:
    async with FakeCamera(rewrite=unanswered) as fake, running(tmp_path) as (broker, stop, _):
        broker.send(Assign(spec("door", fake)))
        await fake.asked("PLAY")
        stop.set()
        await broker.until(lambda: broker.report and broker.report.draining and not broker.report.served)
        assert broker.left is None


async def test_stop_says_goodbye_to_everybody(tmp_path: Path) -> None:
    async with FakeCamera() as fake:
        async with running(tmp_path) as (broker, stop, task):
            for number in range(5):
                broker.send(Assign(spec(f"c{number}", fake)))
            for number in range(5):
                await broker.reached(f"c{number}", CameraState.PLAYING)
            stop.set()
            async with asyncio.timeout(3):
                await task
            await broker.until(lambda: broker.left)
        await fake.asked("TEARDOWN", 5)


async def test_goes_on_while_the_broker_is_away(tmp_path: Path) -> None:
    address = Endpoints.parse(f"ipc://{tmp_path}")
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(FakeCamera())
        context = stack.enter_context(zmq.Context())
        broker = Broker(context, address)
        config = Config(broker=BrokerConfig(address=address.address))
        task = asyncio.create_task(worker.run(config, NODE, stop))
        await broker.until(lambda: broker.report)
        broker.send(Assign(spec("door", fake)))
        await broker.reached("door", CameraState.PLAYING)
        broker.close()
        sent = len(fake.frames)
        await fake.until(lambda: len(fake.frames) > sent)  # receiver reports: the session lives
        another = Broker(context, address)
        stream = await another.reached("door", CameraState.PLAYING)
        assert stream.reconnects == 0
        another.subscribe(live_topic("door"))
        await another.until(lambda: another.batches)
        stop.set()
        async with asyncio.timeout(3):
            await task
        another.close()
        assert fake.connections == 1


async def test_garbage_on_the_control_plane_is_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as (broker, _, _):
        broker._control.send(NODE.encode(), b"garbage")
        await broker.until(lambda: broker.report and broker.report.counters.get("control_garbage"))


async def test_failing_cameras_leave_the_others_alone(tmp_path: Path) -> None:
    async with FakeCamera() as fake, running(tmp_path) as (broker, _, _):
        broker.send(Assign(CameraSpec("gone", "rtsp://127.0.0.1:1/")))
        broker.send(Assign(CameraSpec("odd", "rtsp:///")))
        broker.send(Assign(spec("door", fake)))
        await broker.reached("gone", CameraState.CONNECTION_REFUSED)
        await broker.reached("odd", CameraState.INVALID_URL)
        await broker.reached("door", CameraState.PLAYING)


# Told directly: the bus would take its time.


@asynccontextmanager
async def told(tmp_path: Path) -> AsyncIterator[tuple[worker.Ingest, asyncio.Event]]:
    """A worker without a broker; it has to end soon after the test."""
    stop = asyncio.Event()
    endpoints = Endpoints.parse(f"ipc://{tmp_path}")
    with zmq.Context() as context, Publisher(context, endpoints, None) as publisher:
        async with asyncio.TaskGroup() as group:
            told = worker.Ingest(Link(context, endpoints, None, node=NODE, role=Role.INGEST), publisher, group)
            task = asyncio.create_task(told.run(stop))
            try:
                yield told, stop
            finally:
                stop.set()
                async with asyncio.timeout(3):
                    await task


def unanswered(request: Request, response: Response) -> Answer:
    """A camera that keeps everybody waiting who says goodbye."""
    return None if request.method == "TEARDOWN" else response


async def test_who_subscribes_to_a_camera_that_rests_has_it_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "WARM_UP", 0.0)
    async with FakeCamera() as fake, told(tmp_path) as (ingest, _):
        ingest.handle(Assign(spec("door", fake)))
        camera = ingest._cameras["door"]
        async with asyncio.timeout(20):
            while (  # noqa: ASYNC110
                not isinstance(camera._connection, Connection) or not camera._connection._turns._resting
            ):
                await asyncio.sleep(0)
        ingest._publisher._subscribed(b"\1" + live_topic("door"))
        assert not camera._connection._turns._paused
        ingest._publisher._subscribed(b"\1" + live_topic("doorbell"))


async def test_changed_and_released_at_once(tmp_path: Path) -> None:
    async with FakeCamera() as fake, told(tmp_path) as (ingest, _):
        ingest.handle(Assign(spec("door", fake)))
        await fake.asked("PLAY")
        ingest.handle(Assign(spec("door", fake, 2)))
        ingest.handle(Release("door"))
        await fake.until(lambda: not fake._peers)
        assert fake.methods.count("PLAY") == fake.methods.count("TEARDOWN") == 1


async def test_changes_while_the_goodbye_takes_long(tmp_path: Path) -> None:
    most = 0

    def rewrite(request: Request, response: Response) -> Answer:
        nonlocal most
        most = max(most, len(fake._peers))
        return unanswered(request, response)

    async with FakeCamera(rewrite=rewrite) as fake, told(tmp_path) as (ingest, _):
        ingest.handle(Assign(spec("door", fake)))
        await fake.asked("PLAY")
        ingest.handle(Assign(spec("door", fake, 2)))
        await fake.asked("TEARDOWN")
        ingest.handle(Assign(spec("door", fake, 3)))
        ingest.handle(Release("door"))
        ingest.handle(Assign(spec("door", fake, 4)))
        await fake.asked("PLAY", 2)
    assert (most, fake.connections) == (1, 2)


@pytest.mark.parametrize("then", ["another", "none"])
async def test_what_a_camera_sent_is_given_to_nobody_while_it_is_said_goodbye_to(tmp_path: Path, then: str) -> None:
    """It may be another camera whose name that is now."""
    async with FakeCamera([h264_track()], rewrite=unanswered) as fake, told(tmp_path) as (ingest, _):
        ingest.handle(Assign(spec("door", fake)))
        gops = ingest._publisher._gops
        async with asyncio.timeout(BOUND):
            while not gops.get(Rendition("door")):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        ingest.handle(Assign(spec("door", fake, 2)) if then == "another" else Release("door"))
        assert not gops.get(Rendition("door"))
        await fake.asked("TEARDOWN")
        assert not gops.get(Rendition("door"))


async def test_a_key_is_used_until_the_camera_has_gone_and_then_forgotten(tmp_path: Path) -> None:
    async with FakeCamera(rewrite=unanswered) as fake, told(tmp_path) as (ingest, _):
        sealers = ingest._publisher._sealers
        ingest.handle(Assign(spec("door", fake), bytes(16)))
        await fake.asked("PLAY")
        ingest.handle(Release("door"))
        assert "door" in sealers
        async with asyncio.timeout(BOUND):
            while ingest._tasks:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not sealers
        ingest._ending = True
        ingest.handle(Assign(spec("other", fake), bytes(16)))
        assert not sealers


async def test_cut_off_from_the_broker_it_lets_go_what_nobody_takes_from_it(tmp_path: Path) -> None:
    async with FakeCamera() as fake, told(tmp_path) as (ingest, _):
        ingest._publisher._taken = {as_it_came("taken"), as_it_came("moved")}
        away = 0.0
        ingest._link.away_for = lambda _now: away  # type: ignore[method-assign]
        for name in ("taken", "door", "moved"):
            ingest.handle(Assign(spec(name, fake), fence=100))
            ingest._publisher._subscribed(b"\1" + taken_topic(name, first_epoch(101 if name == "moved" else 100)))
        await fake.asked("PLAY", 3)
        away = worker.LET_GO_AFTER - 0.1
        ingest._let_go(0.0)
        assert set(ingest._cameras) == {"taken", "door", "moved"}
        away = worker.LET_GO_AFTER
        ingest._let_go(0.0)
        assert set(ingest._cameras) == {"taken"}
        await fake.asked("TEARDOWN", 2)


async def test_the_newer_of_two_assignments_publishes_in_the_newer_epoch(tmp_path: Path) -> None:
    async with FakeCamera() as fake, told(tmp_path) as (ingest, _):
        ingest.handle(Assign(spec("door", fake), fence=100))
        await fake.asked("PLAY")
        first = ingest._cameras["door"]
        assert (first.report.fence, first.epoch) == (100, first_epoch(100))
        ingest.handle(Assign(spec("door", fake), fence=101))  # sent again: it is pulled already
        assert ingest._cameras["door"] is first
        ingest._begin(first.spec, first.fence)
        await fake.asked("PLAY", 2)
        assert ingest._cameras["door"].epoch == first_epoch(100) + 1
        ingest.handle(Assign(spec("door", fake, 2), fence=102))
        await fake.asked("PLAY", 3)
        assert ingest._cameras["door"].epoch == first_epoch(102)


async def test_what_comes_during_the_farewell_is_too_late(tmp_path: Path) -> None:
    async with FakeCamera(rewrite=unanswered) as fake, told(tmp_path) as (ingest, stop):
        ingest.handle(Assign(spec("door", fake)))
        await fake.asked("PLAY")
        stop.set()
        await fake.asked("TEARDOWN")
        ingest.handle(Assign(spec("door", fake, 2)))
        ingest.handle(Assign(spec("other", fake)))
        ingest.handle(Release("door"))
    assert fake.connections == 1


@pytest.mark.slow
async def test_two_hundred_cameras(tmp_path: Path) -> None:
    few = h264_track()
    async with (
        FakeCamera([replace(few, units=few.units[:10])], interval=0.5) as fake,
        running(tmp_path) as (broker, _, _),
    ):
        for number in range(200):
            broker.send(Assign(spec(f"c{number}", fake)))
        playing = CameraState.PLAYING
        await broker.until(lambda: broker.report and sum(s.state is playing for s in broker.report.served) == 200)
        fake.drop()
        await broker.until(lambda: broker.report and sum(s.reconnects for s in broker.report.served) == 200)


async def test_a_bus_that_cannot_be() -> None:
    config = Config(broker=BrokerConfig(address="nonsense"))
    with pytest.raises(ConfigError):
        await worker.run(config, NODE, asyncio.Event())
    config = Config(broker=BrokerConfig(address="tcp://192.0.2.1:5000"))
    with pytest.raises(ConfigError, match="secret"):
        await worker.run(config, NODE, asyncio.Event())
