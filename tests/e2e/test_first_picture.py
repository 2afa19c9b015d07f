"""A viewer who joins a running camera soon sees a picture, which is close to live a second later."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from rigs.chromium import Chromium, Viewing
from rigs.clip import Clip
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.alone]

LONG_GOP = Clip(width=1280, height=720, fps=30, bitrate=2_000_000, gop=120)  # a keyframe every 4 s
JOINS = 4
FIRST_PICTURE_MS = 300.0
ONE_FRAME_MS = 34.0


async def shown(viewing: Viewing, *, frames: int) -> dict[int, float]:
    """Unix milliseconds at which each of the next frames is shown, by the number in the picture."""
    await viewing.read_codes()
    seen = len(await viewing.frames())
    await viewing.shows(frames)
    return {frame.code: frame.shown for frame in (await viewing.frames())[seen:] if frame.code is not None}


async def test_a_picture_at_once_and_no_further_from_live_than_others(
    chromium: Chromium, shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await shared_cluster({"front-door": gst_camera(LONG_GOP).url})
    waited = await chromium.whep(running.whep("front-door"))
    await waited.shows(10)

    async def join(after: float) -> tuple[float, float]:
        """Milliseconds until a picture, and how far behind the other it is a second later, of one who comes so late."""
        await asyncio.sleep(after)
        joined = await chromium.whep(running.whep("front-door"))
        first_picture = await joined.first_frame_ms()
        await asyncio.sleep(1.0)  # the second after which the delay is compared
        of_joined, of_waited = await asyncio.gather(shown(joined, frames=20), shown(waited, frames=20))
        await joined.close()
        return first_picture, statistics.median(
            of_joined[n] - of_waited[n] for n in of_joined.keys() & of_waited.keys()
        )

    apart = LONG_GOP.gop / LONG_GOP.fps / JOINS  # moments that are spread evenly over a group of pictures
    first_pictures, behind = zip(*await asyncio.gather(*(join(apart * number) for number in range(JOINS))), strict=True)
    print(f"first picture {sorted(map(round, first_pictures))} ms, behind {sorted(map(round, behind))} ms")
    assert statistics.median(first_pictures) <= FIRST_PICTURE_MS
    assert statistics.median(behind) <= ONE_FRAME_MS
