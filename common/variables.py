"""``CAMSHAFT_…`` variables: which of them nobody reads; no I/O.

A misspelt variable would otherwise be a setting that silently is not made. Kubernetes defines variables of its own for
every service, and those of one whose name begins with ``camshaft`` begin like ours: they are known by their shape.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

from common.errors import ConfigError
from common.settings import ENV_PREFIX

_LINK = re.compile(
    r"CAMSHAFT(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_LINK_ADDRESS = re.compile(r"(tcp|udp|sctp)://[^/\s]+:\d+")
_SIMILAR = 0.6  # of 1, by difflib's measure: one word that is wrong, or two letters


def is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes made this variable for a service, such as ``CAMSHAFT_MEDIA_PORT=tcp://10.0.0.1:80``."""
    if _LINK.fullmatch(name):
        return True
    return name.startswith("CAMSHAFT") and name.endswith("_PORT") and bool(_LINK_ADDRESS.fullmatch(value))


def check(environ: Mapping[str, str], known: Collection[str]) -> None:
    """Raise ``ConfigError`` for a variable of ours that is none of ``known``; an empty one counts as not set."""
    for name in sorted(environ):
        value = environ[name]
        if not name.startswith(ENV_PREFIX) or not value or name in known or is_service_link(name, value):
            continue
        words = {each.removeprefix(ENV_PREFIX): each for each in known}
        similar = get_close_matches(name.removeprefix(ENV_PREFIX), words, n=1, cutoff=_SIMILAR)
        hint = f"did you mean {words[similar[0]]}?" if similar else "camshaft serve --help lists them"
        raise ConfigError(f"there is no such variable; {hint}", where=name)
