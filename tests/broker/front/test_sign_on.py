"""Single sign-on: at a provider that nobody here wrote, and at one that lies; and by a reverse proxy."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec

from broker.front.gate import COOKIE
from broker.front.sign_on import SIGN_ON
from rigs.process import free_port
from tests.fakes.accounts import CAMERAS, GROUPS, browser
from tests.fakes.broker import broker_in
from tests.fakes.matrix import SIGN_OUT, check_matrix
from tests.fakes.workers import FakeEgress

START_TIMEOUT = 20.0  # seconds


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """A real provider's address; anna is of ops, ben of family and guests, eve of a group that is not known here."""
    port = free_port()
    people = {"anna": ["ops", "x"], "ben": ["family", "guests"], "eve": ["x"], "mo": ["watchers"], "olga": ["guests"]}
    users = [json.dumps({"sub": f"id-{n}", "preferred_username": n, "groups": groups}) for n, groups in people.items()]
    options = [word for user in users for word in ("--user-claims", user)]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def answers(issuer: str) -> None:
    """Wait until the provider does."""
    deadline = time.monotonic() + START_TIMEOUT
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < deadline:
            try:
                async with http.get(f"{issuer}/.well-known/openid-configuration"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
    raise TimeoutError


def configured(issuer: str, **more: Any) -> dict[str, Any]:
    oidc = {"issuer": issuer, "client_id": "camshaft", "client_secret": "secret of ours"} | more
    return {"auth": {"mode": "required", "groups": GROUPS}, "oidc": oidc, "cameras": CAMERAS}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("user", "role", "cameras"), [("anna", "admin", []), ("ben", "viewer", ["yard", "hall"]), ("eve", "viewer", [])]
)
async def test_who_signs_in_at_the_provider_has_the_rights_of_its_groups(
    provider: str, tmp_path: Path, user: str, role: str, cameras: list[str]
) -> None:
    await answers(provider)
    async with broker_in(tmp_path, **configured(provider)) as broker, browser(broker) as person:
        assert await (await person.get("/api/login")).json() == {
            "password": True,
            "sign_on": "Single sign-on",
            "first": False,
        }
        sent = await person.get("/sign-in/start?next=watch/yard", allow_redirects=False)
        assert sent.status == 303
        asked = parse_qs(urlsplit(sent.headers["Location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        back = await person.post(sent.headers["Location"], data={"sub": f"id-{user}"}, allow_redirects=False)
        came = await person.get(back.headers["Location"], allow_redirects=False)
        assert (came.status, came.headers["Location"]) == (303, "../watch/yard")
        me = await (await person.get("/api/me")).json()
        assert (me["name"], me["kind"], me["role"], me["cameras"]) == (user, "oidc", role, cameras)
        seen = {camera["id"] for camera in await (await person.get("/api/cameras")).json()}
        assert seen == (set(cameras) if role == "viewer" else {"yard", "hall"})
        again = await person.get(back.headers["Location"], allow_redirects=False)
        assert again.status == 403, "a code and a state are good once"
        assert (await person.delete("/api/login")).status == 204
        assert (await person.get("/api/me")).status == 401


@pytest.mark.thorough
async def test_each_route_lets_in_whom_the_provider_says(provider: str, tmp_path: Path) -> None:
    await answers(provider)
    kept: dict[str, dict[str, str]] = {"nobody": {}, "stranger": {COOKIE: "x" * 43}}
    async with broker_in(tmp_path, **configured(provider)) as broker, FakeEgress(broker.endpoints, "out-1"):
        for who, user in {"monitor": "mo", "other": "olga", "viewer": "ben", "admin": "anna"}.items():
            async with browser(broker) as person:
                sent = await person.get("/sign-in/start", allow_redirects=False)
                back = await person.post(sent.headers["Location"], data={"sub": f"id-{user}"}, allow_redirects=False)
                await person.get(back.headers["Location"], allow_redirects=False)
                kept[who] = {cookie.key: cookie.value for cookie in person.cookie_jar if cookie.key == COOKIE}
        admin = "; ".join(f"{name}={value}" for name, value in kept["admin"].items())
        broker.http.headers["Cookie"] = admin
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        del broker.http.headers["Cookie"]
        offer = {"data": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "headers": {"Content-Type": "application/sdp"}}
        async with broker.http.post("/whep/yard", cookies=kept["viewer"], **offer) as answer:
            session = answer.headers["Location"].rpartition("/")[2]
        await check_matrix(
            broker, session, lambda who: {"cookies": kept[who]}, but=[SIGN_OUT, ("GET", "/sign-in/callback")]
        )


async def test_a_server_with_a_provider_is_not_open_on_the_loopback(tmp_path: Path) -> None:
    """A reverse proxy of the same machine is in front of it, and whoever comes by that has to sign in."""
    settings = configured(f"http://127.0.0.1:{free_port()}") | {"auth": {"groups": GROUPS}}
    async with broker_in(tmp_path, **settings) as broker:
        assert (await broker.http.get("/api/me")).status == 401
        assert (await broker.http.get("/api/cameras")).status == 401


async def test_a_code_is_no_good_in_another_browser(provider: str, tmp_path: Path) -> None:
    """Login CSRF: somebody's own code and state, smuggled into a victim's browser."""
    await answers(provider)
    async with (
        broker_in(tmp_path, **configured(provider)) as broker,
        browser(broker) as evil,
        browser(broker) as victim,
    ):
        sent = await evil.get("/sign-in/start", allow_redirects=False)
        back = await evil.post(sent.headers["Location"], data={"sub": "id-eve"}, allow_redirects=False)
        await victim.get("/sign-in/start", allow_redirects=False)
        answer = await victim.get(back.headers["Location"], allow_redirects=False)
        assert (answer.status, (await answer.json())["code"]) == (403, "sign_on_lost")
        assert (await victim.get("/api/me")).status == 401


class Liar:
    """A provider that signs whatever a test tells it."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.issuer = ""
        self.description: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.signing = self.key
        self.answer: Any = None
        self.in_pieces = False

    async def describe(self, _request: web.Request) -> web.Response:
        addresses = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        own = {"issuer": self.issuer} | {name: f"{self.issuer}/{path}" for name, path in addresses.items()}
        return web.json_response(own | self.description)

    async def keys(self, _request: web.Request) -> web.Response:
        key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        return web.json_response({"keys": [key | {"kid": "one"}]})

    async def token(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        assert form["code_verifier"]
        claims = {"iss": self.issuer, "aud": "camshaft", "sub": "eve", "exp": time.time() + 60} | self.claims
        id_token = jwt.encode(claims, self.signing, "ES256", {"kid": "one"})
        answer = {"id_token": id_token} if self.answer is None else self.answer
        if not self.in_pieces:
            return web.json_response(answer)
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in json.dumps(answer).partition("."):
            await response.write(piece.encode())
            await asyncio.sleep(0.05)
        return response


@asynccontextmanager
async def liar() -> AsyncIterator[Liar]:
    found, app = Liar(), web.Application()
    app.router.add_get("/.well-known/openid-configuration", found.describe)
    app.router.add_get("/keys", found.keys)
    app.router.add_post("/token", found.token)
    async with TestServer(app) as server:
        found.issuer = str(server.make_url("")).rstrip("/")
        yield found


@asynccontextmanager
async def signing_on(directory: Path) -> AsyncIterator[tuple[Liar, aiohttp.ClientSession]]:
    """A provider that lies, and the browser of somebody who signs in by it at a broker that trusts it."""
    async with (
        liar() as provider,
        broker_in(directory, **configured(provider.issuer)) as broker,
        browser(broker) as person,
    ):
        yield provider, person


async def attempt(liar: Liar, person: aiohttp.ClientSession, **more: str) -> tuple[int, str]:
    sent = await person.get("/sign-in/start", allow_redirects=False)
    if sent.status != 303:
        return sent.status, (await sent.json())["code"]
    asked = parse_qs(urlsplit(sent.headers["Location"]).query)
    liar.claims = {"nonce": asked["nonce"][0]} | liar.claims
    answer = await person.get(
        "/sign-in/callback", params={"state": asked["state"][0], "code": "c", **more}, allow_redirects=False
    )
    return answer.status, "" if answer.status == 303 else (await answer.json())["code"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"exp": 1_000_000_000},
        {"aud": ["camshaft", "another"], "azp": "another"},
    ],
)
async def test_a_token_that_is_not_for_this_sign_in_signs_nobody_in(claims: dict[str, Any], tmp_path: Path) -> None:
    async with liar() as provider, broker_in(tmp_path, **configured(provider.issuer)) as broker:
        async with browser(broker) as person:
            provider.claims = claims
            assert await attempt(provider, person) == (502, "sign_on_failed")
            assert (await person.get("/api/me")).status == 401
        async with browser(broker) as person:
            provider.claims = {}
            assert await attempt(provider, person) == (303, "")
            assert (await (await person.get("/api/me")).json())["name"] == "eve", "its sub, as it has no other name"


@pytest.mark.parametrize("promised", [False, True])
async def test_an_answer_of_another_provider_signs_nobody_in(tmp_path: Path, *, promised: bool) -> None:
    """A mix-up (RFC 9207): the browser was led astray, and comes back with a code that another one has given."""
    async with signing_on(tmp_path) as (provider, person):
        provider.description = {"authorization_response_iss_parameter_supported": promised}
        assert await attempt(provider, person, iss="https://evil.example") == (502, "sign_on_failed")
        provider.claims = {}
        assert await attempt(provider, person) == ((502, "sign_on_failed") if promised else (303, ""))
        provider.claims = {}
        assert await attempt(provider, person, iss=provider.issuer) == (303, "")


@pytest.mark.parametrize("answer", [{}, [], {"id_token": 7}, {"id_token": "a.b.c"}, {"error": "invalid_grant"}])
async def test_a_provider_that_gives_no_token_signs_nobody_in(answer: Any, tmp_path: Path) -> None:
    async with signing_on(tmp_path) as (provider, person):
        provider.answer = answer
        assert await attempt(provider, person) == (502, "sign_on_failed")


async def test_a_token_that_another_key_has_signed_is_none(tmp_path: Path) -> None:
    async with signing_on(tmp_path) as (provider, person):
        provider.signing = ec.generate_private_key(ec.SECP256R1())
        assert await attempt(provider, person) == (502, "sign_on_failed")


@pytest.mark.parametrize("description", [{"issuer": "https://evil.example"}, {"token_endpoint": "file:///x"}])
async def test_a_description_that_lies_is_not_followed(description: dict[str, Any], tmp_path: Path) -> None:
    async with signing_on(tmp_path) as (provider, person):
        provider.description = description
        assert await attempt(provider, person) == (503, "provider_unavailable")


async def test_a_provider_that_is_away_leaves_the_other_ways(tmp_path: Path) -> None:
    async with broker_in(tmp_path, **configured(f"http://127.0.0.1:{free_port()}")) as broker:
        answer = await broker.http.get("/sign-in/start", allow_redirects=False)
        assert (answer.status, (await answer.json())["code"]) == (503, "provider_unavailable")
        assert (await broker.http.get("/sign-in")).status == 200


async def test_a_way_back_to_elsewhere_is_none(tmp_path: Path) -> None:
    async with liar() as provider, broker_in(tmp_path, **configured(provider.issuer)) as broker:
        for wanted in ("https://evil.example/", "//evil.example", "/\\evil", "javascript:x", "../../x", "x\ny"):
            async with browser(broker) as person:
                sent = await person.get("/sign-in/start", params={"next": wanted}, allow_redirects=False)
                asked = parse_qs(urlsplit(sent.headers["Location"]).query)
                provider.claims = {"nonce": asked["nonce"][0]}
                params = {"state": asked["state"][0], "code": "c"}
                answer = await person.get("/sign-in/callback", params=params, allow_redirects=False)
                assert (answer.status, answer.headers["Location"]) == (303, "../")


async def test_without_a_provider_there_is_none(tmp_path: Path) -> None:
    async with broker_in(tmp_path, auth="required") as broker:
        for path in ("/sign-in/start", "/sign-in/callback"):
            assert (await broker.http.get(path, allow_redirects=False)).status == 404
        cookies = {SIGN_ON: "x", COOKIE: "x"}
        assert (await broker.http.get("/api/me", cookies=cookies)).status == 401


async def test_a_token_that_comes_in_pieces_is_read_as_a_whole(tmp_path: Path) -> None:
    async with signing_on(tmp_path) as (provider, person):
        provider.in_pieces = True
        assert await attempt(provider, person) == (303, "")


@pytest.mark.thorough
async def test_strangers_who_begin_to_sign_in_do_not_end_what_others_have_begun(tmp_path: Path) -> None:
    async with (
        liar() as provider,
        broker_in(tmp_path, **configured(provider.issuer)) as broker,
        browser(broker) as person,
    ):
        sent = await person.get("/sign-in/start?next=watch/yard", allow_redirects=False)
        asked = parse_qs(urlsplit(sent.headers["Location"]).query)
        for _ in range(1_100):
            assert (await broker.http.get("/sign-in/start", allow_redirects=False)).status == 303
        provider.claims = {"nonce": asked["nonce"][0]}
        params = {"state": asked["state"][0], "code": "c"}
        answer = await person.get("/sign-in/callback", params=params, allow_redirects=False)
        assert (answer.status, answer.headers.get("Location")) == (303, "../watch/yard")


async def test_strangers_cannot_fill_the_log_by_single_sign_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with liar() as provider, broker_in(tmp_path, **configured(provider.issuer)) as broker:
        provider.answer = {}
        for _ in range(60):
            async with browser(broker) as person:
                assert await attempt(provider, person) == (502, "sign_on_failed")
    assert "".join(capfd.readouterr()).count("sign-on failed") <= 3


async def test_a_provider_may_have_a_slash_at_its_end(tmp_path: Path) -> None:
    """Auth0's tokens name it with one, and people leave it out."""
    async with signing_on(tmp_path) as (provider, person):
        provider.description = {"issuer": f"{provider.issuer}/"}
        provider.claims = {"iss": f"{provider.issuer}/"}
        assert await attempt(provider, person) == (303, "")


async def test_what_a_browser_keeps_while_it_is_at_the_provider_says_nothing(tmp_path: Path) -> None:
    async with liar() as provider, broker_in(tmp_path, **configured(provider.issuer)) as broker:
        sent = await broker.http.get("/sign-in/start", allow_redirects=False)
        asked = parse_qs(urlsplit(sent.headers["Location"]).query)
        cookie = sent.cookies[SIGN_ON].value
        assert asked["state"][0] not in str(base64.urlsafe_b64decode(cookie))
        for wrong in ("", "x", cookie[:-8] + "AAAAAAA=", "é"):
            params = {"state": asked["state"][0], "code": "c"}
            answer = await broker.http.get("/sign-in/callback", params=params, cookies={SIGN_ON: wrong})
            assert (answer.status, (await answer.json())["code"]) == (403, "sign_on_lost")
