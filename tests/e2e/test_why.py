"""Broken set-ups, each with a viewer that has no picture: one call of the API names the broken link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Error

from rigs import chromium as chromium_rig
from rigs import cradle
from rigs.chromium import SHELL, Chromium, Viewing
from rigs.clip import SMALL
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera
from rigs.gst_launch import GstLaunch, picture
from rigs.gst_launch import missing as gst_missing
from rigs.path import Path

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.gstreamer,
    pytest.mark.namespace,
    pytest.mark.timeout(240),
]
PATIENCE = 60.0  # seconds
JPEG = picture("jpegenc ! rtpjpegpay", size=(320, 240))
CONFIG = {
    "media": {"port": 0, "tcp": "off"},
    "transcode": {"workers": 0},
    "limits": {"sessions_per_camera": 1},
}
OPEN, NONE = Path(), Path(udp="dropped")
# What the network does to a viewer on it, down and up; the link, and a word of the sentence or of what to do.
NETWORKS = {
    "UDP is blocked, and TCP is off": (NONE, NONE, "way_in", "media.tcp: off"),
    "nothing gets out of the server": (NONE, OPEN, "way_out", "our answers do not get back"),
    "a tunnel loses large packets": (Path(largest=576), OPEN, "handshake", "MTU"),
    "a line with a small MTU": (Path(largest=1_000), OPEN, "path", "none larger than about"),
}
ALL = 10
CAMERAS = {
    "locked": ("camera", "user name or password"),
    "gone": ("camera", "camera show gone"),
}


async def asked(running: Cluster, path: str, method: str = "GET") -> Any:
    async with aiohttp.ClientSession() as http, http.request(method, f"{running.url}/api/{path}") as response:
        return await response.json() if response.content_type == "application/json" else None


async def session_of(running: Cluster, camera: str) -> str:
    """The name of the camera's viewer, once its egress has told of it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for viewer in await asked(running, "viewers"):
                if viewer["camera"] == camera:
                    return str(viewer["session"])
            await asyncio.sleep(0.1)


async def judged(running: Cluster, session: str, link: str, words: str) -> None:
    """Wait until that is the verdict on the session."""
    async with asyncio.timeout(PATIENCE):
        while True:
            why = await asked(running, f"why/{session}")
            said = f"{why['link']}: {why['sentence']} {why['advice']}"
            if why["link"] == link and words in said:
                break
            print(said)
            await asyncio.sleep(0.5)
    print(said)


async def refused(running: Cluster, browser: Chromium, camera: str, link: str, words: str) -> None:
    """Try to watch; the newest verdict of all is on that."""
    with pytest.raises(Error, match=r"WHEP: \d"):
        await browser.whep(running.whep(camera))
    why = next(each for each in await asked(running, "why") if each["camera"] == camera)
    print(f"{link}: {why['sentence']} {why['advice']}")
    assert (why["link"], why["over"]) == (link, True)
    assert words in f"{why['sentence']} {why['advice']}", why


async def leave(running: Cluster, viewing: Viewing) -> None:
    await viewing.close()
    async with asyncio.timeout(PATIENCE):
        while await asked(running, "viewers"):  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(0.1)


async def test_one_call_names_the_broken_link(
    two_hosts: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: FilePath
) -> None:
    if problem := chromium_rig.missing() or gst_missing(JPEG):
        pytest.skip(problem)
    with two_hosts() as (server, viewer, link), server.entered(), GstLaunch([JPEG]) as launched:
        locked = gst_camera(SMALL, user="u", password="right").url.replace("right", "wrong")
        cameras = {"yard": gst_camera(SMALL).url, "locked": locked, "gone": "rtsp://127.0.0.1:9/no"}
        cameras["jpeg"] = launched.urls[0]
        async with (
            Cluster(tmp_path, cameras, config=CONFIG, host=server.address, begin=cradle.begin) as running,
            chromium_rig.chromium(viewer.wrapper(SHELL, tmp_path)) as browser,
        ):
            for name, (broken, words) in CAMERAS.items():
                viewing = await browser.whep(running.whep(name))
                await judged(running, await session_of(running, name), broken, words)
                await leave(running, viewing)
            async with asyncio.timeout(PATIENCE):
                while not (await asked(running, "cameras/jpeg"))["tracks"]:  # noqa: ASYNC110 - it has to be asked
                    await asyncio.sleep(0.1)
            await refused(running, browser, "jpeg", "codec", "no transcode worker is running")
            for name, (down, up, broken, words) in NETWORKS.items():
                print(name, end=": ")
                link.change(down=down, up=up)
                viewing = await browser.whep(running.whep("yard"))
                await judged(running, await session_of(running, "yard"), broken, words)
                await leave(running, viewing)
            link.change(down=Path(largest=1_280), up=OPEN)  # as much as every line carries, and as we need

            viewing = await browser.whep(running.whep("yard"))
            await viewing.shows(1, seconds=PATIENCE)
            await refused(running, browser, "yard", "offer", "limits.sessions_per_camera")
            session = await session_of(running, "yard")
            await asked(running, f"viewers/{session}", "DELETE")
            await judged(running, session, "offer", "operator")
            await leave(running, viewing)

            viewing = await browser.whep(running.whep("yard"))
            await viewing.shows(1, seconds=PATIENCE)
            session = await session_of(running, "yard")
            running.kill("egress")
            await judged(running, session, "server", "The log says why")  # it may be there again before it is missed

            links = [each["link"] for each in await asked(running, "why")]
            assert len(links) == ALL, "each of them is still answered for, all by one call"
            assert set(links) == {"camera", "codec", "way_in", "way_out", "handshake", "path", "offer", "server"}
