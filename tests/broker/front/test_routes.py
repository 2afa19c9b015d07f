from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.front.routes import CHANGING, ROUTES, WHEP, Need, Route
from tests.fakes.broker import RunningBroker, broker_in


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path) as broker:
        yield broker


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_what_changes_something_needs_a_page_of_ours_unless_it_is_whep(route: Route) -> None:
    if route.method in CHANGING:
        assert (route.need is Need.NOTHING) == route.path.startswith(WHEP)
    else:
        assert (route.need is Need.OUR_PAGE) == (route.path == "/ws"), "nobody else can read what it answers"


def test_no_route_is_declared_twice() -> None:
    assert max(Counter((route.method, route.path) for route in ROUTES).values()) == 1


@pytest.mark.parametrize("path", ["/whep/door", "/whep/door/", "/whep/door/session", "/whep/door/session/"])
async def test_options_name_the_methods_of_the_table(broker: RunningBroker, path: str) -> None:
    pattern = "/whep/{camera}/{session}" if "session" in path else "/whep/{camera}"
    response = await broker.http.options(path)
    assert response.headers["Allow"].split(", ") == [route.method for route in ROUTES if route.path == pattern]
    assert response.headers["Access-Control-Allow-Methods"] == response.headers["Allow"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("PUT", "/api/cameras", 403), ("PUT", "/whep/door", 405), ("GET", "/nothing", 404)]
)
async def test_what_no_route_leads_to_is_refused(broker: RunningBroker, method: str, path: str, status: int) -> None:
    headers: dict[str, Any] = {"Origin": "https://elsewhere.example"}
    assert (await broker.http.request(method, path, headers=headers)).status == status


async def test_a_head_is_answered_as_the_get_would_be(broker: RunningBroker) -> None:
    response = await broker.http.head("/api/cameras")
    assert (response.status, response.content_type, await response.read()) == (200, "application/json", b"")


@pytest.mark.parametrize("path", ["/ws", "/mse/demo?codecs=H264"])
async def test_a_head_opens_no_websocket(broker: RunningBroker, path: str) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    assert (await broker.http.head(path, headers=upgrade)).status == 426
