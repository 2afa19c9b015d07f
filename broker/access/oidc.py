"""Single sign-on: somebody signs in at a provider and comes back with a code (OpenID Connect Core 1.0, section 3.1).

The code is worth something only together with what we made when we sent the browser away: the verifier that its
challenge was made from (PKCE, RFC 7636) and a nonce that the provider's token has to repeat. The state ties both to the
browser, so that nobody can be signed in as somebody else. The browser itself keeps all of it, sealed, in a cookie:
anybody can begin as often as he likes, and ends nothing that others have begun.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from cryptography.fernet import Fernet, InvalidToken

from broker.access.groups import MAX_GROUPS
from broker.access.keys import FETCH_TIMEOUT, FetchedKeys, fetch, read_whole
from broker.access.signed import key_name, plain_name, texts, verified
from common.config_access import JwtConfig, OidcConfig
from common.errors import RequestError
from common.log import Quiet, get_logger

ATTEMPT_SECONDS = 600.0  # for somebody to sign in at the provider
MAX_USED = 10_000  # states that are not taken again; the provider takes no code twice either
MAX_REDEEMED = 16  # codes at once: each is a connection of ours to the provider
DISCOVERY_RETRY = 2.0  # seconds for which a provider that does not answer is not asked again
DISCOVERY_FRESH = 3_600.0  # seconds for which the provider's addresses are kept
SCOPES = "openid", "profile", "email"
WELL_KNOWN = "/.well-known/openid-configuration"  # OpenID Connect Discovery 1.0, section 4
_CODE = 2_048  # characters of a code; no provider makes longer ones

log = get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A browser that was sent to the provider."""

    state: str = field(repr=False)
    redirect: str  # address at which it comes back
    way_back: str  # page that it wanted
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as the provider knows it."""

    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provider:
    """The provider's addresses, as it says itself."""

    issuer: str  # as its tokens have it: with a slash at the end, or without
    authorize: str
    token: str
    keys: str
    basic: bool  # whether the secret goes into the Authorization header
    names_itself: bool  # whether all of its answers say from whom they are (RFC 9207)


