"""Whether the front door may be opened as it is configured. No I/O."""

from __future__ import annotations

from common.config import Config
from common.errors import ConfigError


def check_door(config: Config, *, local: bool) -> None:
    """See that somebody could sign in where everybody has to. ``local``: we listen on the loopback alone.

    Raises ``ConfigError``.
    """
    auth = config.auth
    if auth.user_header and not config.http.trusted_proxies:
        problem = "needs http.trusted_proxies, or everybody could send this header"
        raise ConfigError(problem, key="auth.user_header")
    if config.oidc.issuer and not auth.people:
        raise ConfigError("needs auth.people, whose file keeps who is signed in", key="oidc.issuer")
    required = auth.mode == "required" or (auth.mode == "auto" and not local)
    if required and not (auth.people or auth.tokens or auth.user_header or config.jwt.used):
        problem = (
            "whoever reaches this address could watch and change everything, so it is not opened without "
            "authentication: make a token with `camshaft token new` and put it below auth.tokens in the file, allow "
            "auth.people, listen on 127.0.0.1, or write `auth: none` if that is what you want"
        )
        raise ConfigError(problem, key="http.listen" if auth.mode == "auto" else "auth.mode")
