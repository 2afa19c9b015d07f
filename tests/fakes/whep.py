"""A WHEP player's requests, and what is checked of each refusal."""

from __future__ import annotations

from typing import Any

import aiohttp

from broker.front.whep import SDP
from tests.fakes.broker import RunningBroker

OFFER = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\na=ice-ufrag:EsAw\r\n"
FRAGMENT = (
    "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n"
)


async def post(broker: RunningBroker, camera: str = "door", **options: Any) -> aiohttp.ClientResponse:
    options = {"data": OFFER, "headers": {"Content-Type": SDP}} | options
    return await broker.http.post(f"/whep/{camera}", **options)


async def refusal(response: aiohttp.ClientResponse) -> tuple[int, str]:
    """Status and code; the rest of a problem document is checked here."""
    assert response.content_type == "application/problem+json"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    body = await response.json()
    assert body["status"] == response.status
    assert body["title"]
    assert body["detail"].endswith(".")
    return response.status, body["code"]
