"""Many who ask for a picture by the page's own port, or for events, without end: beside them somebody watches.

``READERS=30 KINDS=mse-still make test PYTEST="-n 0 -s tests/e2e/test_readers.py"`` has those of a kind do so for 30 s.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from rigs.bystander import unharmed
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera
from rigs.readers import readers

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet, pytest.mark.timeout(240)]

SECONDS = float(os.environ.get("READERS", "2"))  # for each kind
KINDS = "mse-still,mse-again,mse-talk,events-still,events-again,events-talk"
OTHERS = 100  # cameras that nobody watches: the list of all is long
ANSWERS = {0, 101, 200, 429, 503}  # 0: none, as the time was over


async def test_who_reads_badly_harms_nobody(cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]) -> None:
    others = {f"yard-{number}": {"url": "rtsp://127.0.0.1:9/", "on_demand": True} for number in range(OTHERS)}
    running = await cluster({"front-door": gst_camera(SMALL, audio="aac").url} | others)
    async with unharmed(running, "front-door"):
        for kind in os.environ.get("KINDS", KINDS).split(","):
            async with readers(running.url, "front-door", kind, SECONDS) as task:
                answers = await task
            print(kind, dict(answers))
            assert {*answers} <= ANSWERS, kind
            assert {*answers} & {101, 200}, kind
