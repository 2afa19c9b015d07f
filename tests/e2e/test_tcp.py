"""Viewers that no UDP reaches get their pictures by TCP (RFC 6544), and those that it reaches do not."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Any

import pytest

from rigs import chromium as chromium_rig
from rigs import cradle
from rigs.chromium import SHELL, Chromium, Viewing
from rigs.clip import SMALL, Clip
from rigs.cluster import Cluster
from rigs.gst_camera import GstCamera
from rigs.path import Path
from rigs.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.browser,
    pytest.mark.gstreamer,
    pytest.mark.namespace,
    pytest.mark.quiet,
    pytest.mark.timeout(240),
]

SECONDS = 4.0
OPEN = {"auth": {"mode": "none"}}
BUSY = Clip(width=640, height=360, bitrate=4_000_000, noise=40)
WAYS = {"open": ("udp", 1.0), "rejected": ("tcp", 2.0), "dropped": ("tcp", 3.0)}
"""By what a firewall does with UDP: the way on which pictures come, and the seconds until the first one."""
LATE = 3.0  # seconds: a group of pictures, and what a viewer may lag


@asynccontextmanager
async def apart(
    udp: str,
    two_hosts: Callable[..., Any],
    gst_camera: Callable[..., GstCamera],
    directory: FilePath,
    clip: Clip = SMALL,
    *,
    config: Mapping[str, Mapping[str, Any]] | None = None,
) -> AsyncIterator[tuple[Cluster, Chromium, Any]]:
    """A cluster and a browser on two hosts, with a firewall between them."""
    if problem := chromium_rig.missing():
        pytest.skip(problem)
    with two_hosts(Path(udp=udp), Path(udp=udp)) as (server, viewer, link), server.entered():
        async with (
            Cluster(
                directory,
                {"front-door": gst_camera(clip).url},
                config=config or OPEN,
                host=server.address,
                begin=cradle.begin,
            ) as running,
            chromium_rig.chromium(viewer.wrapper(SHELL, directory)) as browser,
        ):
            yield running, browser, link


async def listed(running: Cluster, condition: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Wait until the list of viewers is as wanted."""
    async with asyncio.timeout(10):
        while not condition(await running.get("viewers")):  # noqa: ASYNC110 - it has to be asked
            await asyncio.sleep(0.1)


async def becomes(viewing: Viewing, way: str) -> None:
    async with asyncio.timeout(10):
        while (await viewing.stats()).way != way:  # noqa: ASYNC110 - Chromium has to be asked
            await asyncio.sleep(0.1)


async def test_a_picture_comes_by_the_way_that_there_is_and_goes_on_by_another(
    two_hosts: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: FilePath
) -> None:
    async with apart("open", two_hosts, gst_camera, tmp_path) as (running, browser, link):
        for udp, (way, within) in WAYS.items():
            link.change(down=Path(udp=udp), up=Path(udp=udp))
            await comes_by(running, browser, link, udp, way, within)
        await goes_over_to_udp(running, browser, link)
        await goes_on_by_tcp(running, browser, link)


async def comes_by(running: Cluster, browser: Chromium, link: Any, udp: str, way: str, within: float) -> None:
    """A new viewer's picture comes, and moves, by this way."""
    before = link.counts()["up"].get(udp, 0)
    viewing = await browser.whep(running.whep("front-door"))
    first = await viewing.first_frame_ms() / 1000
    await becomes(viewing, way)
    begun = await viewing.stats()
    await asyncio.sleep(SECONDS)  # the time to measure
    after = await viewing.stats()
    print(f"UDP {udp}: first picture after {first:.2f} s, {after.way}, {link.counts()}")
    assert after.way == way
    assert after.frames_decoded - begun.frames_decoded >= 0.95 * SECONDS * 30
    assert after.packets_lost == 0
    assert not await viewing.is_blank()
    await listed(running, lambda found: [viewer["transport"] for viewer in found] == [way])
    assert (link.counts()["up"].get(udp, 0) > before) == (udp != "open"), "the firewall has seen UDP"
    farewells = len(left(running))
    await viewing.close()
    await listed(running, lambda found: not found)
    await until(lambda: len(left(running)) != farewells, 10)
    assert [each["way"][:3] for each in left(running)[farewells:]] == [way]
    assert first < within


def left(running: Cluster) -> list[dict[str, Any]]:
    """Lines of the log about viewers that have left."""
    return [json.loads(line) for line in running.log.splitlines() if '"viewer left"' in line]


async def goes_over_to_udp(running: Cluster, browser: Chromium, link: Any) -> None:
    """One that began by TCP does, when UDP works."""
    viewing = await browser.whep(running.whep("front-door"))
    await viewing.shows(1)
    assert (await viewing.stats()).way == "tcp"
    link.change(down=Path(), up=Path())
    await becomes(viewing, "udp")
    before = await viewing.stats()
    await viewing.shows(30)
    after = await viewing.stats()
    assert after.packets_lost == before.packets_lost
    await listed(running, lambda found: [viewer["transport"] for viewer in found] == ["udp"])
    await viewing.close()


