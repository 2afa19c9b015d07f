"""Each process in turn is killed, or hangs, while a page plays, which goes on though nobody reloads it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from common.sessions import public_name
from rigs.chromium import Chromium, Viewing
from rigs.clip import Clip
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.timeout(240)]

LONGEST_GAP = 5.0  # seconds
LONGEST_HANG = 20.0  # seconds, 5 of which it takes to be sure that a process hangs; 7 on a machine of one's own
STEADY_FRAMES = 45  # frames in a row, at most STEADY_GAP apart, after which it plays again
STEADY_GAP = 0.5  # seconds
PATIENCE = 30.0  # seconds until a test gives up; what it asserts is LONGEST_GAP or LONGEST_HANG


async def session(viewing: Viewing) -> str:
    """The id of the page's session."""
    found: str = await viewing.page.evaluate("document.querySelector('camshaft-player').session")
    assert found
    return found


async def gap_after(viewing: Viewing, killed_at: float) -> float:
    """Seconds without a picture from the kill until it plays steadily; Unix time. Raises when it never does."""
    deadline = time.time() + PATIENCE
    while time.time() < deadline:
        await viewing.shows(5, seconds=PATIENCE)
        shown = [frame.shown / 1000 for frame in await viewing.frames()]
        gaps = [(after, after - before) for before, after in pairwise(shown) if after > killed_at]
        breaks = [moment for moment, gap in gaps if gap > STEADY_GAP]
        steady_since = max(breaks, default=None)
        # A process that dies may be missed only after a moment (the camera's last packets are still on their way).
        if steady_since is None and time.time() - killed_at < LONGEST_GAP:
            continue
        if steady_since is None or sum(1 for moment in shown if moment > steady_since) >= STEADY_FRAMES:
            return max((gap for _, gap in gaps), default=0.0)
    raise AssertionError("it does not play again")


async def test_it_plays_again_by_itself(
    chromium: Chromium, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    camera = gst_camera()
    running = await cluster({"front-door": camera.url}, egress=2, ingest=2)
    viewing = await chromium.open(f"{running.url}/watch/front-door")
    await viewing.shows(STEADY_FRAMES)
    for victim in ("ingest", "egress", "broker", "camera"):
        before = await session(viewing)
        killed_at = time.time()
        match victim:
            case "camera":
                camera.restart()
            case "egress":  # the one that serves the page
                node = await viewing.page.evaluate(
                    "async (id) => (await (await fetch('/api/viewers')).json()).find(v => v.session === id).node",
                    public_name(before),
                )
                running.kill("egress", int(node.removeprefix("egress-")))
            case "ingest":  # the one that pulls the camera
                worker = await viewing.page.evaluate(
                    "async () => (await (await fetch('/api/cameras')).json())[0].worker"
                )
                running.kill("ingest", int(worker.removeprefix("ingest-")))
            case _:
                running.kill(victim)
        gap = await gap_after(viewing, killed_at)
        print(f"{victim}: {gap:.2f} s without a picture")
        assert gap <= LONGEST_GAP, victim
        if victim != "egress":
            assert await session(viewing) == before, "the WebRTC session lives in the egress, which nobody killed"
        await running.ready()


async def test_what_hangs_is_replaced_and_it_plays_again(
    chromium: Chromium, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    """Each process is the only one of its kind: nobody else can take over."""
    running = await cluster({"front-door": gst_camera().url})
    viewing = await chromium.open(f"{running.url}/watch/front-door")
    await viewing.shows(STEADY_FRAMES)
    for victim in ("ingest", "egress", "broker"):
        stopped_at, before = time.time(), {pid for pids in running.pids().values() for pid in pids}
        stopped = running.kill(victim, number=signal.SIGSTOP)
        gap = await gap_after(viewing, stopped_at)
        print(f"{victim} hangs: {gap:.2f} s without a picture")
        assert gap <= LONGEST_HANG, victim
        async with asyncio.timeout(PATIENCE):  # for a broker that hangs no picture waits
            while stopped in running.pids().get(victim, [stopped]):  # noqa: ASYNC110 - the system tells nobody
                await asyncio.sleep(0.1)
        assert before - {stopped} <= {pid for pids in running.pids().values() for pid in pids}, "others go on"
        await running.ready()


async def test_a_camera_that_comes_back_with_another_resolution_goes_on_in_the_same_session(
    chromium: Chromium,
    shared_cluster: Callable[..., Any],
    gst_camera: Callable[..., GstCamera],
    clip: Callable[[Clip], Any],
) -> None:
    camera = gst_camera()
    running = await shared_cluster({"front-door": camera.url})
    viewing = await chromium.open(f"{running.url}/watch/front-door")
    await viewing.shows(STEADY_FRAMES)
    before = await session(viewing)
    camera.restart(clip(Clip(width=320, height=240, bitrate=400_000, seconds=4)))
    await viewing.page.wait_for_function("() => probe.frames().at(-1)[4] === 320", timeout=PATIENCE * 1000)
    await viewing.shows(STEADY_FRAMES)
    assert await session(viewing) == before
    stats = await viewing.stats()
    assert (stats.width, stats.height) == (320, 240)
    await viewing.close()


async def test_a_camera_that_is_down_has_viewers_and_its_picture_comes_when_it_does(
    chromium: Chromium, shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    camera = gst_camera()
    camera.kill()
    running = await shared_cluster({"front-door": camera.url})
    viewing = await chromium.open(f"{running.url}/watch/front-door")
    await viewing.page.get_by_text("refused the connection").first.wait_for()
    before = await session(viewing)
    camera.start()
    await viewing.shows(STEADY_FRAMES, seconds=40)
    assert await session(viewing) == before
    await viewing.close()
