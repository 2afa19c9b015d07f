"""Strangers at the front door name a thousand things, none of which is there: afterwards nothing is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from broker.access.tokens import digest_of
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.contents import contents, grown

EACH = 300  # names of each kind
BOUNDS = ("broker.front.quotas.REMEMBERED", "broker.why.cases.MAX_OVER", "common.log.Quiet.KINDS")
FEW = 20  # that these containers keep of strangers here: 1,000 and 10,000 otherwise


@pytest.fixture
async def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningBroker]:
    for bound in BOUNDS:
        monkeypatch.setattr(bound, FEW)
    tokens = {"wall": {"sha256": digest_of("t-wall"), "cameras": ["door"]}}
    sections = {
        "cameras": {"door": {"url": "rtsp://192.0.2.1/door", "on_demand": True}},
        "auth": {"tokens": tokens},
        "http": {"listen": "127.0.0.1:0", "trusted_proxies": ["127.0.0.1"]},
    }
    async with broker_in(tmp_path, **sections) as broker:
        yield broker


async def _ask(http: aiohttp.ClientSession, number: int) -> None:
    """One stranger's requests: its address, token, user, and everything that it asks for are nobody else's."""
    here = {"X-Forwarded-For": f"198.51.{number // 250}.{number % 250}"}
    known = here | {"Authorization": "Bearer t-wall"}
    session, sdp = f"/whep/door/session-{number}", {"Content-Type": "application/sdp"}
    fragment = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": f'"{number}"'}
    asked = [
        ("GET", f"/api/cameras/camera-{number}", here | {"Authorization": f"Bearer guess-{number}"}, None),
        ("POST", "/api/login", here, json.dumps({"user": f"user-{number}", "password": "guess"})),
        ("POST", f"/whep/camera-{number}", known | sdp, "v=0"),
        ("POST", "/whep/door", known | sdp, f"v=0\r\ns={number}\r\n"),
        ("PATCH", session, known | fragment, "a=ice-ufrag:xxxx\r\n"),
        ("GET", f"{session}/events", known, None),
        ("DELETE", session, known, None),
        ("GET", f"/mse/camera-{number}?codecs=H264", known, None),
        ("GET", f"/api/cameras/camera-{number}/still", known, None),
        ("GET", f"/nowhere-{number}", here, None),
    ]
    for method, path, headers, body in asked:
        async with http.request(method, path, headers=headers, data=body) as answer:
            assert answer.status >= 400, path
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        async with http.ws_connect("/ws", headers=known) as page:
            for kind in ("attach", "close", "candidate", "restart", "offer", f"kind-{number}"):
                fields = {"session": f"session-{number}", "camera": f"camera-{number}", "sdp": "v=0", "id": f"{number}"}
                await page.send_str(json.dumps({"type": kind} | fields))
            await page.receive()


async def test_nothing_is_left_of_what_strangers_name(broker: RunningBroker, cheap_passwords: None) -> None:
    await _ask(broker.http, 0)  # what is made once, is made now
    before = contents()
    for first in range(1, EACH, 20):
        await asyncio.gather(*(_ask(broker.http, number) for number in range(first, first + 20)))
    left: dict[str, int] = {}
    for _ in range(50):  # connections and sweeps have a second or two
        left = grown(before, contents(), EACH // 2)
        if not left:
            break
        await asyncio.sleep(0.2)
    assert left == {}
