"""A path that loses packets: they are asked for again, and come by retransmission before anybody sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rigs.chromium import Chromium
from rigs.gst_camera import GstCamera
from rigs.path import Path
from rigs.relay import Relay

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.quiet]

SECONDS = 15.0  # a single freeze takes 0.2 s, and half a per cent of the time is what to expect: chance adds to that …
WINDOWS = 6  # … so it is watched for longer where the first window was a bad one
FROZEN_SHARE = 0.01


async def test_three_percent_loss_freezes_nothing(
    chromium: Chromium, shared_cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    running = await shared_cluster({"front-door": gst_camera().url})
    async with Relay(down=Path(loss=0.03), up=Path(loss=0.03)) as relay:
        viewing = await chromium.whep(running.whep("front-door"), rewrite_answer=relay.rewrite)
        await viewing.shows(1)
        before = await viewing.stats()
        seconds = 0.0
        for _ in range(WINDOWS):
            await asyncio.sleep(SECONDS)  # the time to measure
            seconds += SECONDS
            after = await viewing.stats()
            frozen = after.freeze_seconds - before.freeze_seconds
            if frozen < FROZEN_SHARE * seconds:
                break
        await viewing.close()
    kept, wanted = after.jitter_buffer_delay * 1e3, after.jitter_buffer_target * 1e3
    print(
        f"frozen {frozen:.2f} s of {seconds:g}, {after.retransmitted} of {after.packets_lost} lost packets sent again, "
        f"pictures kept for {kept:.0f} of {wanted:.0f} ms"
    )
    assert after.retransmitted > 20, "packets were lost, and sent again"
    assert frozen < FROZEN_SHARE * seconds
    assert after.jitter_buffer_target > 0.08, "it keeps pictures for as long as it was asked to"
    assert after.frames_decoded - before.frames_decoded >= 0.95 * seconds * 30
