"""Static tokens: texts that programs send with each request. The configuration has their digests alone. No I/O.

A token is 256 random bits, so its SHA-256 gives nothing away, and looking one up by it tells nobody how near a guess
was.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping

from broker.access.principal import Kind, Principal
from common.config_access import TokenConfig

PREFIX = "camshaft_"  # people and secret scanners see what it is
SECRET_BYTES = 32
_PROOF = 12  # hexadecimal digits of a token's digest by which it is told apart from others of its name
MAX_TOKEN = 256  # characters: what is longer is none of ours, and not worth a digest


def new_token() -> str:
    """A token, unlike all others."""
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(token: str) -> str:
    """The part of a token that the configuration keeps: SHA-256 in hexadecimal digits."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


class StaticTokens:
    """The tokens of the configuration, by name."""

    def __init__(self, tokens: Mapping[str, TokenConfig]) -> None:
        self._by_name = {name: _principal(name, token) for name, token in tokens.items()}
        self._by_digest = {token.sha256.lower(): name for name, token in tokens.items()}

    def __len__(self) -> int:
        return len(self._by_name)

    @property
    def has_admin(self) -> bool:
        """Whether one of them gives the right to everything."""
        return any(principal.is_admin for principal in self._by_name.values())

    def find(self, token: str) -> Principal | None:
        """The principal that has this token, also when it has run out."""
        name = self._by_digest.get(digest_of(token)) if len(token) <= MAX_TOKEN else None
        return None if name is None else self._by_name[name]

    def named(self, name: str, proof: str) -> Principal | None:
        """The rights of the token with this name as of now; ``None`` if there is none any more, or it is another one.

        ``proof`` is empty where a release before this one has noted whose right it is.
        """
        principal = self._by_name.get(name)
        return principal if principal is not None and proof in ("", principal.proof) else None


def _principal(name: str, token: TokenConfig) -> Principal:
    expires = None if token.expires is None else token.expires.timestamp()
    return Principal(Kind.TOKEN, name, token.role, token.cameras, expires, token.sha256.lower()[:_PROOF])
