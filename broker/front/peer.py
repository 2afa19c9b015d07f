"""By whom, and how, a request came before a reverse proxy passed it on: what proxies that are trusted say of it.

``X-Forwarded-For``, ``-Host``, ``-Proto``, ``Forwarded`` and the headers that name a user count only in requests of
proxies that the configuration names (``http.trusted_proxies``). Of a chain of proxies each adds the address that it was
asked from, so the first from the right that is no proxy of ours is the client's.

``Forwarded`` counts only where none of the others came: a proxy that writes those passes on what a client wrote there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence

from aiohttp import hdrs, web

from broker.front import forwarded
from common.address import base_path

# As IIS and Azure write it; RFC 7239 6 has a port by another name, too.
_WITH_PORT = re.compile(r"^(?:(\d+\.\d+\.\d+\.\d+)|(\[[^]]*\])):(?:\d{1,5}|_[A-Za-z0-9._-]{1,64})$")
MAX_HOPS = 16  # addresses that are looked at; nobody has more proxies of his own


class Proxies:
    """The networks of reverse proxies that are believed."""

    def __init__(self, networks: Collection[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def trust(self, address: str | None) -> bool:
        """Whether a proxy at this address is believed."""
        try:
            found = ipaddress.ip_address((address or "").partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._networks)

    def client(self, peer: str | None, forwarded_for: str) -> str | None:
        """The client's address of a request that came from ``peer``."""
        return self._client(peer, forwarded_for.split(","))

    def client_of(self, peer: str | None, chain: Sequence[forwarded.Element]) -> str | None:
        """The client's address, as ``Forwarded`` has it."""
        return self._client(peer, [element.get("for", "") for element in chain])

    def outermost(self, peer: str | None, chain: Sequence[forwarded.Element]) -> forwarded.Element:
        """The words of the proxy of ours that the client asked; none where ``peer`` is no proxy of ours."""
        if not self.trust(peer):
            return {}
        found: forwarded.Element = {}
        for found in reversed(chain[-MAX_HOPS:]):
            if not self.trust(_address(found.get("for", ""))):
                break
        return found

    def _client(self, peer: str | None, hops: Sequence[str]) -> str | None:
        if not self.trust(peer):
            return peer
        for hop in reversed(hops[-MAX_HOPS:]):
            address = _address(hop)
            if address is None:
                return peer  # no address: what stands left of it says nothing
            if not self.trust(address):
                return address
        return peer


def _address(hop: str) -> str | None:
    """The address of a proxy's word for whoever asked it; ``None`` if it has none."""
    try:
        found = ipaddress.ip_address(_WITH_PORT.sub(r"\1\2", hop.strip()).strip("[]"))
    except ValueError:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found)  # of a proxy that has one socket for both


INGRESS_PATH = "X-Ingress-Path"  # Home Assistant's word for X-Forwarded-Prefix, to its add-ons
_OLDER = (hdrs.X_FORWARDED_FOR, hdrs.X_FORWARDED_HOST, hdrs.X_FORWARDED_PROTO)
PROXIES = web.AppKey("proxies", Proxies)
BASE_PATH = web.AppKey("base_path", str)  # of ours, below which a proxy leaves the path of a request as it is


def trusted(request: web.Request) -> bool:
    """Whether the request came from a proxy that is believed."""
    return request.app[PROXIES].trust(request.remote)


def address_of(request: web.Request) -> str | None:
    """The address of whoever asks."""
    proxies = request.app[PROXIES]
    if chain := _chain(request):
        return proxies.client_of(request.remote, chain)
    return proxies.client(request.remote, ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())))


def host_said(request: web.Request) -> str:
    """The host that proxies say was asked, believed or not; empty if they do not say."""
    return _said(request, hdrs.X_FORWARDED_HOST, "host")


def scheme_said(request: web.Request) -> str:
    """The scheme that proxies say was asked by, believed or not; empty if they do not say."""
    return _said(request, hdrs.X_FORWARDED_PROTO, "proto")


def client_said(request: web.Request) -> bool:
    """Whether a proxy says who asked."""
    return hdrs.X_FORWARDED_FOR in request.headers or any("for" in element for element in _chain(request))


def host_of(request: web.Request) -> str | None:
    """The host that was asked, as the browser has it in its address."""
    if trusted(request) and (host := host_said(request).partition(",")[0].strip()):
        return host
    return request.headers.get(hdrs.HOST)


def is_secure(request: web.Request) -> bool:
    """Whether the browser asked by TLS."""
    said = scheme_said(request).partition(",")[0].strip().lower()
    # Traefik calls it wss where a WebSocket begins.
    return said in ("https", "wss") if trusted(request) and said else request.secure


def prefix_of(request: web.Request) -> str:
    """The path that a reverse proxy has us below: the one that is configured, else what any proxy says itself.

    Who invents one misleads itself alone: no page of another site can have a browser send the header, and what is made
    of it goes back to whoever sent it.
    """
    if configured := request.app[BASE_PATH]:
        return configured
    said = request.headers.get("X-Forwarded-Prefix") or request.headers.get(INGRESS_PATH)
    return base_path(said or "") or ""


def path_of(request: web.Request) -> str:
    """The path that was asked for, without ours, whether or not a proxy has taken that off. Percent-encoded.

    It begins with one slash, also where the address that somebody wrote down for us ended with one.
    """
    path = request.rel_url.raw_path
    base = request.app[BASE_PATH]
    return f"/{(path.removeprefix(base) if base and path.startswith(f'{base}/') else path).lstrip('/')}"


def _said(request: web.Request, header: str, name: str) -> str:
    if not (chain := _chain(request)):
        return request.headers.get(header, "")
    # Of proxies that are not believed the nearest is shown to whoever looks for the mistake.
    return (request.app[PROXIES].outermost(request.remote, chain) or chain[-1]).get(name, "")


def _chain(request: web.Request) -> tuple[forwarded.Element, ...]:
    """The elements of ``Forwarded``, where it counts."""
    lines = request.headers.getall(hdrs.FORWARDED, ())
    return forwarded.read(lines) if lines and not any(name in request.headers for name in _OLDER) else ()
