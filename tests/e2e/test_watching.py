"""A foreign camera in a foreign viewer: GStreamer's RTSP server, through the whole product, in Chromium."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rigs.chromium import Chromium, Stats, Viewing
from rigs.clip import Clip
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.alone]

FULL_HD = Clip(width=1920, height=1080, fps=30, bitrate=4_000_000, gop=60)
SECONDS = 4.0
TRIES = 3  # windows: what else the machine does may spoil one


async def watch(chromium: Chromium, running: Any, way: str) -> Viewing:
    match way:
        case "whep":
            return await chromium.whep(running.whep("front-door"))
        case "websocket":
            return await chromium.websocket(running.websocket, "front-door")
    viewing = await chromium.open(running.url)
    await viewing.page.get_by_text("front-door").first.click()
    await viewing.page.get_by_role("button", name="Connect", exact=True).click()
    return viewing


def whole(before: Stats, after: Stats) -> bool:
    """Whether nothing of picture and sound was missing meanwhile, and nothing stood."""
    pictures = after.frames_decoded - before.frames_decoded >= 0.95 * SECONDS * FULL_HD.fps
    sound = after.audio_samples - before.audio_samples >= 0.9 * SECONDS * 48_000
    return pictures and sound and (after.freezes, after.packets_lost) == (before.freezes, before.packets_lost)


@pytest.mark.parametrize(("way", "transport"), [("whep", "udp"), ("websocket", "tcp"), ("page", "udp")])
async def test_every_picture_of_four_seconds(
    chromium: Chromium,
    shared_cluster: Callable[..., Any],
    gst_camera: Callable[..., GstCamera],
    way: str,
    transport: str,
) -> None:
    camera = gst_camera(FULL_HD, transports=(transport,))
    running = await shared_cluster({"front-door": {"url": camera.url, "transport": transport}})
    viewing = await watch(chromium, running, way)
    await viewing.shows(1)
    for _ in range(TRIES):
        before = await viewing.stats()
        await asyncio.sleep(SECONDS)  # the time to measure, not to wait for something
        after = await viewing.stats()
        if whole(before, after):
            break
    assert whole(before, after), f"{before}, {after}"
    assert (after.width, after.height) == (1920, 1080)
    assert "AEAD_AES_128_GCM" in after.srtp_cipher
    assert not await viewing.is_blank()
