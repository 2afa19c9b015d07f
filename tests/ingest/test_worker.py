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
from common.media import Batch, decode_frame, live_topic, replay_topic
from ingest import worker
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


def unanswered(request: Request, response: Response) -> Answer:
    """A camera that keeps everybody waiting who says goodbye."""
    return None if request.method == "TEARDOWN" else response


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
