"""Conversions, by the whole product in Chromium: one for all, the end of its process, and words where there is none."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from rigs.chromium import Chromium
from rigs.gst_launch import FPS, TONE, picture
from tests.fakes.converted_cameras import PCMU, asked, cameras, converter

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.quiet]

SECONDS = 3.0
ALONE = "PYTEST_XDIST_WORKER" not in os.environ  # nothing else costs time: all that is promised has to be seen
KILLED = 3.0 if ALONE else 10.0  # seconds without a picture where a transcode process is killed
VIEWERS = 20 if ALONE else 3
KEPT = 10.0  # seconds, the default of keep_after
H265 = picture("x265enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate=800 ! rtph265pay")
MJPEG = f"{picture('jpegenc ! rtpjpegpay')} {PCMU}"
NOTHING_CONVERTS = {
    "H.265": "The camera sends H.265, which this browser cannot play, and nothing converts it: start a "
    "transcode process (camshaft transcode), or use another browser.",
    "Motion JPEG": "The camera's picture cannot be shown: browsers do not play Motion JPEG, and no transcode "
    "worker is running to convert it.",
}


async def joined(running: Any) -> bool:
    return any(node["role"] == "transcode" for node in await asked(running, "/api/nodes"))


async def test_one_conversion_serves_all_viewers_and_ends_after_the_last(
    chromium: Chromium, shared_cluster: Callable[..., Any]
) -> None:
    with cameras(MJPEG) as launched:
        running = await shared_cluster({"front-door": launched.urls[0]})
        async with asyncio.timeout(15):
            while not await joined(running):  # noqa: ASYNC110  # HTTP tells nobody
                await asyncio.sleep(0.2)
        assert (await converter(running))["cameras"] == [], "nothing is converted that nobody watches"
        viewings = [await chromium.whep(running.whep("front-door")) for _ in range(VIEWERS)]
        for viewing in viewings:
            await viewing.shows(FPS)
        before = await converter(running)
        await asyncio.sleep(SECONDS)  # the time to measure, not to wait for something
        after = await converter(running)
        assert after["cameras"] == ["front-door/h264"]
        made = after["counters"]["units_made"] - before["counters"]["units_made"]
        assert made <= 1.3 * FPS * SECONDS + FPS, "each picture once"
        for viewing in viewings:
            await viewing.close()
        async with asyncio.timeout(KEPT if ALONE else 2 * KEPT):
            while (await converter(running))["cameras"]:  # noqa: ASYNC110  # HTTP tells nobody
                await asyncio.sleep(0.2)


async def test_a_transcode_process_that_is_killed_costs_a_moment_and_no_session(
    chromium: Chromium, cluster: Callable[..., Any]
) -> None:
    with cameras(MJPEG) as launched:
        running = await cluster({"front-door": launched.urls[0]})
        viewing = await chromium.whep(running.whep("front-door"))
        await viewing.shows(FPS)
        killed_at = time.time()
        running.kill("transcode")
        await asyncio.sleep(0.5)  # what was on its way is over by then
        await viewing.shows(FPS, seconds=10)
        shown = [frame.shown / 1e3 for frame in await viewing.frames()]
        stood = max(after - before for before, after in itertools.pairwise(shown) if after > killed_at)
        print(f"the picture stood for {stood:.2f} s")
        assert stood < KILLED
        assert len(await viewing.all_stats()) == 1
        assert "viewer left" not in running.log


async def test_where_nothing_is_converted_the_sound_plays_and_the_picture_says_what_is_missing(
    chromium: Chromium, cluster: Callable[..., Any]
) -> None:
    expect = pytest.importorskip("playwright.async_api").expect
    sent = {"front-door": ("H.265", f"{H265} {PCMU}"), "yard": ("Motion JPEG", MJPEG)}
    with cameras(*(pipeline for _, pipeline in sent.values())) as launched:
        running = await cluster(dict(zip(sent, launched.urls, strict=True)), config={"transcode": {"workers": 0}})
        for name, (codec, _) in sent.items():
            viewing = await chromium.open(f"{running.url}/watch/{name}")
            player = viewing.page.locator("camshaft-player")
            await expect(player.locator(".message")).to_have_text(NOTHING_CONVERTS[codec], timeout=20_000)
            await expect(player).to_have_js_property("state", "soundonly")
            assert await viewing.loudest_hz() == pytest.approx(TONE, rel=0.02)
        h265, jpeg = await asked(running, "/api/cameras")
        assert (jpeg["state"], jpeg["failed"]) == ("no_picture", True)
        some = "only browsers that take H.265 can play it, because no transcode worker is running"
        assert h265["sentence"] == f"The camera is playing; {some}."
        overview = await chromium.context.new_page()
        await overview.goto(running.url)
        for name, (codec, _) in sent.items():
            camera = overview.locator(f"[data-camera={name}]")
            await expect(camera).to_have_attribute("data-state", "failed")
            await expect(camera.locator(".sentence")).to_have_text(NOTHING_CONVERTS[codec])
