"""Cameras watched by GStreamer's WebRTC peer, which takes what this Chromium cannot play."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from rigs import gst_camera as gst_rig
from rigs import gst_launch, gst_viewer
from rigs.gst_launch import FPS, TONE, GstLaunch, picture, sound

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet]

SECONDS = 3
CAMERAS = {
    "H264": picture("x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=800 ! rtph264pay"),
    "H265": picture("x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=800 ! rtph265pay"),
    "VP8": picture("vp8enc deadline=1 keyframe-max-dist=25 ! rtpvp8pay"),
}


async def converted(running: Any) -> list[str]:
    nodes = await running.get("nodes")
    return [name for node in nodes if node["role"] == "transcode" for name in node["cameras"]]


async def watched(shared_cluster: Callable[..., Any], sent: str, *offered: str) -> list[str]:
    """Watch a camera with viewers that take one codec each; what was converted for them."""
    problems = (gst_rig.missing(), gst_launch.missing(CAMERAS[sent]), *(gst_viewer.missing(each) for each in offered))
    if problem := next(filter(None, problems), ""):
        pytest.skip(problem)
    with GstLaunch([CAMERAS[sent]]) as launched:
        running = await shared_cluster({"front-door": launched.urls[0]})
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            whep = running.whep("front-door")
            viewers = [await stack.enter_async_context(gst_viewer.gst_viewer(whep, each)) for each in offered]
            await asyncio.gather(*(viewer.shows(FPS) for viewer in viewers))
            before = time.monotonic()
            await asyncio.gather(*(viewer.shows(SECONDS * FPS) for viewer in viewers))
            assert time.monotonic() - before < 1.1 * SECONDS + 0.5, "every picture comes, and is decoded"
            assert {viewer.size for viewer in viewers} == {(320, 240)}
            return await converted(running)


@pytest.mark.parametrize("codec", CAMERAS)
async def test_what_the_viewer_takes_is_passed_through(codec: str, shared_cluster: Callable[..., Any]) -> None:
    assert await watched(shared_cluster, codec, codec) == []


async def test_what_it_does_not_take_is_converted(shared_cluster: Callable[..., Any]) -> None:
    assert await watched(shared_cluster, "H265", "H264") == ["front-door/h264"]


async def test_one_viewer_gets_what_comes_while_another_gets_it_converted(shared_cluster: Callable[..., Any]) -> None:
    assert await watched(shared_cluster, "H265", "H265", "H264") == ["front-door/h264"]


async def test_who_takes_uncompressed_sound_gets_it_as_it_comes_and_others_get_opus_or_g711(
    shared_cluster: Callable[..., Any],
) -> None:
    camera = sound("rtpL16pay", rate=gst_viewer.SOUND_RATE, track=0)
    problems = (gst_rig.missing(), gst_launch.missing(camera), *map(gst_viewer.missing, ("L16", "OPUS", "PCMU")))
    if problem := next(filter(None, problems), ""):
        pytest.skip(problem)
    with GstLaunch([camera]) as launched:
        running = await shared_cluster({"front-door": launched.urls[0]})
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            made: list[str] = []
            for codec, rate in (("L16", gst_viewer.SOUND_RATE), ("OPUS", 48_000), ("PCMU", 8_000)):
                heard = await stack.enter_async_context(gst_viewer.gst_viewer(running.whep("front-door"), codec))
                await heard.shows(10)  # tenths of a second
                assert (heard.size[0], abs(heard.size[1] - TONE) <= 20) == (rate, True), heard.size
                made += [] if codec == "L16" else [f"front-door/{codec.lower()}"]
                assert await converted(running) == made
