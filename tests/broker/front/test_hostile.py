"""Strangers at the front door: they get an answer that is no bug of ours, whatever they send, and others are served."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import hdrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from tests.fakes.broker import RunningBroker, broker_in
from tests.fakes.log import Recorder
from tests.fakes.workers import FakeEgress

CAMERAS = {"door": {"url": "rtsp://host/door"}}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND"]
PATHS = ["/", "/ws", "/whep/{}", "/whep/{}/", "/whep/door/{}", "/whep/{}/{}/", "/api/cameras", "/api/cameras/{}"]
PATHS += [
    "/api/viewers",
    "/api/viewers/{}",
    "/api/nodes",
    "/api/openapi.json",
    "/watch/{}",
    "/static/{}",
    "/healthz",
    "/{}",
]
CONTENT_TYPES = [
    "application/json",
    "application/merge-patch+json",
    "application/sdp",
    "application/trickle-ice-sdpfrag",
]
NAMES = [
    "door",
    "none",
    "..",
    "%",
    "\0",
    "\ud800",
    "é",
    "a b",
    "x" * 3_000,
    "?a=b",
    "#",
    "//",
    "index.html",
    "player.js",
]
FORMS = ["rtsp://u:p@h/", "***", "rtsp://***@h/", 1e308, -1, 2**80, None, True, [], {}, "", "\ud800", "\x7f"]

names = st.sampled_from(NAMES) | st.text(max_size=20)
values = st.sampled_from(FORMS) | st.text(max_size=20)
cameras = st.dictionaries(
    st.sampled_from(["id", "url", "transport", "on_demand", "keep_after", "tls", "x"]),
    values | st.dictionaries(st.sampled_from(["verify", "fingerprint", "legacy", "x"]), values),
)
texts = st.sampled_from(
    ["v=0\r\n", "a=candidate:1\r\n", "a=ice-ufrag:x\r\na=candidate:1\r\n", "{", "[" * 9_000, "x" * 70_000]
)
bodies = st.binary(max_size=50) | texts.map(str.encode) | cameras.map(json.dumps).map(str.encode)
header_texts = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30)
headers = st.dictionaries(
    st.sampled_from([hdrs.IF_MATCH, hdrs.ORIGIN, hdrs.HOST, hdrs.IF_NONE_MATCH, "Access-Control-Request-Headers"])
    | st.sampled_from([hdrs.UPGRADE, hdrs.CONNECTION, hdrs.SEC_WEBSOCKET_KEY, hdrs.ACCEPT, hdrs.RANGE, hdrs.COOKIE]),
    header_texts
    | st.sampled_from(["*", '"x"', "localhost", "http://localhost", "[::1", "upgrade", "websocket", "null"]),
)


@pytest.fixture
async def broker(tmp_path: Path, log: Recorder) -> AsyncIterator[RunningBroker]:
    async with broker_in(tmp_path, cameras=CAMERAS) as broker, FakeEgress(broker.endpoints, "out-1"):
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        yield broker


def filled(path: str, name: str) -> str:
    return path.replace("{}", quote(name, safe="", errors="surrogatepass"))


@settings(suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(METHODS),
    path=st.builds(filled, st.sampled_from(PATHS), names),
    content_type=st.sampled_from(CONTENT_TYPES) | header_texts,
    headers=headers,
    body=bodies,
)
async def test_no_request_finds_a_bug(broker, log: Recorder, method, path, content_type, headers, body) -> None:
    url = URL(broker.url.rstrip("/") + path, encoded=True)
    async with asyncio.timeout(10.0):
        with contextlib.suppress(aiohttp.ClientError):  # some of it the client itself does not send
            async with broker.http.request(
                method, url, data=body, headers={"Content-Type": content_type} | headers, allow_redirects=False
            ) as response:
                assert response.status < 500 or response.status == 503
                if response.status >= 400 and method != "HEAD" and response.content_type == "application/problem+json":
                    assert (await response.json())["status"] == response.status
    assert not log.of("request failed")


async def test_a_bug_is_a_500_that_is_counted_and_logged_once(broker, log: Recorder, monkeypatch) -> None:
    monkeypatch.setattr("broker.front.api.node_view", lambda *_: 1 / 0)
    for _ in range(3):
        async with broker.http.get("/api/nodes") as response:
            assert response.status == 500
            problem = await response.json()
            assert (problem["code"], "ZeroDivision" in json.dumps(problem)) == ("internal_error", False)
    monkeypatch.undo()
    assert (await broker.json("/api/nodes"))[0]["counters"]["http_bugs"] == 3
    assert len(log.of("request failed")) == 1


async def test_a_bug_puts_no_session_into_the_log(broker, log: Recorder, monkeypatch) -> None:
    monkeypatch.setattr("broker.front.api.session_view", lambda *_: 1 / 0)
    monkeypatch.setattr("broker.control_plane.ControlPlane.find", lambda *_: asyncio.sleep(0, "found"))
    async with broker.http.get("/api/viewers/secret-name") as response:
        assert response.status == 500
    assert "secret-name" not in str(log.lines)
    assert log.of("request failed")[0]["route"] == "/api/viewers/{session}"


@pytest.mark.parametrize(
    ("path", "hinted"),
    [
        ("/cams/whep/door", True),
        ("/a/b/ws", True),
        ("/cams/api/cameras", True),
        ("/cams/", False),
        ("/static/nothing.js", False),
        ("/api/nothing", False),
    ],
)
async def test_a_path_that_a_proxy_left_in_is_named_as_that(broker, path: str, hinted: bool) -> None:
    async with broker.http.get(path) as response:
        assert response.status == 404
        assert ("reverse proxy" in (await response.json())["detail"]) == hinted
