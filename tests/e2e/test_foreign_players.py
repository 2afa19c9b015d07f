"""WHEP players that nobody here wrote each play ten seconds of a camera with sound, and leave."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rigs import gst_launch, gst_viewer, npm, pion
from rigs.chromium import Chromium
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
PICTURES = 10 * SMALL.fps
PATIENCE = 120.0  # seconds for these
PACKAGES = [
    "esbuild@0.25.12",
    "whip-whep@1.2.0",
    "@eyevinn/webrtc-player@0.13.0",
    "werift@0.25.2",
    "node-datachannel@0.33.4",
]
# As the README of each has it.
PAGES = {
    "whip-whep": """
        import { WHEPClient } from "whip-whep/whep.js";
        const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
        pc.addTransceiver("audio");
        pc.addTransceiver("video");
        pc.ontrack = ({ track, streams }) => {
            if (track.kind === "video") document.querySelector("video").srcObject = streams[0];
        };
        const whep = new WHEPClient();
        whep.view(pc, location.hash.slice(1));
        window.leave = () => whep.stop();""",
    "eyevinn": """
        import { WebRTCPlayer } from "@eyevinn/webrtc-player";
        const player = new WebRTCPlayer({ video: document.querySelector("video"), type: "whep" });
        player.load(new URL(location.hash.slice(1)));
        window.leave = () => player.unload();""",
}


@pytest.fixture(scope="module")
def modules() -> Path:
    try:
        return npm.installed("foreign-players", PACKAGES)
    except npm.MissingError as exc:
        pytest.skip(str(exc))


@pytest.fixture
async def running(shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]) -> Any:
    return await shared_cluster({"front-door": gst_camera(SMALL, audio="pcmu").url})


async def leaves(running: Any) -> None:
    """Wait until the server knows of nobody."""
    async with asyncio.timeout(PATIENCE):
        while await running.get("viewers"):  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(0.1)


@asynccontextmanager
async def site(page: str, modules: Path, directory: Path) -> AsyncIterator[str]:
    """A page of another origin than the server's, with a player in it."""
    (directory / "node_modules").symlink_to(modules)
    (directory / "main.js").write_text(page)
    command = [modules / ".bin/esbuild", "main.js", "--bundle", "--format=esm", "--outfile=out/main.js"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=PATIENCE)
    (directory / "out/index.html").write_text(
        '<!doctype html><video autoplay muted playsinline></video><script type="module" src="main.js"></script>'
    )
    app = web.Application()
    app.router.add_static("/", directory / "out")
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/index.html"
    finally:
        await runner.cleanup()


@pytest.mark.browser
@pytest.mark.parametrize("player", PAGES)
async def test_players_of_browsers(
    player: str, running: Any, chromium: Chromium, modules: Path, tmp_path: Path
) -> None:
    async with site(PAGES[player], modules, tmp_path) as address:
        viewing = await chromium.open(f"{address}#{running.whep('front-door')}")
        await viewing.shows(PICTURES, seconds=PATIENCE)
        stats = await viewing.stats()
        assert stats.frames_decoded >= PICTURES
        assert (stats.video_codec, stats.audio_codec) == ("video/H264", "audio/PCMU")
        assert stats.packets_lost == 0
        assert stats.audio_packets > 0
        assert not await viewing.is_blank()
        await viewing.page.evaluate("leave()")
        await leaves(running)


@pytest.mark.parametrize("player", ["werift", "libdatachannel"])
async def test_players_of_node(player: str, running: Any, modules: Path) -> None:
    """libdatachannel is what OBS's WHEP source is made of."""
    if shutil.which("node") is None:
        pytest.skip("node is missing: apt install nodejs")
    program = modules.parent / f"{player}_viewer.mjs"  # where it finds its package
    shutil.copy(ROOT / f"rigs/{player}_viewer.mjs", program)
    viewer = await asyncio.create_subprocess_exec(
        *("node", program, running.whep("front-door"), str(PICTURES)), stdout=subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        told, _ = await viewer.communicate()
    seen = json.loads(told)
    assert seen["pictures"] >= PICTURES
    assert seen["missing"] == 0
    await leaves(running)


async def test_pion(running: Any) -> None:
    try:
        program = await asyncio.to_thread(pion.viewer)
    except pion.MissingError as exc:
        pytest.skip(str(exc))
    viewer = await asyncio.create_subprocess_exec(
        program, running.whep("front-door"), str(PICTURES), stdout=subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        told, _ = await viewer.communicate()
    seen = json.loads(told)
    assert seen["pictures"] >= PICTURES
    assert seen["missing"] == 0
    assert seen["audio"] > 0
    await leaves(running)


async def test_whepsrc(running: Any) -> None:
    """No package of Debian's has it: GST_PLUGIN_PATH leads to a build of gst-plugin-webrtchttp."""
    if problem := gst_launch.missing("whepsrc ! webrtcbin ! nicesrc ! rtph264depay ! avdec_h264"):
        pytest.skip(problem)
    pipeline = (
        f"whepsrc name=w whep-endpoint={running.whep('front-door')} use-link-headers=false"
        " video-caps=application/x-rtp,media=video,encoding-name=H264,payload=102,clock-rate=90000"
        " audio-caps=application/x-rtp,media=audio,encoding-name=PCMU,payload=0,clock-rate=8000"
        " w. ! application/x-rtp,media=audio ! fakesink sync=false w. ! application/x-rtp,media=video ! rtph264depay"
        f" ! h264parse ! avdec_h264 ! identity eos-after={PICTURES} ! fakesink sync=false"
    )
    player = await asyncio.create_subprocess_exec("gst-launch-1.0", *pipeline.split(), stdout=subprocess.PIPE)
    async with asyncio.timeout(PATIENCE):
        told, _ = await player.communicate()
    assert b"Got EOS" in told, told
    await leaves(running)


async def test_webrtcbin(running: Any) -> None:
    if problem := gst_viewer.missing("H264") or gst_launch.missing("x264enc"):
        pytest.skip(problem)
    async with asyncio.timeout(PATIENCE), gst_viewer.gst_viewer(running.whep("front-door"), "H264") as viewer:
        await viewer.shows(PICTURES)
        assert viewer.size == (SMALL.width, SMALL.height)


async def test_aiortc(running: Any) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", "recvonly")
    peer.addTransceiver("audio", "recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    offer, headers = peer.localDescription.sdp, {"Content-Type": "application/sdp"}
    async with aiohttp.ClientSession() as http:
        async with http.post(running.whep("front-door"), data=offer, headers=headers) as response:
            assert response.status == 201, await response.text()
            await peer.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))
            session = response.headers["Location"]
        video, audio = (receiver.track for receiver in peer.getReceivers())
        async with asyncio.timeout(PATIENCE):
            for _ in range(PICTURES):
                picture = await video.recv()
            await audio.recv()
        assert (picture.width, picture.height) == (SMALL.width, SMALL.height)
        async with http.delete(f"{running.url}{session}") as response:
            assert response.ok
    await leaves(running)
    await peer.close()