async def goes_on_by_tcp(running: Cluster, browser: Chromium, link: Any) -> None:
    """A page does, where UDP begins to be blocked."""
    viewing = await browser.open(f"{running.url}/watch/front-door")
    await viewing.shows(30)
    assert (await viewing.stats()).way == "udp"
    link.change(down=Path(udp="dropped"), up=Path(udp="dropped"))
    await asyncio.sleep(1.0)  # what has come by then is shown
    await viewing.shows(60, seconds=30)
    assert (await viewing.stats()).way == "tcp"


async def test_a_thin_path_gets_what_fits_and_nothing_late(
    two_hosts: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: FilePath
) -> None:
    """The camera sends more than the path carries. What TCP does not take is left out, up to the next keyframe."""
    thin = Path(udp="dropped", rate=BUSY.bitrate / 2, queue=40_000, delay=0.01)
    async with apart("dropped", two_hosts, gst_camera, tmp_path, BUSY) as (running, browser, link):
        viewing = await browser.whep(running.whep("front-door"))
        await viewing.shows(60)
        usual = statistics.median(await delays(viewing))
        link.change(down=thin)
        await asyncio.sleep(2 * SECONDS)  # the time to grow late in
        before, shown = await viewing.stats(), len(await viewing.frames())
        await asyncio.sleep(2 * SECONDS)
        after, late = await viewing.stats(), (await delays(viewing))[shown:]
        late_by = [(each - usual) / 1000 for each in late]
        print(f"{len(late)} pictures, late by {statistics.median(late_by):.2f} s, at most {max(late_by):.2f} s")
        assert after.keyframes_decoded > before.keyframes_decoded
        assert after.packets_lost == 0
        assert after.audio_packets - before.audio_packets >= 0.7 * 2 * SECONDS * 50, "sound comes first"
        assert (await running.get("viewers"))[0]["dropped"] > 0
        assert max(late_by) < LATE
        link.change(down=Path(udp="dropped"))
        await asyncio.sleep(SECONDS)  # the time to recover
        before, left_out = await viewing.stats(), (await running.get("viewers"))[0]["dropped"]
        await asyncio.sleep(SECONDS)
        after = await viewing.stats()
        # What arrived, not what was decoded: Chromium shows pictures slower for a while after it was late.
        assert after.frames_received - before.frames_received >= 0.95 * SECONDS * BUSY.fps
        assert after.frames_decoded - before.frames_decoded >= 0.6 * SECONDS * BUSY.fps
        assert (await running.get("viewers"))[0]["dropped"] == left_out
        assert after.way == "tcp"


async def delays(viewing: Viewing) -> list[float]:
    """Milliseconds from the capture of each shown picture to its being shown, all too long or short by the same."""
    found = [(frame.shown, frame.rtp_timestamp) for frame in await viewing.frames() if frame.rtp_timestamp is not None]
    first = found[0][1]
    return [shown - found[0][0] - ((timestamp - first) & 0xFFFFFFFF) / 90 for shown, timestamp in found]


async def test_a_page_that_only_its_own_port_reaches_plays_by_that_and_else_says_what_it_tried(
    two_hosts: Callable[..., Any], gst_camera: Callable[..., GstCamera], tmp_path: FilePath
) -> None:
    without = {**OPEN, "media": {"tcp": "off", "port": 0}}
    async with apart("dropped", two_hosts, gst_camera, tmp_path, config=without) as (running, browser, _):
        viewing = await browser.open(f"{running.url}/watch/front-door")
        await viewing.shows(30, seconds=60)
        assert "websocket" in {viewer["transport"] for viewer in await running.get("viewers")}
        await viewing.close()
        # And now not by the page's own port either.
        await browser.context.add_init_script("delete window.MediaSource; delete window.ManagedMediaSource;")
        viewing = await browser.open(f"{running.url}/watch/front-door")
        said = viewing.page.get_by_text("nothing answers at 10.77.0.1:")
        await said.first.wait_for(timeout=30_000)
        sentence = await said.first.text_content() or ""
        assert re.search(r"10\.77\.0\.1:\d+ \(UDP\), \[fd77::1\]:\d+ \(UDP\)\. A firewall may block it", sentence)
        async with asyncio.timeout(20):
            while not (lines := [line for line in running.log.splitlines() if "never connected" in line]):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.1)
        line = json.loads(lines[0])
        assert line["tried_from"].startswith("nowhere: no check arrived")
        assert [each for each in line["offered"] if each.startswith("10.77.0.1:")]
        why = await running.get(f"why/{line['session']}")
        assert (why["link"], why["over"], why["heard_from"]) == ("way_in", True, [])
        assert "media.tcp: off" in why["advice"]
        assert any(each.startswith("10.77.0.1:") for each in why["offered"])
        assert any(" → host udp 10.77.0.1:" in pair for pair in why["pairs"]), "the browser has told its side"
