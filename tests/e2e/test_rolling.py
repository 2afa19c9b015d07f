"""Processes that are told to end, one after the other, under players of three kinds: what each of them misses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from rigs.gst_camera import GstCamera
from rigs.load.crowd import Crowd
from rigs.load.players import Events, Page, Plain
from rigs.load.watcher import Watcher, watching
from rigs.replacing import replaced
from rigs.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer]

PATIENCE = 60.0  # seconds
DRAIN = 2.0  # seconds of drain.timeout
LONGEST_GAP = (
    1.0  # seconds between two pictures, on a machine that is busy with other tests; a lost session takes three
)


async def test_who_is_told_misses_nothing_and_who_is_not_plays_until_the_deadline(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")  # no egress has a successor, as where nobody supervises it
    running = await cluster({"door": gst_camera().url}, egress=2, ingest=2, config={"drain": {"timeout": DRAIN}})
    told = [Watcher(Page(running.websocket, "door")), Watcher(Events(running.whep("door")))]
    plain = Watcher(Plain(running.whep("door")))
    async with watching(Crowd(), [*told, plain]), aiohttp.ClientSession(running.url) as http:
        await until(
            lambda: all(viewer.first_keyframe_at for each in (*told, plain) for viewer in each.viewers), PATIENCE
        )
        since = time.monotonic()
        played = [await replaced(http, running, "egress", number, [plain], rest=0.7) for number in (0, 1)]
        for number in (0, 1):
            await replaced(http, running, "ingest", number, [], rest=0.3)
        print([round(each.longest(since), 3) for each in (*told, plain)], played)
        assert [each.renewals >= 1 for each in told] == [True, True]
        assert max(each.longest(since) for each in told) < LONGEST_GAP
        assert [each.lost for each in told] == [0, 0]
        assert min(seconds for seconds in played if seconds is not None) > DRAIN / 2, "its picture went on"
