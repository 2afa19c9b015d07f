"""An offer on its way through the front door: within the limits, or refused with the name of the one it hit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeEgress

CAMERAS = {"door": {"url": "rtsp://host/door"}, "yard": {"url": "rtsp://host/yard"}}


@asynccontextmanager
async def limited(directory: Path, **limits: float) -> AsyncIterator[RunningBroker]:
    async with (
        broker_in(directory, cameras=CAMERAS, limits=limits) as broker,
        FakeEgress(broker.endpoints, "out-1"),
    ):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        yield broker


async def post(broker: RunningBroker, camera: str = "door") -> tuple[int, str]:
    """Status, and the code of a refusal."""
    async with broker.http.post(f"/whep/{camera}", data="v=0", headers={"Content-Type": "application/sdp"}) as response:
        if response.status == 201:
            return 201, ""
        assert response.headers["Retry-After"] == "1"
        problem = await response.json()
        assert "(limits." in problem["detail"]
        return response.status, problem["code"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"sessions": 1}, (503, "limit_sessions")),
        ({"sessions_per_camera": 1}, (503, "limit_sessions_per_camera")),
        ({"offer_rate": 0.1}, (503, "limit_offer_rate")),
        ({"offer_rate_per_camera": 0.1}, (429, "limit_offer_rate_per_camera")),
    ],
)
async def test_one_too_many_is_refused_and_counted(tmp_path: Path, limits, expected) -> None:
    async with limited(tmp_path, **limits) as broker:
        assert await post(broker) == (201, "")
        assert await post(broker) == expected
        assert (await broker.json("/api/nodes"))[0]["counters"][expected[1]] == 1
        assert await post(broker) == expected
        refused = next(each for each in await broker.json("/api/why") if each["link"] == "offer")
        assert (refused["camera"], refused["over"]) == ("door", True)
        assert f"(limits.{expected[1].removeprefix('limit_')} is" in refused["sentence"]
        assert any(fact.startswith("2 offers") for fact in refused["facts"])
        assert (await broker.json(f"/api/why/{refused['session']}"))["sentence"] == refused["sentence"]


async def test_a_limit_of_one_camera_leaves_others_alone(tmp_path: Path) -> None:
    async with limited(tmp_path, sessions_per_camera=1) as broker:
        assert await post(broker) == (201, "")
        assert await post(broker, "yard") == (201, "")


async def test_who_leaves_makes_room(tmp_path: Path) -> None:
    async with limited(tmp_path, sessions=1) as broker:
        async with broker.http.post("/whep/door", data="v=0", headers={"Content-Type": "application/sdp"}) as response:
            await broker.http.delete(response.headers["Location"])
        assert await post(broker) == (201, "")


async def test_no_more_viewers_and_pages_while_memory_is_short(tmp_path: Path) -> None:
    async with limited(tmp_path, free_memory=1 << 40) as broker:
        assert await post(broker) == (503, "limit_free_memory")
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await broker.http.ws_connect("/ws")
        assert caught.value.status == 503
