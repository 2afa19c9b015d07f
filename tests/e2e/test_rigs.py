"""The rigs themselves: what they promise to the tests that are built on them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import av
import psutil
import pytest

from rigs.chromium import Chromium, Kept, luma_deviation
from rigs.clip import SMALL, TINY, Clip, access_units, is_keyframe
from rigs.gst_camera import GstCamera
from rigs.path import Path
from rigs.process import ROOT
from rigs.relay import Relay
from rigs.waiting import until
from rigs.whep import WhepServer

pytestmark = pytest.mark.e2e


def watch(url: str, frames: int, *, transport: str = "tcp") -> tuple[tuple[int, int], set[str]]:
    """Size of the last of so many pictures, and the codecs of the streams, as FFmpeg sees them."""
    with av.open(url, options={"rtsp_transport": transport}, timeout=10) as container:
        codecs = {stream.codec_context.name for stream in container.streams}
        for count, picture in enumerate(container.decode(video=0), 1):
            if count == frames:
                return (picture.width, picture.height), codecs
    raise AssertionError("the stream ended")


def test_clip_has_a_keyframe_at_each_group_of_pictures(clip: Callable[[Clip], FilePath]) -> None:
    units = access_units(clip(SMALL))
    assert len(units) == SMALL.frames
    assert [index for index, unit in enumerate(units) if is_keyframe(unit)] == list(range(0, SMALL.frames, SMALL.gop))


@pytest.mark.gstreamer
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("audio", "codec"), [("opus", "opus"), ("pcmu", "pcm_mulaw"), ("aac", "aac")])
async def test_gst_camera_plays(gst_camera: Callable[..., GstCamera], transport: str, audio: str, codec: str) -> None:
    camera = gst_camera(audio=audio, user="viewer", password="p@ss:w/rd", transports=(transport,))
    size, codecs = await asyncio.to_thread(watch, camera.url, 30, transport=transport)
    assert size == (640, 360)
    assert codecs == {"h264", codec}


@pytest.mark.gstreamer
async def test_gst_camera_wants_its_password(gst_camera: Callable[..., GstCamera]) -> None:
    camera = gst_camera(user="viewer", password="right", auth="basic")
    with pytest.raises(av.HTTPUnauthorizedError):
        await asyncio.to_thread(watch, camera.url.replace("right", "wrong"), 1)


@pytest.mark.gstreamer
async def test_gst_camera_comes_back_on_its_port_with_another_picture(
    gst_camera: Callable[..., GstCamera], clip: Callable[[Clip], FilePath]
) -> None:
    camera = gst_camera()
    before = camera.url
    camera.kill()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", camera.port)):
        pass
    camera.restart(clip(TINY))
    assert camera.url == before
    assert (await asyncio.to_thread(watch, camera.url, 10))[0] == (320, 240)


@pytest.mark.gstreamer
async def test_gst_camera_changes_its_picture_in_mid_stream(
    gst_camera: Callable[..., GstCamera], clip: Callable[[Clip], FilePath]
) -> None:
    camera = gst_camera(audio="")

    def sizes() -> set[tuple[int, int]]:
        seen = set()
        with av.open(camera.url, options={"rtsp_transport": "tcp"}, timeout=10) as container:
            for count, picture in enumerate(container.decode(video=0)):
                seen.add((picture.width, picture.height))
                if count == 10:
                    camera.switch(clip(TINY))
                if len(seen) == 2:
                    break
        return seen

    assert await asyncio.to_thread(sizes) == {(640, 360), (320, 240)}


def lives(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.browser
async def test_a_kept_chromium_ends_with_who_began_it() -> None:
    begins = "from rigs.chromium import Kept; kept = Kept(); kept.address(); print(*kept.pids(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", begins], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as began:
        assert began.stdout
        pids = [int(pid) for pid in (await asyncio.to_thread(began.stdout.readline)).split()]
        began.kill()
    assert pids
    await until(lambda: not any(map(lives, pids)))


@pytest.mark.browser
async def test_chromium_watches_a_foreign_server(chromium: Chromium) -> None:
    async with WhepServer() as server:
        viewing = await chromium.whep(server.url, gather=True)
        await viewing.shows(20)
        stats = await viewing.stats()
        assert (stats.width, stats.height, stats.video_codec) == (320, 240, "video/H264")
        assert stats.frames_decoded >= 20
        assert stats.srtp_cipher
        frames = await viewing.frames()
        assert len(frames) >= 20
        assert [frame.shown for frame in frames] == sorted(frame.shown for frame in frames)
        assert all(frame.received is None or frame.received <= frame.shown for frame in frames)
        assert any(frame.received is not None for frame in frames)
        assert 0 < await viewing.first_frame_ms() < 30_000
        assert not await viewing.is_blank()
        await viewing.close()
        assert server.left == 1


@pytest.mark.browser
async def test_a_page_without_video_is_blank(chromium: Chromium) -> None:
    page = await chromium.context.new_page()
    await page.set_content("<body style='background: #345'>")
    assert luma_deviation(await page.screenshot()) < 1
    await page.close()


@pytest.mark.browser
async def test_relay_loses_what_it_is_told_to(chromium: Chromium) -> None:
    async with WhepServer() as server, Relay(down=Path(loss=0.05)) as relay:
        viewing = await chromium.whep(server.url, gather=True, rewrite_answer=relay.rewrite)
        await viewing.shows(40)
        stats = await viewing.stats()
        assert relay.down.counts["lost"] > 0
        assert stats.nacks > 0
        assert stats.retransmitted > 0
        await viewing.close()


@pytest.mark.namespace
def test_two_hosts_reach_each_other_over_the_link(two_hosts: Callable[..., Any]) -> None:
    with two_hosts(down=Path(delay=0.02, rate=8e6, queue=10_000)) as (server, viewer, link):
        with server.entered():
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sender.bind((server.address, 0))
        with viewer.entered():
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            receiver.bind((viewer.address, 0))
        with sender, receiver:
            receiver.settimeout(10)
            for number in range(50):  # 50 kB at once into a queue of 10 kB
                sender.sendto(bytes([number]) * 972, receiver.getsockname())
            assert receiver.recv(2000)[0] == 0
            counts = link.counts()["down"]
            assert counts["queue_full"] >= 35
            link.change(down=Path(cut=True))
            sender.sendto(b"lost", receiver.getsockname())
            assert any(link.counts()["down"].get("lost") == 1 for _ in range(1000))


@pytest.mark.namespace
def test_hosts_are_apart_from_this_one_and_gone_at_the_end(two_hosts: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as here, two_hosts() as (server, _viewer, _link):
        with server.entered(), pytest.raises(OSError, match="refused"):
            socket.create_connection(here.getsockname(), timeout=5)
        socket.create_connection(here.getsockname(), timeout=5).close()
        name = server.name
    assert not FilePath("/run/netns", name).exists()


@pytest.mark.namespace
@pytest.mark.browser
async def test_chromium_watches_from_another_host(two_hosts: Callable[..., Any], tmp_path: FilePath) -> None:
    from rigs.chromium import SHELL, chromium

    with two_hosts(down=Path(loss=0.02)) as (server, viewer, link), server.entered():
        async with WhepServer(server.address) as whep, chromium(viewer.wrapper(SHELL, tmp_path)) as browser:
            viewing = await browser.whep(whep.url, gather=True)
            await viewing.shows(20)
            assert link.counts()["down"]["passed"] > 20
            await viewing.close()


@pytest.mark.gstreamer
@pytest.mark.browser
async def test_cluster_shows_a_foreign_camera_to_a_foreign_viewer(
    gst_camera: Callable[..., GstCamera], chromium: Chromium, cluster: Callable[..., Any]
) -> None:
    running = await cluster({"front-door": gst_camera().url}, egress=2)
    asked = {role: len(pids) for role, pids in running.pids().items() if role not in ("nursery", "transcode")}
    assert asked == {
        "supervisor": 1,
        "broker": 1,
        "ingest": 1,
        "egress": 2,
    }  # and one that converts where another test needed it
    by_whep = await chromium.whep(running.whep("front-door"))
    by_websocket = await chromium.websocket(running.websocket, "front-door")
    by_page = await chromium.open(f"{running.url}/watch/front-door")
    for viewing in (by_whep, by_websocket, by_page):
        await viewing.shows(30)
        stats = await viewing.stats()
        assert (stats.width, stats.height) == (640, 360)
        assert "GCM" in stats.srtp_cipher
        assert stats.audio_samples > 0
        assert not await viewing.is_blank()
    await by_whep.read_codes()
    await by_whep.shows(10)
    codes = [frame.code for frame in await by_whep.frames() if frame.code is not None]
    assert len(set(codes)) >= 5
    assert all(code < SMALL.frames for code in codes)
    killed = running.kill("broker")
    await running.ready()
    assert killed not in running.pids()["broker"]


def test_nothing_is_left_running(kept_chromium: Kept) -> None:
    """Runs last in this module: every rig has ended what it started, but for the browser that stays for all tests."""
    running = {child.pid: child for child in psutil.Process().children(recursive=True)}
    left = []
    for pid in running.keys() - kept_chromium.pids():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ends just now
            left.append(running[pid].cmdline())
    assert not [line for line in left if any("gst_server" in word or "chromium" in word for word in line)]
