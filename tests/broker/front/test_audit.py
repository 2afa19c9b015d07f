"""One line of the log for each refusal and each change: who, from where, and what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broker.access.passwords import FREE
from broker.access.people import open_people
from broker.access.tokens import digest_of
from common.access import AccessRole
from tests.fakes.broker import PATIENCE, RunningBroker, broker_in, configuration
from tests.fakes.log import Recorder

TOKENS = {
    "root": {"sha256": digest_of("t-root"), "role": "admin"},
    "other": {"sha256": digest_of("t-other"), "cameras": ["hall"]},
}
ROOT = {"Authorization": "Bearer t-root"}
BEN = {"user": "ben", "password": "ben's password", "cameras": ["yard"]}
HERE = "127.0.0.1"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    log = Recorder()
    monkeypatch.setattr("broker.front.context.get_logger", lambda: log)
    monkeypatch.setattr("broker.front.door.log", log)
    monkeypatch.setattr("broker.server.log", log)
    return log


@pytest.fixture
async def broker(cheap_passwords: None, tmp_path: Path, log: Recorder) -> AsyncIterator[RunningBroker]:
    cameras = {name: {"url": f"rtsp://10.0.0.1/{name}"} for name in ("yard", "hall")}
    async with broker_in(tmp_path, auth={"tokens": TOKENS}, cameras=cameras) as broker:
        assert (await broker.http.post("/api/users", json=BEN, headers=ROOT)).status == 201
        yield broker


async def sign_in(http: aiohttp.ClientSession, password: str = "ben's password") -> int:
    async with http.post("/api/login", json={"user": "ben", "password": password}) as answer:
        return answer.status


def said(log: Recorder, event: str, **wanted: Any) -> dict[str, Any]:
    """The fields of the one line of this text that has these fields."""
    (line,) = (fields for fields in log.of(event) if fields.items() >= wanted.items())
    return line


async def test_a_page_of_another_site_is_named_when_it_is_refused(broker: RunningBroker, log: Recorder) -> None:
    evil = {"Origin": "https://evil.example"}
    for method, path in (("POST", "/api/login"), ("DELETE", "/api/cameras/yard"), ("GET", "/ws")):
        assert (await broker.http.request(method, path, headers=evil | ROOT)).status == 403
        line = said(log, "access refused", request=f"{method} {path}")
        assert line["address"] == HERE
        assert "https://evil.example" in line["reason"]
    counters = (await (await broker.http.get("/api/nodes", headers=ROOT)).json())[0]["counters"]
    assert counters["access_cross_origin"] == 3


async def test_a_name_that_is_not_ours_is_logged(broker: RunningBroker, log: Recorder) -> None:
    assert (await broker.http.get("/api/cameras", headers={"Host": "rebound.example"})).status == 421
    assert "rebound.example" in said(log, "access refused", request="GET /api/cameras")["reason"]


async def test_a_socket_that_asks_for_another_camera_is_logged(broker: RunningBroker, log: Recorder) -> None:
    async with broker.http.ws_connect("/ws?token=t-other") as socket:
        await socket.send_json({"type": "offer", "camera": "yard", "sdp": "v=0"})
        assert (await socket.receive_json(timeout=PATIENCE))["code"] == "not_allowed"
    line = said(log, "access refused", who="token:other")
    assert (line["address"], line["request"]) == (HERE, "offer yard by WebSocket")


async def test_each_sign_in_that_is_refused_has_a_line_with_its_reason(
    broker: RunningBroker, log: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.front.quotas.Quotas.address", lambda _self, peer: peer)  # as of somebody elsewhere
    for _ in range(FREE["address"]):
        assert await sign_in(broker.http, "a guess") == 403
    assert await sign_in(broker.http, "a guess") == 429
    lines = log.of("sign-in refused")
    assert [line["user"] for line in lines] == ["ben"] * (FREE["address"] + 1)
    assert {line["address"] for line in lines} == {HERE}
    assert lines[0]["reason"] == "The name or password is wrong."
    assert lines[-1]["reason"].startswith("Too many wrong passwords")
    assert "a guess" not in str(log.lines)


async def test_a_password_that_was_typed_in_place_of_the_name_is_in_no_line(
    broker: RunningBroker, log: Recorder
) -> None:
    for typed in ("ben's password", "Ben"):
        form = {"user": typed, "password": "a guess"}
        assert (await broker.http.post("/api/login", json=form)).status == 403
    assert [line["user"] for line in log.of("sign-in refused")] == ["", "ben"]
    assert "ben's password" not in str(log.lines)


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_an_address_that_is_a_session_and_no_route_is_in_no_line(
    broker: RunningBroker, log: Recorder, method: str
) -> None:
    headers = {"Host": "rebound.example"}
    assert (await broker.http.request(method, "/whep/yard/a-secret-name", headers=headers)).status == 421
    assert said(log, "access refused")["request"] == f"{method} /whep/..."


async def test_another_password_and_the_end_of_a_sign_in_are_lines(broker: RunningBroker, log: Recorder) -> None:
    async with aiohttp.ClientSession(broker.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as ben:
        assert await sign_in(ben) == 204
        change = {"old": "ben's password", "new": "another one"}
        assert (await ben.put("/api/me/password", json=change)).status == 204
        assert (await ben.delete("/api/login")).status == 204
    assert said(log, "signed in")["user"] == "ben"
    line = said(log, "changed by request", who="user:ben")
    assert (line["address"], line["request"]) == (HERE, "PUT /api/me/password")
    assert said(log, "signed out") == {"user": "ben", "address": HERE}
    assert "another one" not in str(log.lines)


async def test_a_user_that_the_command_line_makes_is_a_line(
    broker: RunningBroker, log: Recorder, tmp_path: Path
) -> None:
    with closing(open_people(configuration(tmp_path, broker.endpoints))) as people:
        people.add("eve", "a hash", AccessRole.ADMIN, (), now=1.0)
    await broker.until("/readyz", lambda _: log.of("users changed on this machine"))
    assert said(log, "users changed on this machine") == {"users": ["eve"]}


async def test_the_first_admin_and_who_only_guesses_its_link_are_lines(
    cheap_passwords: None, tmp_path: Path, log: Recorder, capfd: pytest.CaptureFixture[str]
) -> None:
    async with broker_in(tmp_path, auth="required") as broker:
        code = capfd.readouterr().out.partition("#code=")[2].split()[0]
        form = {"user": "anna", "password": "her password", "code": code}
        assert (await broker.http.post("/api/first-admin", json=form | {"code": "guess"})).status == 403
        assert (await broker.http.post("/api/first-admin", json=form)).status == 204
    assert "from an earlier start" in said(log, "sign-in refused")["reason"]
    assert said(log, "first admin made") == {"user": "anna", "address": HERE}
    assert code not in str(log.lines)


async def test_a_sign_in_elsewhere_that_comes_to_nothing_is_a_line(tmp_path: Path, log: Recorder) -> None:
    oidc = {"issuer": "http://127.0.0.1:1", "client_id": "camshaft"}
    async with broker_in(tmp_path, auth="required", oidc=oidc) as broker:
        assert (await broker.http.get("/sign-in/callback?state=x&code=y")).status == 403
    assert "took too long" in said(log, "sign-in refused")["reason"]
