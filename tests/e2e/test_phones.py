"""A page that shows a camera on a phone: what is done to it there, as far as Chromium can be made to do it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import CDPSession, expect

from rigs.chromium import Chromium, Viewing
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.timeout(240)]

PATIENCE = 60.0  # seconds
AWAY = 8.0  # seconds: longer than a page that looks twice a second takes for sleep
PLAYER = "document.querySelector('camshaft-player')"
UNREACHED = """
  const remote = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    return remote.call(this, { type, sdp: sdp.replace(/^a=candidate:.*\\r\\n/gm, "") });
  };
"""  # no media by WebRTC


async def watched(chromium: Chromium, running: Any, way: str) -> Viewing:
    if way == "websocket":
        await chromium.context.add_init_script(UNREACHED)
    viewing = await chromium.open(f"{running.url}/watch/front-door")
    await viewing.shows(30, seconds=PATIENCE)
    assert await viewing.page.evaluate(f"async () => (await {PLAYER}.stats()).way") == way
    return viewing


async def shows_again(viewing: Viewing, what: str) -> None:
    """Wait for pictures that move, and for what the player says of them."""
    since = time.monotonic()
    await viewing.shows(2, seconds=PATIENCE)
    print(f"{what}: a picture after {time.monotonic() - since:.2f} s")
    await viewing.shows(30, seconds=PATIENCE)
    assert await viewing.page.evaluate(f"{PLAYER}.state") == "playing"
    await expect(viewing.page.locator("camshaft-player .message")).to_be_empty()


@pytest.mark.parametrize("way", ["webrtc", "websocket"])
async def test_a_page_that_is_frozen_while_something_else_is_in_front(
    way: str, chromium: Chromium, shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    """Nothing of it runs meanwhile, as where the screen is off. By WebRTC it goes on in its session."""
    running = await shared_cluster({"front-door": gst_camera(SMALL, audio="aac").url})
    viewing = await watched(chromium, running, way)
    session = await viewing.page.evaluate(f"{PLAYER}.session")
    devtools: CDPSession = await viewing.page.context.new_cdp_session(viewing.page)
    await devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    await asyncio.sleep(AWAY)  # the time to be away
    await devtools.send("Page.setWebLifecycleState", {"state": "active"})
    await shows_again(viewing, f"{way}, frozen")
    if way == "webrtc":
        assert await viewing.page.evaluate(f"{PLAYER}.session") == session
    await viewing.close()


async def test_a_page_by_its_own_port_that_is_offline_for_a_while(
    chromium: Chromium, shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await shared_cluster({"front-door": gst_camera(SMALL).url})
    viewing = await watched(chromium, running, "websocket")
    await viewing.page.context.set_offline(True)
    await viewing.page.wait_for_function(f"() => {PLAYER}.state === 'retrying'", timeout=PATIENCE * 1000)
    await asyncio.sleep(AWAY)  # the time to be without a network, and to try in vain
    said = viewing.page.locator("camshaft-player .message")
    await expect(said).to_have_text("The server cannot be reached. Trying again.")
    await viewing.page.context.set_offline(False)
    await shows_again(viewing, "offline")
    await viewing.close()
