"""Signed tokens: real keys, forged tokens, and what their claims give."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import jwt
import pytest

from broker.access.desk import Desk
from broker.access.keys import key_of
from broker.access.signed import MAX_TIME
from common.config_access import AuthConfig, JwtConfig
from common.errors import ConfigError
from tests.fakes.signed import CLAIMS, HALL, NOW, PEM, SECRET, WEAK, YARD, Time, desk, pair, refused, who


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
    assert "claim" in told.message
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


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "cannot be read"), (b"no key", "no public key"), (WEAK.public_bytes(*PEM), "at least 2048")],
)
def test_a_key_file_that_is_none(content: bytes | None, problem: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        key_of(JwtConfig(key_file=tmp_path / "key.pem"), Time())
