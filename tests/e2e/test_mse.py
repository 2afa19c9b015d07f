"""The page shows a camera by its own port where no media gets through by WebRTC, and goes back when WebRTC works."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from rigs import chromium as chromium_rig
from rigs import cradle
from rigs.chromium import SHELL, Chromium, Viewing
from rigs.clip import SMALL, TINY, Clip
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera
from rigs.handshake import REQUEST
from rigs.path import Path

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.timeout(240)]

BLOCKED = """
  window.noMedia = true;
  const remote = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
    const sdp = window.noMedia ? answer.sdp.replace(/^a=candidate:.*\\r\\n/gm, "") : answer.sdp;
    return remote.call(this, { type: answer.type, sdp });
  };
"""  # no address of ours is known, so nothing is sent anywhere: as where a firewall drops all of it
LAG = """() => {
  const { buffered, currentTime } = document.querySelector("camshaft-player").video;
  return buffered.length ? buffered.end(buffered.length - 1) - currentTime : null;
}"""
STATS = "() => document.querySelector('camshaft-player').stats()"
# From the second session by WebRTC on an answer is held back for as long as the test wants; and sockets can be cut.
WEBRTC = "async () => (await document.querySelector('camshaft-player').stats()).way === 'webrtc'"
HELD = """
  window.answers = 0;
  window.held = new Promise((go) => (window.go = go));
  const blocked = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = async function (answer) {
    if (++window.answers > 1) await window.held;
    return blocked.call(this, answer);
  };
  const Native = window.WebSocket;
  window.media = [];
  window.WebSocket = class extends Native {
    constructor(url) {
      super(url);
      if (String(url).includes("/mse/")) media.push(this);
    }
  };
"""
LOOKS = 10
PATIENCE = 60.0  # seconds


async def ways_become(running: Any, ways: list[str]) -> None:
    """Wait until viewers have these ways, and no others are there."""
    async with asyncio.timeout(PATIENCE):
        while [viewer["transport"] for viewer in await running.get("viewers")] != ways:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def blocked(chromium: Chromium, url: str, more: str = "") -> Viewing:
    await chromium.context.add_init_script(BLOCKED + more)
    return await chromium.open(url)


async def test_a_page_that_no_media_reaches_plays_by_its_own_port_and_goes_back(
    chromium: Chromium,
    shared_cluster: Callable[..., Any],
    gst_camera: Callable[..., GstCamera],
) -> None:
    running = await shared_cluster({"front-door": gst_camera(SMALL, audio="aac").url})
    viewing = await blocked(chromium, f"{running.url}/watch/front-door")
    await viewing.first_frame_ms(seconds=PATIENCE)
    await viewing.shows(2 * LOOKS, seconds=PATIENCE)
    assert (await viewing.page.evaluate(STATS))["way"] == "websocket"
    lags = []
    for _ in range(LOOKS):
        lags.append(await viewing.page.evaluate(LAG))
        await viewing.shows(1, seconds=PATIENCE)
    assert sorted(lags)[LOOKS // 2] < 1.0, "most of the time it is within a second of live"
    assert not await viewing.is_blank()
    viewer = next(
        viewer for viewer in await running.get("viewers") if viewer["transport"]
    )  # WebRTC is still being tried
    assert viewer["transport"] == "websocket"
    assert (viewer["state"], viewer["video"], viewer["audio"]) == ("connected", "H264", "AAC")
    async with aiohttp.ClientSession() as http, http.get(f"{running.url}/metrics") as response:
        assert 'camshaft_viewers_way{way="websocket"} 1.0' in await response.text()
    await viewing.page.evaluate("window.noMedia = false; dispatchEvent(new Event('online'))")
    await ways_become(running, ["udp"])
    await viewing.shows(LOOKS, seconds=PATIENCE)
    assert (await viewing.page.evaluate(STATS))["way"] == "webrtc"
    await viewing.close()
    await ways_become(running, [])


async def test_what_is_tried_beside_the_pages_own_port_outlives_connections_there(
    chromium: Chromium, shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    """They may break at any time, and the next attempt would be a quarter of a minute away."""
    running = await shared_cluster({"front-door": gst_camera(SMALL).url})
    viewing = await blocked(chromium, f"{running.url}/watch/front-door", HELD)
    await viewing.page.wait_for_function("() => media.length === 1", timeout=PATIENCE * 1000)
    await viewing.shows(LOOKS, seconds=PATIENCE)
    await viewing.page.evaluate("window.noMedia = false; dispatchEvent(new Event('online'))")
    await viewing.page.wait_for_function("() => answers === 2", timeout=PATIENCE * 1000)
    await viewing.page.evaluate("media[0].close(); media[0].onclose({ reason: '' })")
    await viewing.page.wait_for_function("() => media.length === 2", timeout=PATIENCE * 1000)
    await viewing.page.evaluate("go()")
    await viewing.page.wait_for_function(WEBRTC, timeout=PATIENCE * 1000)
    assert await viewing.page.evaluate("answers") == 2, "it was that very attempt"
    await viewing.shows(LOOKS, seconds=PATIENCE)
    await viewing.close()


async def test_a_media_source_that_the_browser_closes_is_made_anew(
    chromium: Chromium, shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    """As a phone closes it whose media service begins anew, and a script that takes the element's source."""
    running = await shared_cluster({"front-door": gst_camera(SMALL).url})
    viewing = await blocked(chromium, f"{running.url}/watch/front-door")
    errors: list[str] = []
    viewing.page.on("pageerror", lambda error: errors.append(str(error)))
    await viewing.shows(LOOKS, seconds=PATIENCE)
    taken = "const { video } = document.querySelector('camshaft-player'); video.removeAttribute('src'); video.load();"
    await viewing.page.evaluate(f"() => {{ {taken} }}")
    await viewing.shows(LOOKS, seconds=PATIENCE)
    assert await viewing.page.evaluate("document.querySelector('camshaft-player').state") == "playing"
    assert errors == []
    await viewing.close()


