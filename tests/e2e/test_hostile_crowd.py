"""Fifty strangers send what no parser expects, and somebody beside them watches in Chromium.

``HOSTILE=10000 make test PYTEST=tests/e2e/test_hostile_crowd.py`` sends so many of each kind.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from rigs.bystander import lost, unharmed
from rigs.chromium import Chromium
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera
from tests.fakes.hostile import SOURCES, strangers

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer, pytest.mark.alone]

EACH = int(os.environ.get("HOSTILE", "1000"))  # of each kind of request, message, datagram and frame
LOOK = 0.02  # seconds between looks at whether this process gets its turn
HELD_UP = 0.1  # seconds that one is late: then the machine is busy, and a browser on it freezes by itself


async def held_up() -> int:
    """Count how often this process, which has nothing to do, did not get its turn; until it is cancelled."""
    loop, times = asyncio.get_running_loop(), 0
    try:
        while True:
            asked = loop.time()
            await asyncio.sleep(LOOK)
            times += loop.time() - asked - LOOK > HELD_UP
    except asyncio.CancelledError:
        return times


@pytest.mark.timeout(120 + EACH // 20)
async def test_fifty_strangers_cost_a_viewer_no_picture(
    chromium: Chromium, cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    config = {"limits": {"egress_load": 0}}  # it would keep most of them from what lies behind a handshake
    running = await cluster({"front-door": gst_camera(SMALL).url}, egress=2, config=config)
    viewing = await chromium.whep(running.whep("front-door"))
    await viewing.shows(SMALL.fps)
    before, pids, said = await viewing.stats(), running.pids(), len(running.log.splitlines())
    watch = asyncio.create_task(held_up())
    async with (
        unharmed(running, "front-door"),
        strangers(running.url, "front-door", EACH) as crowd,
    ):
        answers = await crowd
    watch.cancel()
    late = await watch
    after = await viewing.stats()
    lines = running.log.splitlines()[said:]
    print(answers, after, f"held up {late} times; {len(lines)} lines of log")
    print(Counter(line[29:60] for line in lines).most_common(20))
    assert lost(pids, running.pids()) == [], "a process was lost"
    assert after.packets_lost == 0
    assert after.freezes - before.freezes <= late, f"{after.freeze_seconds} s without a picture"
    await viewing.shows(SMALL.fps)
    for statuses in (answers.offers, answers.patches, answers.leaves, answers.events):
        assert sum(statuses.values()) >= EACH
        assert {status for status in statuses if status >= "500"} <= {"503"}, answers
    sent = (answers.messages, answers.trickles, answers.stun, answers.dtls, answers.rtcp, answers.frames)
    assert min(sent) >= EACH * 0.9, answers
    assert answers.connected > SOURCES / 2, "what lies behind a handshake was hardly tried"
