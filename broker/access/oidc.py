"""Single sign-on: somebody signs in at a provider and comes back with a code (OpenID Connect Core 1.0, section 3.1).

The code is worth something only together with what we kept when we sent the browser away: the verifier that its
challenge was made from (PKCE, RFC 7636) and a nonce that the provider's token has to repeat. The state ties both to the
browser, by a cookie, so that nobody can be signed in as somebody else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from broker.access.groups import MAX_GROUPS
from broker.access.keys import FETCH_TIMEOUT, MAX_BYTES, FetchedKeys, fetch
from broker.access.signed import key_name, plain_name, texts, verified
from common.config import JwtConfig, OidcConfig
from common.errors import RequestError
from common.log import get_logger

ATTEMPT_SECONDS = 600.0  # for somebody to sign in at the provider
MAX_ATTEMPTS = 1_000  # under way; anybody can begin one, and of more the oldest is forgotten
DISCOVERY_FRESH = 3_600.0  # seconds for which the provider's addresses are kept
SCOPES = "openid", "profile", "email"
WELL_KNOWN = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0, section 4
_CODE = 2_048  # characters of a code; no provider makes longer ones

log = get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A browser that was sent to the provider. ``until`` is monotonic."""

    redirect: str  # address at which it comes back
    way_back: str  # page that it wanted
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    until: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as the provider knows it."""

    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's addresses, as it says itself."""

    authorize: str
    token: str
    keys: str
    basic: bool  # whether the secret goes into the Authorization header


class SignOn:
    """One provider. ``clock`` gives monotonic seconds. Methods raise ``RequestError`` with a sentence for a person."""

    def __init__(self, config: OidcConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()
        self._provider: Provider | None = None
        self._provider_at = float("-inf")
        self._discovering = asyncio.Lock()
        self._keys: FetchedKeys | None = None
        self._token_config = JwtConfig(jwks=f"{config.issuer}/", issuer=config.issuer, audience=config.client_id)

    async def begin(self, redirect: str, way_back: str) -> tuple[str, str]:
        """The address to send a browser to, and the state that its cookie has to have when it comes back."""
        provider = await self._discover()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        self._attempts[state] = Attempt(redirect, way_back, nonce, verifier, self._clock() + ATTEMPT_SECONDS)
        while len(self._attempts) > MAX_ATTEMPTS:
            self._attempts.popitem(last=False)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(self._config.scopes or SCOPES),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{provider.authorize}{'&' if '?' in provider.authorize else '?'}{urlencode(query)}", state

    async def finish(self, state: str, cookie: str, code: str) -> tuple[Identity, str]:
        """The person that came back with this code, and the page that it wanted."""
        attempt = self._attempts.pop(state, None)
        ours = hmac.compare_digest(state.encode(errors="replace"), cookie.encode(errors="replace"))
        if attempt is None or not ours or self._clock() >= attempt.until or not 0 < len(code) <= _CODE:
            raise RequestError(
                403, "sign_on_lost", "This sign-in took too long, or began in another browser; try again."
            )
        provider = await self._discover()
        claims = await self._claims(provider, await self._redeem(provider, attempt, code))
        if not hmac.compare_digest(str(claims.get("nonce")).encode(errors="replace"), attempt.nonce.encode()):
            raise _untrusted("its token is not for this sign-in")
        if claims.get("azp", self._config.client_id) != self._config.client_id:
            raise _untrusted("its token is for another service")
        name = plain_name(claims.get(self._config.name_claim)) or plain_name(claims.get("sub"))
        groups = tuple(texts(claims.get(self._config.groups_claim), MAX_GROUPS))
        return Identity(name, groups), attempt.way_back

    async def _discover(self) -> Provider:
        async with self._discovering:
            if self._provider is not None and self._clock() - self._provider_at < DISCOVERY_FRESH:
                return self._provider
            try:
                self._provider = _provider(
                    await fetch(self._config.issuer.rstrip("/") + WELL_KNOWN), self._config.issuer
                )
            except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
                log.warning("provider of sign-in does not answer", issuer=self._config.issuer, reason=str(exc)[:200])
                raise RequestError(
                    503, "provider_unavailable", "The provider of sign-in does not answer; try again in a moment."
                ) from None
            self._provider_at = self._clock()
            self._keys = FetchedKeys(self._provider.keys, self._token_config, self._clock)
            return self._provider

    async def _redeem(self, provider: Provider, attempt: Attempt, code: str) -> str:
        """The provider's token for a code (RFC 6749 4.1.3)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect,
            "code_verifier": attempt.verifier,
        }
        id, secret = self._config.client_id, self._config.client_secret
        headers = {}
        if provider.basic and secret:  # RFC 6749 2.3.1
            pair = f"{quote(id, safe='')}:{quote(secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": id} | ({"client_secret": secret} if secret else {})
        try:
            async with (
                asyncio.timeout(FETCH_TIMEOUT),
                aiohttp.ClientSession() as http,
                http.post(provider.token, data=form, headers=headers, allow_redirects=False) as answer,
            ):
                document = json.loads(await answer.content.read(MAX_BYTES))
            return str(document["id_token"])
        except (aiohttp.ClientError, TimeoutError) as exc:
            log.warning("provider of sign-in does not answer", issuer=self._config.issuer, reason=str(exc)[:200])
            raise _untrusted("it does not answer") from None
        except (ValueError, KeyError, TypeError):
            raise _untrusted("it gives no token for the code") from None

    async def _claims(self, provider: Provider, token: str) -> Mapping[str, Any]:
        assert self._keys is not None, "the provider is known"
        try:
            return verified(token, await self._keys.find(key_name(token)), self._token_config)
        except RequestError as exc:
            raise _untrusted(f"its token is not good ({exc.message})") from None


def _provider(text: str, issuer: str) -> Provider:
    """The addresses in a provider's description. Raises ``ValueError`` for one that is not this provider's."""
    document = json.loads(text)
    if not isinstance(document, dict) or str(document.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise ValueError("its description is that of another issuer")
    secure = issuer.startswith("https://")
    found = [str(document.get(name)) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(address.startswith("https://" if secure else ("https://", "http://")) for address in found):
        raise ValueError("its description lacks an address, or has one without TLS")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    authorize, token, keys = found
    return Provider(authorize, token, keys, basic="client_secret_basic" in methods)


def _untrusted(why: str) -> RequestError:
    log.warning("single sign-on failed", reason=why)
    return RequestError(502, "sign_on_failed", f"The provider of sign-in could not be relied upon: {why}.")
