"""An ingest that is told directly what to do, without a broker: the bus would take its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq

from common.cameras import CameraSpec
from common.control import (
    Assign,
    Release,
    Role,
)
from common.endpoints import Endpoints
from common.media import Rendition, as_it_came, first_epoch, live_topic, taken_topic
from common.worker.link import Link
from common.worker.publisher import Publisher
from ingest import worker
from ingest.rtsp import publishing
from ingest.rtsp.client import Connection
from ingest.rtsp.message import Request, Response
from rigs.camera import Answer, FakeCamera, h264_track
from rigs.waiting import until

BOUND = 15.0
NODE = "ingest-1"


def spec(name: str, fake: FakeCamera, revision: int = 1) -> CameraSpec:
    return CameraSpec(name, fake.url, revision=revision)


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
                await asyncio.sleep(0.01)
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
        kept = ingest._publisher._groups.of
        await until(lambda: kept(Rendition("door")), BOUND)
        ingest.handle(Assign(spec("door", fake, 2)) if then == "another" else Release("door"))
        assert not kept(Rendition("door"))
        await fake.asked("TEARDOWN")
        assert not kept(Rendition("door"))


async def test_a_key_is_used_until_the_camera_has_gone_and_then_forgotten(tmp_path: Path) -> None:
    async with FakeCamera(rewrite=unanswered) as fake, told(tmp_path) as (ingest, _):
        sealers = ingest._publisher._sealers
        ingest.handle(Assign(spec("door", fake), bytes(16)))
        await fake.asked("PLAY")
        ingest.handle(Release("door"))
        assert "door" in sealers
        await until(lambda: not ingest._tasks, BOUND)
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
