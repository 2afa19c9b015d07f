"""A server below a path of a reverse proxy's, which leaves that path in requests, or takes it off."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from broker.access.tokens import digest_of
from broker.front.gate import COOKIE
from broker.front.routes import ROUTES
from common.address import base_path
from common.config_types import OWN_PATHS
from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.workers import FakeEgress

OFFER = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\na=ice-ufrag:EsAw\r\n"
SDP = {"Content-Type": "application/sdp"}
USER = {"user": "ben", "password": "ben's password"}
PASSED_ON = {"X-Forwarded-For": "192.0.2.7"}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[RunningBroker]:
    sections: dict[str, Any] = {
        "http": {"listen": "127.0.0.1:0", "base_path": "/home/cams/"},
        "auth": {"tokens": {"t": {"sha256": digest_of("t"), "role": "admin"}}},
        "cameras": {"yard": {"url": "rtsp://host/yard"}},
    }
    async with broker_in(tmp_path, **sections) as broker:
        yield broker


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ""),
        ("/", ""),
        ("/cams", "/cams"),
        ("/cams/", "/cams"),
        ("/a/b.c/~d", "/a/b.c/~d"),
        ("cams", None),
        ("//evil.example", None),
        ("/a/../b", None),
        ("/..", None),
        ("/.", None),
        ("/a b", None),
        ("/a%2f", None),
        ("/cams?x", None),
        ("/é", None),
    ],
)
def test_what_is_a_path(text: str, path: str | None) -> None:
    assert base_path(text) == path


def test_no_path_may_look_like_one_of_ours() -> None:
    assert {route.path.split("/")[1] for route in ROUTES} - {""} == OWN_PATHS


@pytest.mark.parametrize("before", ["", "/home/cams"], ids=["taken off", "left"])
async def test_everything_is_there_with_the_path_and_without(broker: RunningBroker, before: str) -> None:
    async with broker.http.get(f"{before}/watch/yard?stream=sub", allow_redirects=False) as answer:
        assert answer.headers["Location"] == "../sign-in?next=watch%2Fyard%3Fstream%3Dsub"
    async with broker.http.get(f"{before}/") as answer:
        assert answer.url.path == f"{before}/sign-in"
        assert 'src="static/sign-in.js"' in await answer.text()
    for path in ("/static/player.js", "/api/login", "/healthz"):
        async with broker.http.get(f"{before}{path}") as answer:
            assert answer.status == 200, path
    async with broker.http.get(f"{before}/api/openapi.json?token=t") as answer:
        assert (await answer.json())["servers"] == [{"url": "/home/cams"}]
    async with broker.http.ws_connect(f"{before}/ws?token=t") as socket:
        await socket.send_json({"type": "ping"})
        assert (await socket.receive_json(timeout=30))["type"] == "pong"
    async with broker.http.get(f"{before}/api/nodes") as answer:
        assert answer.status == 401
    async with broker.http.options(f"{before}/whep/yard") as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    async with broker.http.post(f"{before}/whep/yard/x/y", headers={"Origin": "https://elsewhere.example"}) as answer:
        assert answer.status == 404, "every page may know WHEP's addresses"
    async with broker.http.post(f"{before}/api/x", headers={"Origin": "https://elsewhere.example"}) as answer:
        assert answer.status == 403


async def test_the_path_without_a_slash_leads_to_that_with_one(broker: RunningBroker) -> None:
    async with broker.http.get("/home/cams?x=1", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, "cams/?x=1")
    async with broker.http.get("/home/camsx") as answer:
        assert answer.status == 404


async def test_a_session_lies_below_the_path(broker: RunningBroker) -> None:
    async with FakeEgress(broker.endpoints, "out-1"):
        await broker.until("/api/nodes?token=t", lambda nodes: len(nodes) == 2)
        for before in ("", "/home/cams"):
            async with broker.http.post(f"{before}/whep/yard?token=t", data=OFFER, headers=SDP) as answer:
                assert answer.status == 201
                place = answer.headers["Location"]
            assert place.startswith("/home/cams/whep/yard/")
            assert (await broker.http.delete(place)).status == 200


async def test_who_signs_out_is_signed_out_by_every_cookie_that_the_browser_has(broker: RunningBroker) -> None:
    assert (await broker.http.post("/api/users?token=t", json={**USER, "cameras": ["*"]})).status == 201
    async with aiohttp.ClientSession(broker.url, cookie_jar=aiohttp.DummyCookieJar()) as person:
        both = []
        for _ in range(2):  # once below the path, and once by a port of its own, before there was a proxy
            async with person.post("/api/login", json=USER) as answer:
                both.append(answer.cookies[COOKIE].value)
        cookies = {"Cookie": "; ".join(f"{COOKIE}={each}" for each in both)}
        assert (await person.delete("/api/login", headers=cookies)).status == 204
        for each in both:
            async with person.get("/api/me", headers={"Cookie": f"{COOKIE}={each}"}) as answer:
                assert answer.status == 401


async def test_cookies_are_for_the_path_alone_and_the_longest_path_s_counts(broker: RunningBroker) -> None:
    assert (await broker.http.post("/api/users?token=t", json={**USER, "cameras": ["*"]})).status == 201
    async with aiohttp.ClientSession(broker.url, cookie_jar=aiohttp.DummyCookieJar()) as person:
        async with person.post("/home/cams/api/login", json=USER) as answer:
            assert {each["path"] for each in answer.cookies.values()} == {"/home/cams"}
            ours = answer.cookies[COOKIE].value
        for cookies, status in (
            (f"{COOKIE}={ours}; {COOKIE}=of-a-server-at-the-root", 200),
            (f"{COOKIE}=of-a-server-at-the-root; {COOKIE}={ours}", 401),
            (f"other=1;{COOKIE}={ours};x", 200),
        ):
            async with person.get("/home/cams/api/me", headers={"Cookie": cookies}) as answer:
                assert answer.status == status, cookies
        async with person.delete("/home/cams/api/login", headers={"Cookie": f"{COOKIE}={ours}"}) as answer:
            gone = answer.cookies[COOKIE]
            assert (gone.value, gone["path"], gone["max-age"]) == ("", "/home/cams", "0")
        assert (await person.get("/api/me", headers={"Cookie": f"{COOKIE}={ours}"})).status == 401


async def test_the_page_hears_how_its_request_arrived(broker: RunningBroker) -> None:
    arrival = await broker.json("/home/cams/api/arrival")
    assert arrival | {"host": "", "refused": ""} == {
        "host": "",
        "refused": "",
        "forwarded_host": "",
        "forwarded_proto": "",
        "forwarded_for": False,
        "believed": False,
        "scheme": "http",
        "prefix": "/home/cams",
    }


# A door that is open to whoever uses the machine


@pytest.mark.parametrize(
    "http",
    [
        {"hosts": ["cams.example"]},
        {"trusted_proxies": ["127.0.0.1"]},
        {"base_path": "/cams"},
    ],
)
async def test_a_server_that_knows_of_a_proxy_is_not_open(
    tmp_path: Path, http: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    async with broker_in(tmp_path, http={"listen": "127.0.0.1:0", **http}) as broker:
        assert (await broker.http.get("/api/cameras")).status == 401
        link = next(line for line in capfd.readouterr().out.splitlines() if "makes the first admin" in line)
        address = urlsplit(link.rsplit(" ", 1)[1])
        assert address.hostname == http.get("hosts", ["127.0.0.1"])[0]
        assert address.path == f"{http.get('base_path', '')}/sign-in"
    with_none = {"http": {"listen": "127.0.0.1:0", **http}, "auth": "none"}
    async with broker_in(tmp_path, **with_none) as broker:
        assert (await broker.http.get("/api/cameras", headers=PASSED_ON)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        PASSED_ON,
        {"X-Real-IP": "192.0.2.7"},
        {"Forwarded": "for=192.0.2.7"},
        {"Via": "1.1 proxy"},
        {"X-Forwarded-Prefix": "/cams"},
        {"Connection": "upgrade"},  # nginx, by a rule for WebSockets that holds for all requests
    ],
)
async def test_what_a_proxy_passes_on_does_not_come_from_this_machine(tmp_path: Path, headers: dict[str, str]) -> None:
    async with broker_in(tmp_path, cameras={"yard": {"url": "rtsp://host/yard"}}) as broker:
        assert (await broker.http.get("/api/cameras")).status == 200
        async with broker.http.get("/api/cameras", headers=headers) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, "open_behind_proxy")
            assert "camshaft user add" in (await answer.json())["detail"]
        async with broker.http.post("/api/cameras", json={"id": "x", "url": "rtsp://h/"}, headers=headers) as answer:
            assert answer.status == 403
        assert (await broker.http.get("/healthz", headers=headers)).status == 200


async def test_nginx_without_any_setting_speaks_http_1_0(tmp_path: Path) -> None:
    async with broker_in(tmp_path) as broker, aiohttp.ClientSession(broker.url, version=aiohttp.HttpVersion10) as nginx:
        assert (await nginx.get("/api/cameras")).status == 403


@pytest.mark.thorough
@pytest.mark.parametrize(
    "path", ["/whep/yard", "/mse/yard?codecs=H264", "/api/cameras/yard/snapshot.jpg", "/api/cameras"]
)
async def test_a_page_of_another_site_watches_nothing_in_the_browser_of_who_uses_this_machine(
    tmp_path: Path, path: str
) -> None:
    """A browser lets any page ask the loopback, and these answers are open to pages of all origins."""
    cameras = {"yard": {"url": "rtsp://host/yard"}}
    async with broker_in(tmp_path, cameras=cameras) as broker:
        for origin, refused in (("https://evil.example", True), ("null", True), ("http://localhost:5173", False)):
            headers = {"Origin": origin, "Content-Type": "application/sdp"}
            method = "POST" if path.startswith("/whep") else "GET"
            async with broker.http.request(method, path, headers=headers, data="v=0\r\n") as answer:
                told = await answer.json()
                assert (isinstance(told, dict) and told.get("code") == "open_to_no_page") is refused
                if refused:
                    assert answer.status == 403
                    assert "camshaft token new" in told["detail"]
    headers = {"Origin": "https://dashboard.example"}
    async with broker_in(tmp_path, cameras=cameras, auth="none") as broker:
        assert (await broker.http.get("/api/cameras", headers=headers)).status == 200, "everybody is everybody"
