"""The keys that signed tokens are verified with: one that is configured, or the ones at an address (JWK Set, RFC 7517).

Those at an address are fetched when a token first asks for one, and kept. When a token names a key that is not there
they are fetched again, for they are replaced now and then; but not more often than once in ``FETCH_INTERVAL``, however
many tokens name whatever they like. While the address does not answer the last keys serve on, for ``KEPT`` at most.

Of a key only the public members are read: to work a private one out again may take an eighth of a second.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from broker.access.signed import MIN_RSA_BITS, KeyName, usable_key
from common.address import is_loopback
from common.config_access import JwtConfig
from common.errors import ConfigError, RequestError, unreadable
from common.log import get_logger

FETCH_INTERVAL = 30.0  # seconds between two fetches, if a token asks for a key that is not there
FRESH = 600.0  # seconds after which they are fetched again, for keys that were taken back
KEPT = 86_400.0  # seconds for which they serve while they cannot be fetched
FETCH_TIMEOUT = 5.0  # seconds
MAX_BYTES = 256 << 10  # of a JWK Set: a provider has a handful of keys
MAX_KEYS = 100

_PUBLIC = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")  # RFC 7517 4, RFC 7518 6.2.1 and 6.3.1, RFC 8037 2

log = get_logger()


class StaticKey:
    """The one key of the configuration."""

    def __init__(self, key: Any) -> None:
        self._key = key

    async def find(self, _wanted: KeyName) -> Any:
        """The key, whatever name a token has for it."""
        return self._key


class FetchedKeys:
    """The keys at an address. ``clock`` gives monotonic seconds."""

    def __init__(self, address: str, config: JwtConfig, clock: Callable[[], float]) -> None:
        self._address = address
        self._algorithms = config.accepted
        self._clock = clock
        self._keys: dict[KeyName, Any] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        parts = urlsplit(address)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            log.warning("keys are fetched without TLS: anyone on the way can sign tokens too", address=address)

    async def find(self, wanted: KeyName) -> Any:
        """The key of that name. Raises ``RequestError`` if there is none, or none can be had now."""
        now = self._clock()
        if now - self._fetched_at > FRESH or self._get(wanted) is None:
            await self._refresh()
        if self._clock() - self._fetched_at > KEPT:
            sentence = "The keys that verify tokens cannot be fetched right now; try again in a moment."
            raise RequestError(503, "keys_unavailable", sentence)
        if (key := self._get(wanted)) is None:
            raise RequestError(401, "invalid_token", "This token is signed with a key that is unknown here.")
        return key

    def _get(self, wanted: KeyName) -> Any:
        if not wanted.name and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(wanted)

    async def _refresh(self) -> None:
        async with self._fetching:  # whoever waited for another's fetch needs none of its own
            if self._clock() - self._tried_at < FETCH_INTERVAL:
                return
            self._tried_at = self._clock()
            try:
                keys = read_keys(await fetch(self._address), self._algorithms)
            except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError, jwt.PyJWTError) as exc:
                log.warning("token keys cannot be fetched", address=self._address, reason=str(exc)[:200])
                return
            if keys.keys() != self._keys.keys():
                log.info("token keys fetched", address=self._address, keys=len(keys))
            self._keys, self._fetched_at = keys, self._clock()


def read_keys(text: str, algorithms: tuple[str, ...]) -> dict[KeyName, Any]:
    """The usable keys of a JWK Set by name. Raises ``ValueError`` if it has none.

    Keys of several kinds may have one name (RFC 7517 4.5), so a name is one together with the algorithm.
    """
    document = json.loads(text)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it is not a JWK Set")  # noqa: TRY004 - of what another server says
    keys = {}
    for each in listed[:MAX_KEYS]:
        try:
            jwk = jwt.PyJWK({name: each[name] for name in _PUBLIC if name in each})
            key = usable_key(jwk, algorithms)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError):
            continue  # of a kind that is not known here: others may be
        if key is not None:
            keys[KeyName(str(each.get("kid", "")), jwk.algorithm_name)] = key
    if not keys:
        raise ValueError(f"it has no key for {', '.join(algorithms)}")
    return keys


def key_of(config: JwtConfig, clock: Callable[[], float]) -> StaticKey | FetchedKeys | None:
    """The keys that are configured; ``None`` if there are none. Raises ``ConfigError``."""
    if config.secret:
        return StaticKey(config.secret)
    if config.key_file is not None:
        try:
            key = load_pem_public_key(config.key_file.read_bytes())
        except OSError as exc:
            raise ConfigError(f"{config.key_file} {unreadable(exc)}", key="jwt.key_file") from None
        except ValueError:
            problem = f"{config.key_file} holds no public key in PEM (-----BEGIN PUBLIC KEY-----)"
            raise ConfigError(problem, key="jwt.key_file") from None
        if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
            problem = f"{config.key_file} has an RSA key of {key.key_size} bits; it needs at least {MIN_RSA_BITS}"
            raise ConfigError(problem, key="jwt.key_file")
        return StaticKey(key)
    return FetchedKeys(config.jwks, config, clock) if config.jwks else None


async def fetch(address: str) -> str:
    """The text at an address, in bounded time and size. Raises ``ClientError``, ``TimeoutError`` or ``ValueError``."""
    async with (
        asyncio.timeout(FETCH_TIMEOUT),
        aiohttp.ClientSession(raise_for_status=True) as http,
        http.get(address, allow_redirects=False) as answer,
    ):
        return await read_whole(answer)


async def read_whole(answer: aiohttp.ClientResponse) -> str:
    """The text of an answer, however many pieces it comes in. Raises ``ClientError`` or ``ValueError``."""
    body = await answer.content.read(MAX_BYTES + 1)
    while not answer.content.at_eof() and len(body) <= MAX_BYTES:
        body += await answer.content.read(MAX_BYTES)
    if len(body) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 10} kB")
    return body.decode()
