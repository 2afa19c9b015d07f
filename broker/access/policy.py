"""Whether the front door may be opened as it is configured. No I/O."""

from __future__ import annotations

from common.address import is_loopback
from common.config import Config, HttpConfig
from common.errors import ConfigError


def is_local(http: HttpConfig, *, loopback: bool) -> bool:
    """Whether the front door is for this machine alone: it listens on the loopback, and no proxy leads others there."""
    named = any(not is_loopback(host) for host in http.hosts)
    return loopback and not (named or http.trusted_proxies or http.base_path)


def is_shut(config: Config, *, local: bool, users: bool) -> bool:
    """Whether everybody has to show who it is from the start on. ``users``: there are some."""
    auth = config.auth
    known = users or auth.tokens or auth.user_header or config.jwt.used or config.oidc.issuer
    return auth.mode == "required" or (auth.mode == "auto" and bool(not local or known))


def check_door(config: Config, *, local: bool) -> None:
    """See that somebody could sign in where everybody has to. ``local``: it is for this machine alone.

    Raises ``ConfigError``.
    """
    auth = config.auth
    if auth.user_header and not config.http.trusted_proxies:
        problem = "needs http.trusted_proxies; otherwise anybody could send this header"
        raise ConfigError(problem, key="auth.user_header")
    if config.oidc.issuer and not auth.people:
        raise ConfigError("needs auth.people, whose file records who is signed in", key="oidc.issuer")
    required = auth.mode == "required" or (auth.mode == "auto" and not local)
    if required and not (auth.people or auth.tokens or auth.user_header or config.jwt.used):
        problem = (
            "whoever reaches this address, or a proxy that http.hosts, http.trusted_proxies or http.base_path name, "
            "could watch and change everything, so it is not opened without authentication: make a token with "
            "`camshaft token new` and put it below auth.tokens in the file, allow auth.people, listen on 127.0.0.1 "
            "without a proxy, or write `auth: none` if that is what you want"
        )
        raise ConfigError(problem, key="http.listen" if auth.mode == "auto" else "auth.mode")
