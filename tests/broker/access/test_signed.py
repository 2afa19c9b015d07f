"""Signed tokens: real keys, forged tokens, and providers of keys that lie, are slow, or change their minds."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.access import keys
from broker.access.desk import Credentials, Desk, SignedTokens
from broker.access.keys import FETCH_INTERVAL, FRESH, KEPT, FetchedKeys, key_of, read_keys
from broker.access.principal import Principal
from broker.access.signed import MAX_TIME, KeyName
from common.cameras import CameraName
from common.config_access import AuthConfig, JwtConfig
from common.errors import ConfigError, RequestError
from tests.fakes.cost import assert_cheap
from tests.fakes.log import Recorder

SECRET = "a secret of more than sixty-four characters, as the longest of these signatures wants"
NOW = 4_000_000_000  # Unix time at which no test runs
YARD, HALL = CameraName("yard"), CameraName("hall")
CLAIMS: dict[str, Any] = {"sub": "anna", "exp": NOW, "cameras": ["yard"]}
PEM = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo


class Time:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def desk(clock: Callable[[], float] | None = None, **config: Any) -> Desk:
    jwt_config = JwtConfig.model_validate(config)
    found = key_of(jwt_config, clock or Time())
    assert found is not None
    return Desk(AuthConfig(), None, lambda: NOW - 100.0, local=True, signed=SignedTokens(jwt_config, found))


async def who(asked: Desk, token: str) -> Principal:
    principal = await asked.identify(Credentials(token=token))
    assert principal is not None
    return principal


async def refused(asked: Desk, token: str) -> RequestError:
    with pytest.raises(RequestError) as error:
        await who(asked, token)
    assert SECRET not in str(error.value)
    return error.value


@pytest.mark.parametrize(
    ("claims", "role", "sees"),
    [
        ({}, "viewer", (True, False)),
        ({"cameras": "yard, ha*"}, "viewer", (True, True)),
        ({"cameras": None}, "viewer", (False, False)),
        ({"cameras": ["a b", 7, "*"]}, "viewer", (True, True)),
        ({"cameras": {"yard": 1}}, "viewer", (False, False)),
        ({"role": "admin"}, "admin", (True, True)),
        ({"role": ["staff", "admin"]}, "admin", (True, True)),
        ({"role": "administrator"}, "viewer", (True, False)),
        ({"role": "no admin"}, "viewer", (True, False)),
        ({"role": "monitor"}, "monitor", (False, False)),
        ({"role": ["monitor"]}, "monitor", (False, False)),
        ({"role": ["monitor", "viewer"]}, "viewer", (True, False)),
        ({"role": "billing,admin"}, "viewer", (True, False)),
        ({"role": True}, "viewer", (True, False)),
    ],
)
async def test_the_claims_give_the_rights(claims: dict[str, Any], role: str, sees: tuple[bool, bool]) -> None:
    principal = await who(desk(secret=SECRET), jwt.encode(CLAIMS | claims, SECRET))
    assert (principal.label, principal.role.value, principal.expires) == ("jwt:anna", role, NOW)
    assert (principal.may_watch(YARD), principal.may_watch(HALL)) == sees


async def test_an_end_that_no_clock_will_see_is_one() -> None:
    principal = await who(desk(secret=SECRET), jwt.encode(CLAIMS | {"exp": 10**400}, SECRET))
    assert principal.expires == MAX_TIME


@pytest.mark.parametrize(("name", "label"), [("a#b:c\n", "jwt:a_b_c_"), (7, "jwt"), ("x" * 999, "jwt:" + "x" * 64)])
async def test_a_name_cannot_pass_for_another_kind(name: object, label: str) -> None:
    token = jwt.encode({"exp": NOW, "who": name}, SECRET)
    assert (await who(desk(secret=SECRET, name_claim="who"), token)).label == label


def pair(kind: str) -> tuple[Any, Any]:
    private: Any = {
        "RS256": lambda: rsa.generate_private_key(65_537, 2_048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }[kind]()
    return private, private.public_key()


@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_verifies(kind: str, tmp_path: Path) -> None:
    private, public = pair(kind)
    (tmp_path / "key.pem").write_bytes(public.public_bytes(*PEM))
    asked = desk(key_file=str(tmp_path / "key.pem"))
    assert (await who(asked, jwt.encode(CLAIMS, private, kind))).label == "jwt:anna"
    assert (await refused(asked, jwt.encode(CLAIMS, pair(kind)[0], kind))).status == 401


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, claims))
    return ".".join([*parts, signature])


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (jwt.encode(CLAIMS, "another secret of more than 32 characters"), "invalid_token"),
        (jwt.encode(CLAIMS | {"exp": 1_000_000_000}, SECRET), "expired_token"),
        (jwt.encode({"sub": "anna"}, SECRET), "invalid_token"),
        (jwt.encode(CLAIMS | {"nbf": NOW - 1}, SECRET), "invalid_token"),
        (jwt.encode(CLAIMS | {"iat": NOW - 1}, SECRET), "invalid_token"),
        (jwt.encode(CLAIMS | {"aud": "another"}, SECRET), "invalid_token"),
        (jwt.encode(CLAIMS | {"exp": "soon"}, SECRET), "invalid_token"),
        (jwt.encode(CLAIMS, SECRET, "HS512"), "invalid_token"),
        (jwt.encode(CLAIMS, None, "none"), "invalid_token"),
        (unsigned({"alg": "none"}, CLAIMS), "invalid_token"),
        (unsigned({"alg": "HS256", "crit": ["b64"], "b64": False}, CLAIMS), "invalid_token"),
        (unsigned({"alg": "HS256", "kid": {"a": 1}}, CLAIMS), "invalid_token"),
        (unsigned({"alg": "HS256", "kid": "../../dev/null"}, CLAIMS), "invalid_token"),
        (unsigned({}, CLAIMS), "invalid_token"),
        ("..", "invalid_token"),
        ("\udcff.\udcff.\udcff", "invalid_token"),  # what no UTF-8 is in a header
        (unsigned({"alg": "HS256", "crit": ["x"], "x": 1}, CLAIMS), "invalid_token"),
        (jwt.encode(CLAIMS, SECRET, headers={"crit": ["x"], "x": 1}), "invalid_token"),  # RFC 7515 4.1.11
        (jwt.encode(CLAIMS | {"exp": float("inf")}, SECRET), "invalid_token"),
        (jwt.encode(CLAIMS | {"iat": float("inf")}, SECRET), "invalid_token"),
        (jwt.encode(CLAIMS | {"sub": 7}, SECRET), "invalid_token"),
        (".".join([base64.urlsafe_b64encode(b"[" * 5_000).decode()] * 3)[:8_000], "invalid_token"),
        ("a.b.c", "invalid_token"),
        ("no token at all", "invalid_token"),
        ("." * 100_000, "invalid_token"),
        (unsigned({"alg": "HS256"}, CLAIMS, "x" * 7_000), "invalid_token"),
        ("é.é.é", "invalid_token"),
    ],
)
async def test_what_is_forged_is_refused(token: str, code: str) -> None:
    error = await refused(desk(secret=SECRET), token)
    assert (error.status, error.code) == (401, code)


async def test_who_signs_is_told_what_is_wrong_with_a_claim_and_not_that_its_key_is() -> None:
    told = await refused(desk(secret=SECRET), jwt.encode(CLAIMS | {"sub": 7}, SECRET))
    assert "claims" in told.message
    told = await refused(desk(secret=SECRET), jwt.encode(CLAIMS, SECRET[::-1]))
    assert "signature" in told.message


async def test_a_public_key_is_no_secret(tmp_path: Path) -> None:
    """The oldest forgery: signed with HS256, the published key as the secret (RFC 8725 2.1)."""
    public = pair("RS256")[1].public_bytes(*PEM)
    (tmp_path / "key.pem").write_bytes(public)
    header, claims, _ = unsigned({"alg": "HS256"}, CLAIMS).split(".")
    signature = base64.urlsafe_b64encode(hmac.digest(public, f"{header}.{claims}".encode(), hashlib.sha256))
    token = f"{header}.{claims}.{signature.decode().rstrip('=')}"
    assert (await refused(desk(key_file=str(tmp_path / "key.pem")), token)).code == "invalid_token"


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"iss": "https://login.example", "aud": "camshaft"}, True),
        ({"iss": "https://login.example", "aud": ["x", "camshaft"]}, True),
        ({"iss": "https://evil.example", "aud": "camshaft"}, False),
        ({"aud": "camshaft"}, False),
        ({"iss": "https://login.example"}, False),
        ({"iss": "https://login.example", "aud": "other"}, False),
    ],
)
async def test_issuer_and_audience_are_what_is_configured(claims: dict[str, Any], *, good: bool) -> None:
    asked = desk(secret=SECRET, issuer="https://login.example", audience="camshaft")
    token = jwt.encode(CLAIMS | claims, SECRET)
    if good:
        await who(asked, token)
    else:
        await refused(asked, token)


async def test_a_session_lasts_as_long_as_what_was_signed() -> None:
    asked = desk(secret=SECRET)
    principal = await who(asked, jwt.encode(CLAIMS, SECRET))
    assert asked.still(principal)
    assert asked.hindrance(principal.holder, NOW, YARD) == ""
    assert asked.hindrance(principal.holder, NOW - 1_000.0, YARD)
    unknown = Desk(AuthConfig(mode="required"), None, lambda: NOW - 100.0, local=True)
    assert not unknown.still(principal)
    assert unknown.hindrance(principal.holder, NOW, YARD)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"secret": "short"}, "32 characters"),
        ({"secret": SECRET, "jwks": "https://x/"}, "only one"),
        ({"secret": SECRET, "algorithms": ["RS256"]}, "HS256"),
        ({"jwks": "https://x/", "algorithms": ["RS256", "HS256"]}, "HS256"),
        ({"jwks": "https://x/", "algorithms": ["none"]}, "'HS256'"),
        ({"jwks": "file:///etc/passwd"}, "https://"),
        ({"jwks": "https://user:password@x/"}, "without user"),
        ({"issuer": "x"}, "no key"),
    ],
)
def test_a_configuration_that_would_be_unsafe_is_none(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        JwtConfig.model_validate(config)


WEAK = rsa.generate_private_key(65_537, 1_024).public_key()


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read"), (b"no key", "no public key"), (WEAK.public_bytes(*PEM), "2048 bits")],
)
def test_a_key_file_that_is_none(content: bytes | None, problem: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        key_of(JwtConfig(key_file=tmp_path / "key.pem"), Time())


# Keys at an address


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
        "keys are fetched without TLS: whoever is on the way can sign tokens as well"
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
    monkeypatch.setattr(keys, "FETCH_TIMEOUT", 0.1)
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