async def test_a_viewer_whose_line_is_too_thin_gets_the_sub_stream(
    shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    """It takes a third of what the camera sends; with less sent it keeps up."""
    main, sub = gst_camera(Clip(width=1280, height=720, bitrate=3_000_000, seconds=4)), gst_camera(TINY)
    running = await shared_cluster({"front-door": {"url": main.url, "streams": {"sub": {"url": sub.url}}}})
    host, port = urlsplit(running.url).hostname, urlsplit(running.url).port
    with closing(socket.socket()) as thin:
        thin.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        thin.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(thin, (host, port))
        await loop.sock_sendall(thin, REQUEST.format(camera="front-door", host=f"{host}:{port}").encode())
        async with asyncio.timeout(PATIENCE):
            while [viewer["stream"] for viewer in await running.get("viewers")] != ["sub"]:
                await loop.sock_recv(thin, 12_500)
                await asyncio.sleep(0.1)
            [before] = await running.get("viewers")
            assert before["dropped"] > 0
            while (now := (await running.get("viewers"))[0])["packets"] < before["packets"] + 60:
                await loop.sock_recv(thin, 12_500)
                await asyncio.sleep(0.1)
        assert now["session"] == before["session"]


@pytest.mark.namespace
async def test_a_page_to_which_a_small_mtu_lets_no_picture_through_plays_by_its_own_port(
    two_hosts: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: FilePath
) -> None:
    """WebRTC connects, as small packets get through. Once all do it is gone back to, and not before."""
    if problem := chromium_rig.missing():
        pytest.skip(problem)
    with two_hosts(down=Path(largest=1_000)) as (server, viewer, link), server.entered():
        async with (
            Cluster(
                tmp_path,
                {"front-door": gst_camera(SMALL).url},
                config={"auth": {"mode": "none"}, "media": {"port": 0, "tcp": "off"}},
                host=server.address,
                begin=cradle.begin,
            ) as running,
            chromium_rig.chromium(viewer.wrapper(SHELL, tmp_path)) as browser,
        ):
            viewing = await browser.open(f"{running.url}/watch/front-door")
            print(f"first picture after {await viewing.first_frame_ms(seconds=PATIENCE):.0f} ms")
            assert (await viewing.page.evaluate(STATS))["way"] == "websocket"
            async with asyncio.timeout(PATIENCE):  # it has been tried in the background, and left again
                while len(await running.get("viewers")) < 2:  # noqa: ASYNC110 - it has to be asked
                    await asyncio.sleep(0.1)
                while len(await running.get("viewers")) > 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            assert (await viewing.page.evaluate(STATS))["way"] == "websocket"
            await viewing.shows(LOOKS, seconds=PATIENCE)
            link.change(down=Path())
            await viewing.page.wait_for_function(WEBRTC, timeout=PATIENCE * 1000)
            await viewing.shows(LOOKS, seconds=PATIENCE)
            await viewing.close()
