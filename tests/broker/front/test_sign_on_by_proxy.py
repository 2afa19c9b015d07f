"""Single sign-on by a reverse proxy: when the user that it names is believed, and what is kept apart behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from broker.access.tokens import digest_of
from broker.front.gate import COOKIE
from tests.fakes.accounts import CAMERAS, GROUPS
from tests.fakes.broker import broker_in


def behind(*proxies: str) -> dict[str, Any]:
    return {
        "http": {"listen": "127.0.0.1:0", "trusted_proxies": list(proxies)},
        "auth": {
            "user_header": "Remote-User",
            "groups": GROUPS,
            "tokens": {"t": {"sha256": digest_of("t"), "role": "admin"}},
        },
        "cameras": CAMERAS,
    }


ANNA = {"Remote-User": "anna", "Remote-Groups": "family, x"}


async def test_a_proxy_that_is_believed_names_the_user(tmp_path: Path) -> None:
    async with broker_in(tmp_path, **behind("127.0.0.0/8")) as broker:
        me = await (await broker.http.get("/api/me", headers=ANNA)).json()
        assert (me["name"], me["kind"], me["role"], me["cameras"]) == ("anna", "proxy", "viewer", ["yard"])
        admin = await broker.http.get("/api/users", headers=ANNA | {"Remote-Groups": "ops"})
        assert admin.status == 200
        assert (await broker.http.get("/api/cameras/hall", headers=ANNA)).status == 403
        assert (await broker.http.get("/api/me")).status == 401
        evil = ANNA | {"Origin": "https://evil.example"}
        assert (await broker.http.get("/api/me", headers=evil)).status == 401, (
            "another site's page uses no sign-in of ours"
        )
        ours = ANNA | {"Origin": "https://cams.example", "X-Forwarded-Host": "cams.example"}
        assert (await broker.http.delete("/api/cameras/yard", headers=ours)).status == 403, (
            "not cross_origin, but no admin"
        )
        async with broker.http.ws_connect("/ws", headers=ours) as socket:
            await socket.send_json({"type": "ping"})
            assert (await socket.receive_json(timeout=5))["type"] == "pong"


async def test_where_the_proxy_has_tls_a_page_without_it_is_not_ours(tmp_path: Path) -> None:
    """Plain HTTP may have been changed on its way, also by somebody who wants what is behind TLS."""
    async with broker_in(tmp_path, **behind("127.0.0.1")) as broker:
        ops = ANNA | {"Remote-Groups": "ops", "X-Forwarded-Host": "cams.example", "X-Forwarded-Proto": "https"}
        user = {"user": "eve", "password": "a way back in", "role": "admin"}
        for scheme, status in (("http", 403), ("https", 201)):
            headers = ops | {"Origin": f"{scheme}://cams.example"}
            assert (await broker.http.post("/api/users", json=user, headers=headers)).status == status


async def test_who_is_named_twice_is_not_believed(tmp_path: Path) -> None:
    """A proxy that adds its header to that of the client, and does not put it in its place."""
    async with broker_in(tmp_path, **behind("127.0.0.1")) as broker:
        for name, more in (("Remote-User", "eve"), ("Remote-Groups", "ops")):
            headers = CIMultiDict(ANNA)
            headers.add(name, more)
            answer = await broker.http.get("/api/me", headers=headers)
            assert answer.status == 401, name


async def test_nobody_else_names_one(tmp_path: Path) -> None:
    async with broker_in(tmp_path, **behind("192.0.2.0/24")) as broker:
        for headers in (ANNA, ANNA | {"X-Forwarded-For": "192.0.2.1"}):
            assert (await broker.http.get("/api/me", headers=headers)).status == 401


@pytest.mark.parametrize(
    "forwarded",
    [
        {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Proto": "https"},
        {"Forwarded": "for=203.0.113.9;proto=http, for=198.51.100.7;proto=https;host=cams.example"},
    ],
)
async def test_the_log_and_the_cookie_go_by_what_the_proxy_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], forwarded: dict[str, str]
) -> None:
    async with broker_in(tmp_path, **behind("127.0.0.1")) as broker:
        user = {"user": "ben", "password": "ben's password", "cameras": ["yard"]}
        await broker.http.post("/api/users?token=t", json=user)
        answer = await broker.http.post(
            "/api/login", json={k: user[k] for k in ("user", "password")}, headers=forwarded
        )
        assert answer.cookies[f"__Host-{COOKIE}"]["secure"]
        await broker.http.get("/api/nodes", headers=forwarded)
        assert "198.51.100.7" in "".join(capfd.readouterr())


async def test_a_cookie_that_another_host_could_have_set_signs_nobody_in_where_there_is_tls(tmp_path: Path) -> None:
    """Session fixation: eve's own sign-in, put into ben's browser by another host of the domain, or by plain HTTP."""
    async with broker_in(tmp_path, **behind("127.0.0.1")) as broker:
        form = {"user": "eve", "password": "eve's password"}
        await broker.http.post("/api/users?token=t", json=form | {"cameras": ["yard"]})
        forwarded = {"X-Forwarded-Proto": "https"}
        async with aiohttp.ClientSession(broker.url, cookie_jar=aiohttp.DummyCookieJar()) as http:

            async def me(headers: dict[str, str], cookies: dict[str, str]) -> int:
                return (await http.get("/api/me", headers=headers, cookies=cookies)).status

            for prefix, name in ((None, f"__Host-{COOKIE}"), ("/cams", f"__Secure-{COOKIE}")):
                headers = forwarded | ({"X-Forwarded-Prefix": prefix} if prefix else {})
                cookie = (await http.post("/api/login", json=form, headers=headers)).cookies[name]
                assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
                assert (cookie["path"], cookie["domain"]) == (prefix or "/", "")
                assert await me(headers, {name: cookie.value}) == 200
                assert await me(headers, {COOKIE: cookie.value}) == 401
                for told in (
                    {},
                    {"X-Forwarded-Proto": "wss"},
                ):  # by nginx in some places alone, by Traefik of WebSockets
                    assert await me(headers | {"X-Forwarded-Proto": ""} | told, {name: cookie.value}) == 200
                gone = await http.delete("/api/login", headers=headers, cookies={name: cookie.value})
                assert (gone.cookies[name].value, gone.cookies[name]["secure"]) == ("", True)
                assert await me(headers, {name: cookie.value}) == 401
