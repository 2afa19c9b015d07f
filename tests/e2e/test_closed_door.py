"""Somebody tries to get in, without end, while one person watches and another one signs in.

``GUESSES=100000 make test PYTEST=tests/e2e/test_closed_door.py`` tries so many passwords.
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
from rigs.bystander import SHARED_GAP, unharmed
from rigs.clip import SMALL
from rigs.gst_camera import GstCamera

pytestmark = [pytest.mark.e2e, pytest.mark.gstreamer, pytest.mark.quiet]

GUESSES = int(os.environ.get("GUESSES", "5000"))
SOCKETS = 20  # that shut nobody out and stay open
CONNECTIONS = 16  # that guess at once
PATIENCE = 10.0  # seconds for somebody to sign in beside that; it takes some 50 ms, and CI may be busy
TOKENS = {
    "wall": {"sha256": digest_of("t-wall"), "cameras": ["yard"]},
    "root": {"sha256": digest_of("t-root"), "role": "admin"},
}
ANNA = {"user": "anna", "password": "anna's password"}


def came_from(address: str) -> dict[str, str]:
    """As a proxy that is believed says it."""
    return {"X-Forwarded-For": address}


async def guess(url: str, numbers: Any, answers: Counter[int]) -> None:
    """Try passwords and tokens in turn, from one address."""
    async with aiohttp.ClientSession(url, headers=came_from("198.51.100.1")) as http:
        for number in numbers:
            if number % 2:
                form = {"user": "anna" if number % 4 == 1 else f"user-{number}", "password": f"guess {number}"}
                request = http.post("/api/login", json=form)
            else:
                request = http.get("/api/cameras", headers={"Authorization": f"Bearer guess-{number}"})
            async with request as answer:
                answers[answer.status] += 1


@pytest.mark.timeout(120 + GUESSES // 100)
async def test_who_guesses_harms_nobody(cluster: Callable[..., Any], gst_camera: Callable[..., GstCamera]) -> None:
    config = {"auth": {"tokens": TOKENS}, "http": {"trusted_proxies": ["127.0.0.1"]}}
    running = await cluster({"yard": gst_camera(SMALL).url}, config=config)
    async with aiohttp.ClientSession(running.url) as http:
        root = {"Authorization": "Bearer t-root"}
        user = ANNA | {"cameras": ["yard"]}
        assert (await http.post("/api/users", json=user, headers=root)).status == 201
        async with unharmed(running, "yard?token=t-wall", gap_ms=SHARED_GAP), AsyncExitStack() as stack:
            for _ in range(SOCKETS):
                await stack.enter_async_context(http.ws_connect("/ws?token=t-wall"))
            numbers, answers = iter(range(GUESSES)), Counter[int]()
            flood = asyncio.gather(*(guess(running.url, numbers, answers) for _ in range(CONNECTIONS)))
            took = []
            while not flood.done():
                began = time.monotonic()
                async with http.post("/api/login", json=ANNA, headers=came_from("203.0.113.5")) as answer:
                    assert answer.status == 204, await answer.text()
                took.append(time.monotonic() - began)
                await asyncio.sleep(0.5)
            await flood
    print(answers, f"signed in {len(took)} times beside that, in {max(took):.2f} s at most")
    assert answers.keys() == {401, 403, 429}
    assert answers[403] < GUESSES / 20, "hardly a password was looked at"
    assert max(took) < PATIENCE
    assert "guess" not in running.log