class SignOn:
    """One provider. ``clock`` gives monotonic seconds. Methods raise ``RequestError`` with a sentence for a person."""

    def __init__(self, config: OidcConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._quiet = Quiet(log, clock)
        self._seal = Fernet(Fernet.generate_key())
        self._used: dict[str, None] = {}  # states; the oldest first
        self._provider: Provider | None = None
        self._provider_at = self._failed_at = float("-inf")
        self._discovering = asyncio.Lock()
        self._redeeming = asyncio.Semaphore(MAX_REDEEMED)
        self._keys: FetchedKeys | None = None
        self._token_config = JwtConfig(jwks=f"{config.issuer}/", issuer=config.issuer, audience=config.client_id)

    async def begin(self, redirect: str, way_back: str) -> tuple[str, str]:
        """The address to send a browser to, and the cookie that it has to have when it comes back."""
        provider = await self._discover()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state, redirect, way_back, nonce, verifier)
        cookie = self._seal.encrypt_at_time(json.dumps(asdict(attempt)).encode(), int(self._clock())).decode()
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
        return f"{provider.authorize}{'&' if '?' in provider.authorize else '?'}{urlencode(query)}", cookie

    async def finish(self, state: str, cookie: str, code: str, issuer: str = "") -> tuple[Identity, str]:
        """The person that came back with this code, and the page that it wanted.

        ``issuer`` is who answers, as the answer itself says; empty if it does not. Raises ``RequestError``.
        """
        attempt = self._opened(cookie)
        ours = attempt is not None and hmac.compare_digest(state.encode(errors="replace"), attempt.state.encode())
        if attempt is None or not ours or attempt.state in self._used or not 0 < len(code) <= _CODE:
            raise RequestError(
                403, "sign_on_lost", "This sign-in took too long, or started in another browser; try again."
            )
        self._used[attempt.state] = None
        if len(self._used) > MAX_USED:
            del self._used[next(iter(self._used))]
        provider = await self._discover()
        if issuer != provider.issuer and (issuer or provider.names_itself):  # RFC 9207 2.4: a code of another one's
            raise self._untrusted("the answer is not from it")
        claims = await self._claims(provider, await self._redeem(provider, attempt, code))
        if not hmac.compare_digest(str(claims.get("nonce")).encode(errors="replace"), attempt.nonce.encode()):
            raise self._untrusted("its token is not for this sign-in")
        if claims.get("azp", self._config.client_id) != self._config.client_id:
            raise self._untrusted("its token is for another service")
        name = plain_name(claims.get(self._config.name_claim)) or plain_name(claims.get("sub"))
        groups = tuple(texts(claims.get(self._config.groups_claim), MAX_GROUPS))
        return Identity(name, groups), attempt.way_back

    def _opened(self, cookie: str) -> Attempt | None:
        """The attempt in a cookie of ours; ``None`` if it is none, or too old."""
        try:
            text = self._seal.decrypt_at_time(cookie.encode(errors="replace"), int(ATTEMPT_SECONDS), int(self._clock()))
        except InvalidToken:
            return None
        return Attempt(**json.loads(text))

    async def _discover(self) -> Provider:
        async with self._discovering:
            if self._provider is not None and self._clock() - self._provider_at < DISCOVERY_FRESH:
                return self._provider
            unavailable = RequestError(
                503, "provider_unavailable", "The sign-in provider does not answer; try again in a moment."
            )
            if self._clock() - self._failed_at < DISCOVERY_RETRY:
                raise unavailable
            try:
                self._provider = _provider(
                    await fetch(self._config.issuer.rstrip("/") + WELL_KNOWN), self._config.issuer
                )
            except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError) as exc:
                self._failed_at = self._clock()
                self._not_answering(exc)
                raise unavailable from None
            self._provider_at = self._clock()
            self._token_config = self._token_config.model_copy(update={"issuer": self._provider.issuer})
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
                self._redeeming,
                asyncio.timeout(FETCH_TIMEOUT),
                aiohttp.ClientSession() as http,
                http.post(provider.token, data=form, headers=headers, allow_redirects=False) as answer,
            ):
                document = json.loads(await read_whole(answer))
            return str(document["id_token"])
        except (aiohttp.ClientError, TimeoutError) as exc:
            self._not_answering(exc)
            raise self._untrusted("it does not answer") from None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise self._untrusted("it returned no token for the code") from None

    async def _claims(self, provider: Provider, token: str) -> Mapping[str, Any]:
        assert self._keys is not None, "the provider is known"
        try:
            return verified(token, await self._keys.find(key_name(token)), self._token_config)
        except RequestError as exc:
            raise self._untrusted(f"its token is not valid ({exc.message})") from None

    def _not_answering(self, error: Exception) -> None:
        self._quiet.warning("sign-in provider does not answer", issuer=self._config.issuer, reason=str(error)[:200])

    def _untrusted(self, why: str) -> RequestError:
        self._quiet.warning("single sign-on failed", reason=why)
        return RequestError(502, "sign_on_failed", f"The answer of the sign-in provider was not accepted: {why}.")


def _provider(text: str, issuer: str) -> Provider:
    """The addresses in a provider's description. Raises ``ValueError`` for one that is not this provider's."""
    document = json.loads(text)
    if not isinstance(document, dict) or str(document.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
        raise ValueError("its description names another issuer")
    secure = issuer.startswith("https://")
    found = [str(document.get(name)) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    if not all(address.startswith("https://" if secure else ("https://", "http://")) for address in found):
        raise ValueError("its description lacks an address, or has one without TLS")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    authorize, token, keys = found
    names_itself = document.get("authorization_response_iss_parameter_supported") is True
    basic = "client_secret_basic" in methods
    return Provider(document["issuer"], authorize, token, keys, basic=basic, names_itself=names_itself)
