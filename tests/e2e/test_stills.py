"""Stills of real cameras, over HTTP: as a wall panel or a script gets them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import aiohttp
import av
import pytest

from rigs import gst_camera as gst_rig
from rigs.chromium import Chromium
from rigs.gst_launch import GstLaunch, missing, picture

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer]

X265 = picture(
    "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=800 ! rtph265pay", size=(640, 480)
)
X264 = picture("x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=800 ! rtph264pay")


async def still(running: Any, camera: str, query: str = "") -> av.VideoFrame:
    url = f"{running.url}/api/cameras/{camera}/snapshot.jpg{query}"
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200, await response.text()
        with av.open(io.BytesIO(await response.read()), format="mjpeg") as file:
            return next(file.decode(video=0))


async def test_a_still_of_an_h265_camera_on_demand_and_of_its_sub_stream(shared_cluster: Callable[..., Any]) -> None:
    if problem := gst_rig.missing() or missing(f"{X264} {X265}"):
        pytest.skip(problem)
    with GstLaunch([X265, X264]) as launched:
        main, sub = launched.urls
        running = await shared_cluster(
            {"front-door": {"url": main, "streams": {"sub": {"url": sub}}, "on_demand": True}}
        )
        whole = await still(running, "front-door")
        assert (whole.width, whole.height) == (640, 480)
        small = await still(running, "front-door", "?height=120")
        assert (small.width, small.height) == (160, 120)
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{running.url}/api/cameras/front-door") as response:
                streams = (await response.json())["streams"]
            assert streams["sub"]["state"] == "playing", "the small one is drawn of the sub-stream"
            async with http.get(f"{running.url}/api/nodes") as response:
                [node] = [node for node in await response.json() if node["role"] == "transcode"]
        assert node["cameras"] == [], "nothing is converted for it"


@pytest.mark.browser
async def test_the_page_shows_a_still_until_it_plays_and_has_nothing_pulled_for_it(
    chromium: Chromium, shared_cluster: Callable[..., Any]
) -> None:
    if problem := gst_rig.missing() or missing(X264):
        pytest.skip(problem)
    expect = pytest.importorskip("playwright.async_api").expect
    with GstLaunch([X264]) as launched:
        [url] = launched.urls
        running = await shared_cluster({"front-door": {"url": url}, "yard": {"url": url, "on_demand": True}})
        page = await chromium.context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        async with page.expect_response("**/api/cameras/front-door/snapshot.jpg?*") as response:
            await page.goto(running.url)
        assert (await response.value).status == 200
        player, shown = page.locator("#player"), re.compile("snapshot.jpg")
        await expect(player).to_have_attribute("poster", shown)
        await page.get_by_role("button", name="Connect", exact=True).click()
        await expect(player).to_have_js_property("state", "playing")
        await expect(player).not_to_have_attribute("poster", shown)
        await page.get_by_role("button", name="Disconnect", exact=True).click()
        await expect(player).to_have_attribute("poster", shown)
        await page.get_by_text("yard").click()
        await expect(player).not_to_have_attribute("poster", shown)
        assert not [each for each in asked if "yard/snapshot" in each]
        await page.close()
