"""A second real browser: Firefox, which has neither Chromium's WebRTC nor, offline, its H.264."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from rigs import firefox as firefox_rig
from rigs import gst_camera as gst_rig
from rigs import gst_launch
from rigs.firefox import Page, firefox
from rigs.gst_launch import FPS, GstLaunch, picture, sound

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.timeout(240)]

PATIENCE = 60.0  # seconds
PLAYER = 'document.querySelector("camshaft-player")'
STATS = f"{PLAYER}.stats()"
CAMERA = "  ".join(
    (
        picture("vp8enc deadline=1 keyframe-max-dist=25 ! rtpvp8pay"),
        sound("opusenc ! rtpopuspay", rate=48_000, channels=2),
    )
)


async def decodes(page: Page, pictures: int) -> None:
    """Wait until so many more pictures were decoded, and sound has come."""
    before = (await page.evaluate(STATS)).get("video", {}).get("framesDecoded", 0)
    enough = f"(s.video?.framesDecoded ?? 0) >= {before + pictures} && s.audio?.packetsReceived > 0"
    await page.until(f"{STATS}.then((s) => {enough})", PATIENCE)


async def viewers_of(url: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(f"{url}/api/viewers") as response:
        found: list[dict[str, Any]] = await response.json()
        return found


async def until(url: str, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    async with asyncio.timeout(PATIENCE):
        while not condition(viewers := await viewers_of(url)):  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(0.1)
    return viewers


async def test_firefox_shows_a_camera_and_restarts_ice(shared_cluster: Callable[..., Any], tmp_path: Path) -> None:
    if problem := firefox_rig.missing() or gst_rig.missing() or gst_launch.missing("vp8enc ! rtpvp8pay"):
        pytest.skip(problem)
    (tmp_path / "browser").mkdir()
    with GstLaunch([CAMERA]) as launched:
        running = await shared_cluster({"front-door": launched.urls[0]})
        async with firefox(tmp_path / "browser") as browser:
            page = await browser.page()
            for signalling in ("ws", "whep"):
                await page.goto(f"{running.url}/watch/front-door?signalling={signalling}")
                await page.until(f"{PLAYER}.state === 'playing'", PATIENCE)
                await decodes(page, 2 * FPS)
                found = await page.evaluate(STATS)
                assert (found["video"]["codec"], found["audio"]["codec"]) == ("video/VP8", "audio/opus")
                [viewer] = await until(running.url, lambda found: [each["state"] for each in found] == ["connected"])
                assert (viewer["video"], viewer["audio"], viewer["restarts"]) == ("VP8", "opus", 0)
                await page.evaluate("dispatchEvent(new Event('online'))")  # as Firefox says it on another network
                [moved] = await until(running.url, lambda found: [each["restarts"] for each in found] == [1])
                await decodes(page, FPS)
                assert (moved["session"], moved["srtp"]) == (viewer["session"], viewer["srtp"])
                assert await page.evaluate(f"{PLAYER}.pc.signalingState") == "stable"
                await page.goto("about:blank")
                await until(running.url, lambda found: not found)
