"""People who sign in at a broker with a password, and the token of whoever adds them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from broker.access.tokens import digest_of
from tests.fakes.broker import RunningBroker, broker_in

ADMIN_TOKEN = {"root": {"sha256": digest_of("t-root"), "role": "admin"}}
ROOT = {"Authorization": "Bearer t-root"}
BEN = {"user": "ben", "password": "ben's password", "cameras": ["yard"]}
CAMERAS = {name: {"url": f"rtsp://10.0.0.1/{name}"} for name in ("yard", "hall")}
GROUPS = {
    "ops": {"role": "admin"},
    "family": {"cameras": ["yard"]},
    "guests": {"cameras": ["hall"]},
    "watchers": {"role": "monitor"},
}


@asynccontextmanager
async def broker_with_ben(directory: Path) -> AsyncIterator[RunningBroker]:
    """One that has ``CAMERAS``, and a user."""
    async with broker_in(directory, auth={"tokens": ADMIN_TOKEN}, cameras=CAMERAS) as broker:
        assert (await broker.http.post("/api/users", json=BEN, headers=ROOT)).status == 201
        yield broker


@asynccontextmanager
async def browser(broker: RunningBroker) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody's, with cookies of its own."""
    async with aiohttp.ClientSession(broker.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def sign_in(http: aiohttp.ClientSession, user: str = "ben", password: str = "ben's password") -> Any:
    return await http.post("/api/login", json={"user": user, "password": password})
