"""The defences against pages of other sites that a viewer's browser has open. No I/O.

* A request that changes something, and a WebSocket, must come from a page of ours or from no page at all: browsers send
  ``Origin``, and it must name the host that was asked. Where the browser came by TLS it must be https: what came by
  plain HTTP may have been changed on its way.
* DNS rebinding gives a foreign page our address under a name of its own, and then its ``Origin`` does name the host
  that was asked. Where we listen on the loopback alone, or are told which names are ours, every honest name for us is
  known, so others are refused. An address cannot be rebound and is always accepted.

WHEP is open to pages of all origins, as its specification wants.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from common.address import is_loopback
from common.errors import RequestError

_NO_HOST = frozenset("@/\\?#")  # RFC 9110 7.2: a Host has a host and a port, and no other part of a URL

_USUAL_PORTS = {"http": ":80", "https": ":443"}


@dataclass(slots=True)
class Guard:
    """``local``: we listen on the loopback alone. ``hosts``: more names we are published under, in lower case. ``tls``:
    our pages are https. Only ``hosts`` is ever set anew."""

    local: bool
    hosts: Collection[str] = ()
    tls: bool = False

    def check_host(self, host: str | None) -> None:
        """Refuse a ``Host`` header that no honest client would send us. Raises ``RequestError``."""
        name = _host_name(host or "localhost")
        known = _is_address(name) or _is_localhost(name) or name.rstrip(".") in self.hosts
        if (self.local or self.hosts) and not known:
            message = f"This server does not answer to the name {name!r}. If it should, add the name to http.hosts."
            raise RequestError(421, "unknown_host", message)

    def is_ours(self, origin: str | None, host: str | None, *, secure: bool = False) -> bool:
        """Whether a page of ours asks, or no page at all: not a browser, or what no other site could have caused.

        ``secure``: it came by TLS, if only as far as a proxy that is believed.
        """
        if origin is None:
            return True
        scheme, _, authority = origin.lower().partition("://")  # browsers write no path, no port that is the scheme's
        if (secure or self.tls) and scheme != "https":
            return False
        usual = _USUAL_PORTS.get(scheme, "")  # which nginx's $host:$server_port writes all the same
        same = authority == (host or "").lower().removesuffix(usual)
        return bool(authority) and (same or _host_name(authority).rstrip(".") in self.hosts)

    def is_near(self, origin: str | None, host: str | None) -> bool:
        """Whether a page of ours asks, no page at all, or one that a program on this machine serves."""
        scheme, _, authority = (origin or "").lower().partition("://")
        name = _host_name(authority) if scheme in ("http", "https") else ""
        return self.is_ours(origin, host) or is_loopback(name) or _is_localhost(name)

    def check_origin(self, origin: str | None, host: str | None, *, secure: bool = False) -> None:
        """Refuse what a page of another site asks for. Raises ``RequestError``."""
        if self.is_ours(origin, host, secure=secure):
            return
        message = (
            f"A page of {str(origin)[:200]} may not ask {host or 'this server'} for this. If a proxy stands between "
            "them, let it pass on the browser's Host header (nginx: proxy_set_header Host $http_host), or name the "
            "page's host in http.hosts."
        )
        raise RequestError(403, "cross_origin", message)


def _host_name(host: str) -> str:
    """The name in ``name:port`` or ``[v6]:port``, lower case; empty for what is neither."""
    if not _NO_HOST.isdisjoint(host):  # two programs would read two names in it
        return ""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_localhost(name: str) -> bool:
    """RFC 6761 6.3: every name below ``localhost`` is the loopback."""
    return name.rstrip(".").rpartition(".")[2] == "localhost"
