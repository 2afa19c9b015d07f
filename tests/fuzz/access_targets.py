"""Proofs of who somebody is: signed tokens and their keys, single sign-on, cookies; what proxies say of a request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache
from types import SimpleNamespace
from typing import Any

import jwt
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from multidict import CIMultiDict

from broker.access.keys import MAX_BYTES, read_keys
from broker.access.oidc import _provider
from broker.access.signed import MAX_TOKEN, key_name, looks_signed, principal_of, verified
from broker.front import forms, forwarded
from broker.front.context import CONTEXT
from broker.front.cookies import cookies_of
from broker.front.mse import _codecs
from broker.front.peer import Proxies
from broker.front.sign_on import _OUR_PAGE
from broker.front.strict_json import parse_json
from broker.front.whep import _wanted_headers
from camshaft.importing.convert import READERS, convert, write
from common.address import base_path
from common.cameras import CameraName
from common.config_access import JwtConfig
from common.errors import ConfigError, RequestError
from tests.fuzz.target import Target, repeated

ALGORITHMS = ("RS256", "ES256", "EdDSA")
SECRET = "a secret that nobody knows, of more than sixty-four characters in all"
CONFIG = JwtConfig(secret=SECRET, issuer="https://a.example", audience="camshaft")
ISSUER = "https://a.example"
HEADER = b'{"alg": "HS256", "kid": "one"}'
CLAIMS = b'{"exp": 4000000000, "iss": "https://a.example", "aud": "camshaft", "sub": "anna", "cameras": ["yard"]}'
CLAIMED = b'\n{"exp": 4000000000, "iss": "https://a.example", "aud": "camshaft", "cameras": ['
YARD = CameraName("yard")
LOADER = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # YAML is somebody else's parser, and in Python takes the longest
HEADERS = ("Cookie", "X-Forwarded-For", "X-Forwarded-Prefix", "Access-Control-Request-Headers", "Forwarded")
PROXIES = Proxies(("192.0.2.0/24", "2001:db8::/32"))
GO2RTC = b"streams:\n  door: [rtsp://u:${PASSWORD:x}@10.0.0.2/live, 'ffmpeg:door#audio=opus']\n  door_sub: rtsp://10.0.0.2/2\n"
MEDIAMTX = (
    b"paths:\n  door:\n    source: rtsp://10.0.0.2/live\n    sourceOnDemand: yes\n    sourceOnDemandCloseAfter: 1m30s\n"
)
FRIGATE = (
    b"go2rtc:\n  streams:\n    door: rtsp://10.0.0.2/live\ncameras:\n  door:\n    ffmpeg:\n      inputs:\n"
    b"        - path: rtsp://127.0.0.1:8554/door\n          roles: [record, detect]\n"
)


def _bare(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def read_token(data: bytes) -> None:
    """A header and claims, signed and not: who signs may be a program that somebody else has written."""
    header, _, claims = data.partition(b"\n")
    signed = _bare(header) + b"." + _bare(claims)
    signature = hmac.digest(SECRET.encode(), signed, hashlib.sha256)
    for token in (signed + b"." + _bare(signature), data):
        text = token.decode("latin-1")
        if looks_signed(text):
            key_name(text)
            principal_of(verified(text, SECRET, CONFIG), CONFIG).may_watch(YARD)


@cache
def _jwks() -> dict[str, dict[str, Any]]:
    small = rsa.generate_private_key(65_537, 2_048)
    curve = ec.generate_private_key(ec.SECP256R1())
    whole = jwt.algorithms.RSAAlgorithm.to_jwk(small, as_dict=True)
    return {
        "private": {"kid": "1", "alg": "RS256"} | {name: whole[name] for name in ("kty", "n", "e", "d")},
        "public": {"kid": "2", "alg": "RS256"} | {name: whole[name] for name in ("kty", "n", "e")},
        "curve": {"kid": "3", "alg": "ES256"} | jwt.algorithms.ECAlgorithm.to_jwk(curve.public_key(), as_dict=True),
    }


def _set(kind: str, size: int = 0) -> bytes:
    key = _jwks()[kind]
    return json.dumps({"keys": [key] * max(1, size // len(json.dumps(key)))}).encode()


def read_headers(data: bytes) -> None:
    """Headers of a request, a line each, as those functions see them that read them."""
    values = dict(zip(HEADERS, data.decode("latin-1").split("\n"), strict=False))
    names = SimpleNamespace(user="remote-user", groups="remote-groups")
    request: Any = SimpleNamespace(headers=CIMultiDict(values), app={CONTEXT: SimpleNamespace(forward_auth=names)})
    cookies_of(request, "camshaft_login")
    PROXIES.client("192.0.2.7", values.get("X-Forwarded-For", ""))
    PROXIES.client_of("192.0.2.7", forwarded.read([values.get("Forwarded", "")]))
    base_path(values.get("X-Forwarded-Prefix", ""))
    _wanted_headers(request)


def read_query(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    _OUR_PAGE.fullmatch(text)
    _codecs(text)


def read_forms(data: bytes) -> None:
    document = parse_json(data.decode())
    for form in (forms.SignIn, forms.FirstAdmin, forms.NewPassword, forms.NewUser, forms.UserChange):
        try:
            form.model_validate(document)
        except ValueError as exc:
            str(exc)


def import_file(data: bytes) -> None:
    document = yaml.load(data.decode("utf-8", "replace"), LOADER)
    for program in ("", *READERS):
        found = convert(document, program)
        assert not isinstance(yaml.load(write(found, "their.yaml"), LOADER), str)


def _linked(size: int) -> bytes:
    """Streams of go2rtc, each of which names all others."""
    names: list[str] = []
    while sum(len(name) + 12 for name in names) < size - 20:
        names.append(f"c{len(names)}")
    streams = "".join(f"{name}: {'*a' if at else '&a [' + ', '.join(names) + ']'}, " for at, name in enumerate(names))
    return f"streams: {{{streams}}}".encode()


TARGETS = [
    Target(
        "signed-token",
        "signed tokens, from anybody, and what is in those that are signed rightly",
        read_token,
        (HEADER + b"\n" + CLAIMS, b"a.b.c", HEADER + b'\n{"exp": 4e9, "role": ["viewer", "admin"], "nbf": 1}'),
        (RequestError,),
        (b'"alg": ', b'"exp": ', b'"aud": [', b'"role": ', b'"crit": ["b64"]', b'"b64": false', b"1e999"),
        {
            "header": repeated(b"[", b"", b"\n"),
            "claims": repeated(b'{"a":', HEADER + b"\n"),
            "cameras": repeated(b'"a",', HEADER + b'\n{"exp": 4000000000, "cameras": [', b'"a"]}'),
            "patterns": repeated(b'"*%d",', HEADER + CLAIMED, b'"a"]}'),
            "digits": repeated(b"1", HEADER + b'\n{"exp": ', b"}"),
            "letters": repeated(b"a", b"", b".b.c"),
        },
        bound=MAX_TOKEN * 3 // 4,
    ),
    Target(
        "jwks",
        "the keys that tokens are signed with, from whom the configuration names for it",
        lambda data: read_keys(data.decode(), ALGORITHMS),
        tuple(map(_set, ("public", "curve", "private"))),
        (ValueError, RecursionError, jwt.PyJWTError),
        (b'"kty": "RSA"', b'"kty": "OKP"', b'"crv": "Ed25519"', b'"use": "enc"', b'"d": "', b'"k": "'),
        {
            "keys": lambda size: _set("public", size),
            "curves": lambda size: _set("curve", size),
            "private keys": lambda size: _set("private", size),
            "modulus": repeated(b"_", b'{"keys": [{"kty": "RSA", "alg": "RS256", "e": "AQAB", "n": "', b'"}]}'),
            "exponent": repeated(b"_", b'{"keys": [{"kty": "RSA", "alg": "RS256", "n": "AQAB", "e": "', b'"}]}'),
            "nesting": repeated(b"[", b'{"keys": '),
        },
        bound=MAX_BYTES,
    ),
    Target(
        "sign-on-provider",
        "the description of a provider of sign-in, from that",
        lambda data: _provider(data.decode(), ISSUER),
        (
            json.dumps(
                {"issuer": ISSUER} | dict.fromkeys(("authorization_endpoint", "token_endpoint", "jwks_uri"), ISSUER)
            ).encode(),
        ),
        (ValueError, RecursionError),
        (b'"issuer": ', b'"token_endpoint_auth_methods_supported": ["', b"http://"),
        {
            "nesting": repeated(b'{"a":'),
            "issuer": repeated(b"/", b'{"issuer": "https://a.example', b'"}'),
            "keys": repeated(b'"k%d": 1,', b"{", b'"a": 1}'),
        },
        bound=MAX_BYTES,
    ),
    Target(
        "request-headers",
        "cookies, and headers of proxies and of other sites' pages, from anybody",
        read_headers,
        (
            b"a=b; camshaft_login=x\n198.51.100.7, [2001:db8::1], 192.0.2.9\n/cams/\nauthorization, content-type, x-a\n"
            b'for="[2001:db8::1]:80";proto=https;host=a, for=_x',
        ),
        words=(b"camshaft_login=", b"; ", b", ", b"::ffff:", b"%25lo", b"x-forwarded-for"),
        grow={
            "cookies": repeated(b"camshaft_login=x;"),
            "equals": repeated(b"="),
            "blanks": repeated(b" ", b"a"),
            "hops": repeated(b"1,", b"\n"),
            "elements": repeated(b"for=1;a=b,", b"\n\n\n\n"),
            "quote": repeated(b"\\a", b'\n\n\n\nfor="'),
            "digits": repeated(b"1", b"\n"),
            "path": repeated(b"/a", b"\n\n"),
            "slashes": repeated(b"/", b"\n\n", b"a"),
            "names": repeated(b"x-a,", b"\n\n\n"),
        },
        bound=8_190,
    ),
    Target(
        "request-query",
        "the fields of a query, from anybody",
        read_query,
        (b"H264,AAC,opus", b"watch/door?stream=sub"),
        (RequestError,),
        grow={"commas": repeated(b","), "codecs": repeated(b"a%d,"), "path": repeated(b"a/"), "dots": repeated(b"../")},
        bound=8_190,
    ),
    Target(
        "account-forms",
        "names, passwords and rights, from anybody",
        read_forms,
        (
            b'{"user": "anna", "password": "correct horse"}',
            b'{"user": "anna", "password": "correct horse", "role": "viewer", "cameras": ["yard*"]}',
            b'{"old": "a", "new": "b"}',
        ),
        (ValueError,),
        (b'"code": "', b'"role": "monitor"', b"\\ud800", b"null"),
        {
            "name": repeated(b"a", b'{"user": "', b'", "password": "x"}'),
            "keys": repeated(b'"k%d": 1,', b"{", b'"user": "a"}'),
            "patterns": repeated(b'"*a",', b'{"role": "viewer", "cameras": [', b'"*"]}'),
            "stars": repeated(b"*", b'{"role": "viewer", "cameras": ["', b'"]}'),
            "nesting": repeated(b"["),
        },
        bound=forms.MAX_BODY,
    ),
    Target(
        "imported-file",
        "another program's configuration, from an operator who changes over",
        import_file,
        (GO2RTC, MEDIAMTX, FRIGATE),
        (ConfigError, yaml.YAMLError, ValueError, RecursionError),
        (
            b"streams:",
            b"paths:",
            b"rtsp://",
            b"ffmpeg:",
            b"${A:",
            b"{FRIGATE_",
            b"_sub",
            b"#transport=udp",
            b"&a",
            b"*a",
        ),
        {
            "streams": repeated(b"  c%d: rtsp://a/b\n", b"streams:\n"),
            "paths": repeated(b"  c%d: {source: 'rtsp://a/b'}\n", b"paths:\n"),
            "one name": repeated(b"  'c %d': rtsp://a/b\n", b"streams:\n"),
            "sources": repeated(b"    - rtsp://a/%d\n", b"streams:\n  a:\n"),
            "links": _linked,
            "subs": repeated(b"_sub", b"streams: {'a", b"': 'rtsp://a'}"),
            "variables": repeated(b"${A:", b"streams: {a: 'rtsp://", b"'}"),
            "digits": repeated(b"1", b"paths: {a: {source: 'rtsp://a', sourceOnDemandCloseAfter: '", b"'}}"),
        },
        bound=4_096,
        most=512,
        slow=0.1,  # YAML in Python, twice for each program
    ),
]
