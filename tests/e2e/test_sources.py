"""Sources that are not RTSP, from ffmpeg through the whole product: a picture and a tone in Chromium."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from rigs.chromium import Chromium
from rigs.ffmpeg import AAC, FPS, H264, MJPEG, TONE, ffmpeg, missing, record
from rigs.process import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.quiet]

SECONDS = 3.0
WINDOWS = 3  # the browser may stand still in one of them where others use the machine
ALL = {"sources": {"allow": ["rtsp", "http", "rtmp", "udp", "file"]}}


@pytest.fixture(autouse=True)
def _ffmpeg() -> None:
    if problem := missing():
        pytest.skip(problem)


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[str]:
    """The address of a web server of that directory's files."""
    app = web.Application()
    app.router.add_static("/", directory)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def watched(running: Any, chromium: Chromium, *, heard: bool = True) -> None:
    """A viewer sees the pictures at their rate, without a freeze, and hears the tone."""
    viewing = await chromium.whep(running.whep("yard"))
    await viewing.shows(FPS, seconds=20)
    after = await viewing.stats()
    for _ in range(WINDOWS):
        before = after
        await asyncio.sleep(SECONDS)  # the time to measure, not to wait for something
        after = await viewing.stats()
        if after.freezes == before.freezes:
            break
    assert after.video_codec == "video/H264"
    assert after.frames_decoded - before.frames_decoded >= 0.9 * FPS * SECONDS
    assert after.freezes == before.freezes
    if heard:
        assert after.audio_codec == "audio/opus"
        assert await viewing.loudest_hz() == pytest.approx(TONE, rel=0.02)
    await viewing.close()


async def test_motion_jpeg_over_http(chromium: Chromium, shared_cluster: Callable[..., Any]) -> None:
    address = f"http://127.0.0.1:{free_port()}/video"
    running = await shared_cluster({"yard": address})
    with ffmpeg(f"{MJPEG} -f mpjpeg -listen 1 {address}", sound=False):
        await watched(running, chromium, heard=False)
        camera = await running.get("cameras/yard")
    assert (camera["state"], camera["connected_over"]) == ("playing", "http")
    assert [track["codec"] for track in camera["tracks"]] == ["JPEG"]


async def test_hls(chromium: Chromium, shared_cluster: Callable[..., Any], tmp_path: Path) -> None:
    directory = tmp_path / "hls"
    directory.mkdir()
    output = f"{H264} {AAC} -f hls -hls_time 1 -hls_list_size 5 -hls_flags delete_segments {directory}/live.m3u8"
    async with served(directory) as address:
        with ffmpeg(output):
            running = await shared_cluster({"yard": f"{address}/live.m3u8"})
            await watched(running, chromium)


async def test_rtmp(chromium: Chromium, shared_cluster: Callable[..., Any]) -> None:
    address = f"rtmp://127.0.0.1:{free_port()}/live/yard"
    running = await shared_cluster({"yard": address})
    with ffmpeg(f"{H264} {AAC} -f flv -listen 1 {address}"):
        await watched(running, chromium)


async def test_mpeg_ts_over_udp(chromium: Chromium, shared_cluster: Callable[..., Any]) -> None:
    address = f"udp://127.0.0.1:{free_port()}"
    running = await shared_cluster({"yard": address})
    with ffmpeg(f"{H264} {AAC} -f mpegts {address}?pkt_size=1316"):
        await watched(running, chromium)


async def test_a_file_plays_for_ever(chromium: Chromium, shared_cluster: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    record(f"{H264} {AAC} {file}", seconds=2)
    running = await shared_cluster({"yard": f"file://{file}"})
    await watched(running, chromium)  # for longer than the file


async def test_stills_and_a_sub_stream_of_sources_that_are_pulled_on_demand(
    chromium: Chromium, shared_cluster: Callable[..., Any], tmp_path: Path
) -> None:
    file = tmp_path / "clip.mp4"
    record(f"{H264} {AAC} {file}", seconds=2)
    address = f"http://127.0.0.1:{free_port()}/small"
    camera = {"url": f"file://{file}", "streams": {"sub": {"url": address}}, "on_demand": True}
    running = await shared_cluster({"yard": camera})
    async with aiohttp.ClientSession() as http:

        async def states() -> list[str]:
            async with http.get(f"{running.url}/api/cameras/yard") as response:
                streams = (await response.json())["streams"]
            return [streams["main"]["state"], streams["sub"]["state"]]

        assert await states() == ["idle", "idle"]
        async with http.get(f"{running.url}/api/cameras/yard/snapshot.jpg") as response:
            assert response.status == 200
            assert (await response.read()).startswith(b"\xff\xd8")
        with ffmpeg(f"{MJPEG} -f mpjpeg -listen 1 {address}", sound=False):
            viewing = await chromium.whep(running.whep("yard") + "?stream=sub")
            await viewing.shows(FPS, seconds=20)
            assert (await states())[1] == "playing"
            await viewing.close()
