"""Processes that are told to end while a page plays: nobody misses a picture."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from common.sessions import public_name
from rigs.chromium import Chromium
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.gstreamer]

PATIENCE = 60.0  # seconds
LONGEST_GAP = 1.0  # seconds between two pictures, on a machine that is busy with other tests: a lost session takes more
CODES = 1 << 12  # numbers of a clip's pictures


async def test_a_page_misses_no_picture_when_egress_and_ingest_are_replaced(
    chromium: Chromium,
    cluster: Callable[..., Any],
    gst_camera: Callable[..., GstCamera],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")  # no egress has a successor, as where nobody supervises it
    running = await cluster({"front-door": gst_camera().url}, egress=2, ingest=2)
    viewing = await chromium.open(f"{running.url}/watch/front-door")
    await viewing.shows(45)
    await viewing.read_codes()
    player = "document.querySelector('camshaft-player')"
    before = await viewing.page.evaluate(f"{player}.session")
    await viewing.page.evaluate(f"window.left = 0; {player}.addEventListener('statechange', () => window.left++)")

    node = await viewing.page.evaluate(
        "async (id) => (await (await fetch('/api/viewers')).json()).find(v => v.session === id).node",
        public_name(before),
    )
    running.kill("egress", int(node.removeprefix("egress-")), signal.SIGTERM)
    await viewing.page.wait_for_function(f"id => {player}.session !== id", arg=before, timeout=PATIENCE * 1000)
    await viewing.shows(45)
    session = await viewing.page.evaluate(f"{player}.session")

    worker = await viewing.page.evaluate("async () => (await (await fetch('/api/cameras')).json())[0].worker")
    running.kill("ingest", int(worker.removeprefix("ingest-")), signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        while (  # noqa: ASYNC110 - HTTP has no event to wait for
            await viewing.page.evaluate("async () => (await (await fetch('/api/cameras')).json())[0].worker") == worker
        ):
            await asyncio.sleep(0.1)
    await viewing.shows(60)

    frames = await viewing.frames()
    gaps = [after.shown / 1000 - before.shown / 1000 for before, after in pairwise(frames)]
    codes = [frame.code for frame in frames if frame.code is not None]
    steps = [(after - before) % CODES for before, after in pairwise(codes)]
    print(f"longest gap {max(gaps):.3f} s, longest step {max(steps)} of {len(steps)} pictures")
    assert max(gaps) < LONGEST_GAP
    assert await viewing.page.evaluate(f"{player}.session") == session, "an ingest ends no session"
    assert await viewing.page.evaluate("window.left") == 0, "it played all the while"
    assert not await viewing.is_blank()
