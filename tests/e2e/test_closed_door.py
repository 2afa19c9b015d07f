"""Somebody floods the door, without end, while one person watches and another one signs in.

``FLOOD=40 KINDS=passwords make test PYTEST="-n 0 tests/e2e/test_closed_door.py"`` sends forty times as much of a kind:
100,000 wrong passwords. Without other tests beside it (``-n 0``) a viewer's gap may be 100 ms, and a sign-in take 1 s.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from broker.access.tokens import digest_of
from rigs.bystander import unharmed
from rigs.clip import SMALL
from rigs.cluster import Cluster
from rigs.flood import TOKEN, flood
from rigs.gst_camera import GstCamera

TIMES = int(os.environ.get("FLOOD", "1"))
EACH = {"passwords": 2_500, "tokens": 2_500, "offers": 500, "sockets": 500, "heads": 1_000}
KINDS = os.environ.get("KINDS", ",".join(EACH)).split(",")
ANSWERS = {"passwords": {403, 429}, "tokens": {401}, "offers": {201, 429}, "sockets": {101}, "heads": {0}}
LONGEST = 1.0  # seconds for somebody to sign in beside that, where nothing else runs; it takes some 50 ms
BUSY = 10.0  # seconds, where other tests run at the same time
TOKENS = {
    "wall": {"sha256": digest_of(TOKEN), "cameras": ["yard"]},
    "root": {"sha256": digest_of("t-root"), "role": "admin"},
}
ANNA = {"user": "anna", "password": "anna's password"}

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet, pytest.mark.timeout(240 + 100 * TIMES)]


async def sign_in(url: str, task: asyncio.Task[Counter[int]]) -> list[float]:
    """Sign in over and over, from another address, until the flood is over; the seconds that each time took."""
    took = []
    async with aiohttp.ClientSession(url, headers={"X-Forwarded-For": "203.0.113.5"}) as http:
        while not task.done():
            began = time.monotonic()
            async with http.post("/api/login", json=ANNA) as answer:
                assert answer.status == 204, await answer.text()
            took.append(time.monotonic() - began)
            await asyncio.wait([task], timeout=0.5)
    return took


async def test_who_floods_the_door_harms_nobody(
    cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]
) -> None:
    config = {"auth": {"tokens": TOKENS}, "http": {"trusted_proxies": ["127.0.0.1"]}}
    running: Cluster = await cluster({"yard": gst_camera(SMALL).url}, config=config)
    async with aiohttp.ClientSession(running.url) as http:
        user = ANNA | {"cameras": ["yard"]}
        added = await http.post("/api/users", json=user, headers={"Authorization": "Bearer t-root"})
        assert added.status == 201
        for kind in KINDS:
            number = EACH[kind]
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(unharmed(running, f"yard?token={TOKEN}", memory=kind == "passwords"))
                for _ in range(20):  # that shut nobody out and stay open
                    await stack.enter_async_context(http.ws_connect(f"/ws?token={TOKEN}"))
                task = await stack.enter_async_context(flood(running.url, kind, number * TIMES))
                took = await sign_in(running.url, task)
                answers = await task
            print(f"{kind}: {dict(answers)}; signed in {len(took)} times beside that, in {max(took):.2f} s at most")
            assert answers.total() == number * TIMES
            assert ANSWERS[kind] <= answers.keys(), f"{kind}: {answers}"
            assert not any(status >= 500 and status != 503 for status in answers), answers
            if kind == "passwords":
                assert answers[403] < number * TIMES / 20, "hardly one was looked at"
            assert max(took) < (BUSY if "PYTEST_XDIST_WORKER" in os.environ else LONGEST), kind
    assert "guess" not in running.log
