"""A camera with a main stream and a sub-stream, from GStreamer, watched in Chromium: each viewer gets what it shows."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from rigs import gst_camera as gst_rig
from rigs.chromium import Chromium, Viewing
from rigs.clip import TINY, Clip
from rigs.gst_launch import FPS, GstLaunch, missing, picture, sound
from rigs.path import Path
from rigs.relay import Relay

ALONE = "PYTEST_XDIST_WORKER" not in os.environ  # nothing else costs time: all that is promised has to be seen

pytestmark = [
    *(pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.quiet),
    pytest.mark.timeout(600 if ALONE else 240),
]

PATIENCE = 15.0  # seconds
QUIET = 3.0  # seconds in which nothing may move any more
TRIES = 3  # what else the machine does may spoil one
FREEZE = 0.3 if ALONE else 0.5  # seconds; on a machine of its own a move costs none …
CUT = 0.5  # … and one on a line that is cut 0.2 to 0.4
SWITCH = 2.0 if ALONE else PATIENCE  # seconds until a picture of the other stream is there
STEADY = 60.0 if ALONE else QUIET  # seconds after a move in which the stream may not change again
X264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=800 ! rtph264pay"
PCMU = sound("mulawenc ! rtppcmupay", rate=8_000, pt=0)
MAIN, SUB = (640, 480), (320, 240)
STREAMS = (f"{picture(X264, size=MAIN)} {PCMU}", f"{picture(X264, size=SUB)} {PCMU}")
FULL, TILE = {"width": 1280, "height": 900}, {"width": 320, "height": 260}


@asynccontextmanager
async def watched(shared_cluster: Callable[..., Any], *pipelines: str) -> AsyncIterator[Any]:
    """A cluster with one camera, whose streams these are."""
    if problem := gst_rig.missing() or missing(" ".join(pipelines)):
        pytest.skip(problem)
    with GstLaunch(pipelines) as launched:
        main, sub = launched.urls
        running = await shared_cluster({"front-door": {"url": main, "streams": {"sub": {"url": sub}}}})
        yield running


async def the_one(running: Any) -> str:
    """The session of the only viewer, as soon as there is but one."""
    async with asyncio.timeout(PATIENCE):
        while len(found := await running.get("viewers")) != 1:  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(0.1)
    return str(found[0]["session"])


async def becomes(viewing: Viewing, size: tuple[int, int], patience: float = PATIENCE) -> None:
    """Wait until the picture has that size."""
    async with asyncio.timeout(patience):
        while True:
            stats = await viewing.stats()
            if (stats.width, stats.height) == size:
                return
            await asyncio.sleep(0.05)


async def stays(viewing: Viewing, size: tuple[int, int]) -> None:
    """See that the picture keeps that size, and its session."""
    until = time.monotonic() + STEADY
    while time.monotonic() < until:
        [stats] = await viewing.all_stats()
        assert (stats.width, stats.height) == size
        await asyncio.sleep(0.5)


async def test_a_page_gets_the_stream_that_suits_its_size_and_keeps_its_session(
    chromium: Chromium, shared_cluster: Callable[..., Any]
) -> None:
    async with watched(shared_cluster, *STREAMS) as running:
        viewing = await chromium.open(f"{running.url}/watch/front-door")
        await viewing.page.set_viewport_size(FULL)  # type: ignore[arg-type]
        await viewing.shows(FPS)
        await becomes(viewing, MAIN)
        session = await the_one(running)  # on a slow machine the page has tried another way beside it
        streams = (await running.get("cameras/front-door"))["streams"]
        assert (streams["sub"]["state"], streams["main"]["state"]) == ("idle", "playing"), "nobody watches the other"
        for _ in range(TRIES):
            moved_at, before, took = time.time(), await viewing.stats(), 0.0
            for viewport, size, name in ((TILE, SUB, "sub"), (FULL, MAIN, "main")):
                began = time.monotonic()
                await viewing.page.set_viewport_size(viewport)  # type: ignore[arg-type]
                await becomes(viewing, size)
                took = max(took, time.monotonic() - began)
                print(f"{name} after {time.monotonic() - began:.1f} s", end=", ")
                await stays(viewing, size)
                [viewer] = await running.get("viewers")
                assert (viewer["camera"], viewer["stream"]) == ("front-door", name)
                assert viewer["session"] == session
            after = await viewing.stats()
            print(f"the picture stood for {await stood(viewing, moved_at):.2f} s")
            assert len(await viewing.all_stats()) == 1, "it is the same session"
            assert after.packets_lost == before.packets_lost
            concealed = after.audio_concealed - before.audio_concealed
            heard = concealed < 0.05 * (after.audio_samples - before.audio_samples)
            if smooth := heard and took < SWITCH and after.freeze_seconds - before.freeze_seconds < FREEZE:
                break
        assert smooth, f"{before}, {after}"
        assert not [line for line in running.log.splitlines() if "viewer left" in line and session in line]


async def test_a_player_by_whep_says_which_stream_it_wants(
    chromium: Chromium, shared_cluster: Callable[..., Any]
) -> None:
    async with watched(shared_cluster, *STREAMS) as running:
        for query, size in (("stream=sub", SUB), ("stream=main&height=90", MAIN), ("height=180", SUB)):
            viewing = await chromium.whep(f"{running.whep('front-door')}?{query}")
            await viewing.shows(FPS)
            await becomes(viewing, size)
            await viewing.close()


async def test_a_stream_that_fails_leaves_the_other(chromium: Chromium, shared_cluster: Callable[..., Any]) -> None:
    nothing = "rtsp://127.0.0.1:9/nothing"
    if problem := gst_rig.missing() or missing(STREAMS[0]):
        pytest.skip(problem)
    with GstLaunch(STREAMS[:1]) as launched:
        url = launched.urls[0]
        cameras = {
            "front-door": {"url": url, "streams": {"sub": {"url": nothing}}},
            "yard": {"url": nothing, "streams": {"sub": {"url": url}}},
        }
        running = await shared_cluster(cameras)
        for name, query in (("front-door", "stream=sub"), ("yard", "")):
            viewing = await chromium.whep(f"{running.whep(name)}?{query}")
            await viewing.shows(FPS)
            await becomes(viewing, MAIN)
            await viewing.close()


async def flows(viewing: Viewing, fps: int) -> bool:
    """Whether four in five pictures come for some seconds: what else the machine does may spoil one try."""
    for _ in range(TRIES):
        before = await viewing.stats()
        await asyncio.sleep(QUIET)  # the time to see that it goes on, not to wait for something
        after = await viewing.stats()
        if after.frames_decoded - before.frames_decoded > 0.8 * QUIET * fps:
            return True
    return False


async def behind_a_keyframe(viewing: Viewing) -> None:
    """Wait until one of the main stream has just come: the next is two seconds away."""
    before = (await viewing.stats()).keyframes_decoded
    async with asyncio.timeout(PATIENCE):
        while (await viewing.stats()).keyframes_decoded == before:  # noqa: ASYNC110  # a page tells nobody
            await asyncio.sleep(0.05)


async def stood(viewing: Viewing, since: float) -> float:
    """The longest time between two pictures in seconds, from a Unix time on."""
    shown = [frame.shown / 1e3 for frame in await viewing.frames()]
    return max(after - before for before, after in pairwise(shown) if after > since)


async def test_a_line_that_becomes_thin_gets_the_sub_stream_until_it_has_room_again(
    chromium: Chromium, shared_cluster: Callable[..., Any], gst_camera: Callable[..., Any]
) -> None:
    main, sub = gst_camera(Clip(width=1280, height=720, bitrate=3_000_000, seconds=4)), gst_camera(TINY)
    running = await shared_cluster({"front-door": {"url": main.url, "streams": {"sub": {"url": sub.url}}}})
    stands: list[tuple[float, float]] = []  # seconds until the picture is the other one, and without any
    async with Relay(down=Path(rate=10e6)) as relay:
        viewing = await chromium.whep(running.whep("front-door"), rewrite_answer=relay.rewrite)
        for _ in range(TRIES):
            await becomes(viewing, (1280, 720), patience=60.0)
            await viewing.shows(5 * main.fps)  # it is not judged before
            await behind_a_keyframe(viewing)
            cut_at, began = time.time(), time.monotonic()
            relay.down = Path(rate=1e6)
            await becomes(viewing, (320, 240))
            moved = time.monotonic() - began
            assert await flows(viewing, sub.fps)
            stands.append((moved, await stood(viewing, cut_at)))
            await stays(viewing, (320, 240))
            print(f"moved after {moved:.1f} s, the picture stood for {stands[-1][1]:.2f} s", end=", ")
            print(f"lost {relay.down.counts['queue_full']} packets", end=", ")
            relay.down = Path(rate=10e6)
            began = time.monotonic()
            await becomes(viewing, (1280, 720), patience=60.0)
            print(f"back after {time.monotonic() - began:.1f} s")
            if moved < SWITCH and stands[-1][1] < CUT:
                break
        assert any(moved < SWITCH and stand < CUT for moved, stand in stands), stands
        assert len(await viewing.all_stats()) == 1
        assert "viewer left" not in running.log
