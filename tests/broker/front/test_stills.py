"""Stills at the front door: drawn once for all who ask, and refused in a sentence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.control import Role, Snapshot, SnapshotFailed, SnapshotTaken, ToWorker
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeIngest, FakeWorker

JPEG = b"\xff\xd8 a picture \xff\xd9"
DOOR = "/api/cameras/door/snapshot.jpg"
CAMERAS = {"door": {"url": "rtsp://host/door"}, "yard": {"url": "rtsp://host/yard"}}


class FakeTranscoder(FakeWorker):
    """Draws every still, unless ``reason`` says why not."""

    role = Role.TRANSCODE
    reason = ""
    silent = False

    def obey(self, message: ToWorker) -> None:
        if isinstance(message, Snapshot) and not self.silent:
            failed = SnapshotFailed(message.request, self.reason)
            self.send(failed if self.reason else SnapshotTaken(message.request, JPEG, 1_000_000_000.0))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker:
        yield broker


@pytest.fixture
async def transcoder(broker: RunningBroker) -> AsyncIterator[FakeTranscoder]:
    async with FakeIngest(broker.endpoints, "in-1"), FakeTranscoder(broker.endpoints, "tc-1") as worker:
        await broker.until("/api/cameras/door", lambda camera: camera["state"] == "playing")
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 3)
        yield worker


async def test_a_still_is_answered_as_a_jpeg_file(broker: RunningBroker, transcoder: FakeTranscoder) -> None:
    async with broker.http.get(f"{DOOR}?height=180") as response:
        assert (response.status, response.content_type, await response.read()) == (200, "image/jpeg", JPEG)
        assert response.headers["Cache-Control"] == "private, max-age=1"
        assert response.headers["Last-Modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert (await transcoder.told(Snapshot)).height == 180


async def test_many_who_ask_for_one_get_the_same(broker: RunningBroker, transcoder: FakeTranscoder) -> None:
    transcoder.silent = True
    asking = [asyncio.create_task(broker.http.get(DOOR)) for _ in range(20)]
    order = await transcoder.told(Snapshot)
    asking[0].cancel()  # who leaves takes nothing from the others
    transcoder.send(SnapshotTaken(order.request, JPEG, 1.0))
    responses = await asyncio.gather(*asking[1:])
    assert {response.status for response in responses} == {200}
    assert (await broker.http.get(DOOR)).status == 200, "it is fresh for a second"
    assert [m for m in transcoder.messages if isinstance(m, Snapshot)] == []
    transcoder.silent = False
    assert (await broker.http.get(f"{DOOR}?height=90")).status == 200
    assert (await transcoder.told(Snapshot)).height == 90, "another one"


async def test_a_camera_that_gets_the_name_of_another_is_not_shown_by_its_still(
    broker: RunningBroker, transcoder: FakeTranscoder
) -> None:
    """People who may see the one need not have had a right to the other."""
    url = "/api/cameras/gate"
    for host in ("one", "two"):
        camera = {"id": "gate", "url": f"rtsp://{host}/gate"}
        assert (await broker.http.post("/api/cameras", json=camera)).status == 201
        await broker.until(url, lambda camera: camera["state"] == "playing")
        assert (await broker.http.get(f"{url}/snapshot.jpg")).status == 200
        await transcoder.told(Snapshot)
        assert (await broker.http.delete(url)).status == 204


async def test_a_failure_is_told_and_not_kept(broker: RunningBroker, transcoder: FakeTranscoder) -> None:
    transcoder.reason = "the keyframe gives no picture"
    async with broker.http.get(DOOR) as response:
        assert (response.status, (await response.json())["code"]) == (503, "still_failed")
        assert response.headers["Retry-After"]
    transcoder.reason = ""
    assert (await broker.http.get(DOOR)).status == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/cameras/porch/snapshot.jpg", 404, "unknown_camera"),
        (f"{DOOR}?height=tall", 400, "invalid_height"),
        (f"{DOOR}?stream=third", 400, "invalid_stream"),
    ],
)
async def test_what_is_wrong_is_said(
    broker: RunningBroker, transcoder: FakeTranscoder, path: str, status: int, code: str
) -> None:
    async with broker.http.get(path) as response:
        assert (response.status, (await response.json())["code"]) == (status, code)


@pytest.mark.thorough
async def test_too_many_are_refused(tmp_path: Path) -> None:
    limits = {"still_rate": 0.2}
    async with broker_in(tmp_path, cameras=CAMERAS, limits=limits) as broker:
        statuses = [(await broker.http.get(f"{DOOR}?height={height}")).status for height in range(4)]
        async with broker.http.get(DOOR) as response:
            assert (response.status, (await response.json())["code"]) == (503, "limit_still_rate")
    assert len(statuses) == 4


async def test_a_broker_that_stops_lets_nobody_wait(broker: RunningBroker, transcoder: FakeTranscoder) -> None:
    transcoder.silent = True
    asking = asyncio.create_task(broker.http.get(DOOR))
    await transcoder.told(Snapshot)
    broker.stop.set()
    assert (await asking).status == 503
