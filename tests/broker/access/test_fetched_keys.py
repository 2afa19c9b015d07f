"""Keys of signed tokens at an address: providers that lie, are slow, or change their minds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from broker.access import keys
from broker.access.keys import FETCH_INTERVAL, FRESH, KEPT, FetchedKeys, read_keys
from broker.access.signed import KeyName
from common.config_access import JwtConfig
from common.errors import RequestError
from tests.fakes.cost import assert_cheap
from tests.fakes.log import Recorder
from tests.fakes.signed import CLAIMS, WEAK, Time, desk, pair, refused, who


class Provider:
    """Serves a JWK Set; ``text`` is what it says, ``asked`` how often it was asked."""

    text = "{}"
    asked = 0
    hangs = False

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        return web.Response(text=self.text)

    def gives(self, **public: Any) -> None:
        self.text = json.dumps({"keys": [json.loads(jwk_of(key)) | {"kid": kid} for kid, key in public.items()]})


def jwk_of(public: Any) -> str:
    if isinstance(public, rsa.RSAPublicKey):
        return str(jwt.algorithms.RSAAlgorithm.to_jwk(public))
    if isinstance(public, ec.EllipticCurvePublicKey):
        return str(jwt.algorithms.ECAlgorithm.to_jwk(public))
    return str(jwt.algorithms.OKPAlgorithm.to_jwk(public))


@asynccontextmanager
async def serving(provider: Provider) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/keys", provider.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/keys"))


async def test_keys_are_fetched_once_kept_and_fetched_again_when_they_change() -> None:
    provider, time = Provider(), Time()
    (old, old_public), (new, new_public) = pair("ES256"), pair("EdDSA")
    provider.gives(old=old_public)
    async with serving(provider) as address:
        asked = desk(time, jwks=address)
        tokens = [jwt.encode(CLAIMS, old, "ES256", {"kid": "old"}) for _ in range(20)]
        await asyncio.gather(*(who(asked, token) for token in tokens))
        assert provider.asked == 1
        unnamed = jwt.encode(CLAIMS, old, "ES256")
        await who(asked, unnamed)  # there is but one

        provider.gives(old=old_public, new=new_public)
        token = jwt.encode(CLAIMS, new, "EdDSA", {"kid": "new"})
        assert (await refused(asked, token)).code == "invalid_token"  # they were fetched a moment ago
        time.now += FETCH_INTERVAL
        await who(asked, token)
        assert provider.asked == 2
        assert (await refused(asked, unnamed)).code == "invalid_token"

        provider.gives(new=new_public)
        time.now += FRESH + 1
        assert (await refused(asked, tokens[0])).code == "invalid_token", "it was taken back"
        await who(asked, token)
        assert provider.asked == 3


async def test_keys_of_several_kinds_may_have_one_name() -> None:
    provider, kinds = Provider(), ("RS256", "ES256", "EdDSA")
    pairs = {kind: pair(kind) for kind in kinds}
    provider.text = json.dumps({"keys": [json.loads(jwk_of(public)) | {"kid": "x"} for _, public in pairs.values()]})
    async with serving(provider) as address:
        asked = desk(jwks=address)
        for kind, (private, _) in pairs.items():
            assert (await who(asked, jwt.encode(CLAIMS, private, kind, {"kid": "x"}))).label == "jwt:anna"
            forged = jwt.encode(CLAIMS, pair(kind)[0], kind, {"kid": "x"})
            assert (await refused(asked, forged)).code == "invalid_token"
    assert provider.asked == 1


@pytest.mark.parametrize(
    ("address", "lines"),
    [("https://login.example/k", 0), ("http://127.0.0.1:1/k", 0), ("http://[::1]/k", 0), ("http://login.example/k", 1)],
)
def test_keys_that_come_without_tls_are_told_of(address: str, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Recorder()
    monkeypatch.setattr(keys, "log", log)
    FetchedKeys(address, JwtConfig(jwks=address), Time())
    assert [event for event, _ in log.lines] == [
        "keys are fetched without TLS: anyone on the way can sign tokens too"
    ] * lines


async def test_names_of_keys_that_are_made_up_ask_nobody_for_them() -> None:
    provider, time = Provider(), Time()
    private, public = pair("ES256")
    provider.gives(one=public)
    async with serving(provider) as address:
        asked = desk(time, jwks=address)
        for each in range(50):
            await refused(asked, jwt.encode(CLAIMS, private, "ES256", {"kid": f"{each}"}))
    assert provider.asked == 1


async def test_the_last_keys_serve_on_while_there_are_no_new_ones() -> None:
    provider, time = Provider(), Time()
    private, public = pair("ES256")
    provider.gives(one=public)
    token = jwt.encode(CLAIMS, private, "ES256", {"kid": "one"})
    async with serving(provider) as address:
        asked = desk(time, jwks=address)
        await who(asked, token)
    time.now += FRESH + 1
    await who(asked, token)
    time.now += KEPT
    error = await refused(asked, token)
    assert (error.status, error.code) == (503, "keys_unavailable")


async def test_a_provider_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "FETCH_TIMEOUT", 1.0)  # a connection has to stand within it
    provider = Provider()
    provider.hangs = True
    async with serving(provider) as address:
        asked = desk(jwks=address)
        token = jwt.encode(CLAIMS, pair("ES256")[0], "ES256", {"kid": "one"})
        errors = await asyncio.gather(*(refused(asked, token) for _ in range(10)))
        assert {error.code for error in errors} == {"keys_unavailable"}
        assert provider.asked == 1


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "{}",
        '{"keys": {}}',
        '{"keys": []}',
        '{"keys": [7, null, {}, {"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}',
        json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"}]}),
        json.dumps({"keys": [json.loads(jwk_of(pair("ES256")[1])) | {"use": "enc"}]}),
        json.dumps({"keys": [json.loads(jwk_of(pair("ES256")[1])) | {"alg": "HS256"}]}),
        json.dumps({"keys": [json.loads(jwk_of(WEAK))]}),
        "x" * (keys.MAX_BYTES + 1),
    ],
)
async def test_what_a_provider_says_that_lies_gives_no_key(said: str) -> None:
    provider = Provider()
    provider.text = said
    with pytest.raises(ValueError, match=r"."):
        read_keys(said, ("RS256", "ES256", "EdDSA"))
    async with serving(provider) as address:
        token = jwt.encode(CLAIMS, pair("ES256")[0], "ES256", {"kid": "one"})
        assert (await refused(desk(jwks=address), token)).code == "keys_unavailable"


def test_a_private_key_among_them_is_read_as_a_public_one_and_never_worked_out() -> None:
    private = rsa.generate_private_key(65_537, 2_048)
    whole = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private))
    short = {name: whole[name] for name in ("kty", "n", "e", "d")}  # of which its primes would have to be found
    text = json.dumps({"keys": [(short if n % 2 else whole) | {"kid": str(n), "alg": "RS256"} for n in range(20)]})
    assert_cheap(lambda: read_keys(text, ("RS256",)))
    found = read_keys(text, ("RS256",))
    assert len(found) == 20
    assert {key.public_numbers() for key in found.values()} == {private.public_key().public_numbers()}


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/")

    app = web.Application()
    app.router.add_get("/keys", elsewhere)
    async with TestServer(app) as server:
        config = JwtConfig(jwks=str(server.make_url("/keys")))
        with pytest.raises(RequestError) as error:
            await FetchedKeys(config.jwks, config, Time()).find(KeyName("one", "ES256"))
    assert error.value.code == "keys_unavailable"
