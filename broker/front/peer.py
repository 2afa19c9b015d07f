"""By whom, and how, a request came before a reverse proxy passed it on: what proxies that are trusted say of it.

``X-Forwarded-For``, ``-Host``, ``-Proto`` and the headers that name a user count only in requests of proxies that the
configuration names (``http.trusted_proxies``). Of a chain of proxies each adds the address that it was asked from, so
the first from the right that is no proxy of ours is the client's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

from aiohttp import hdrs, web

from common.address import base_path

_WITH_PORT = re.compile(r"^(?:(\d+\.\d+\.\d+\.\d+)|(\[[^]]*\])):\d{1,5}$")  # as IIS and Azure write it
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
        if not self.trust(peer):
            return peer
        for hop in reversed(forwarded_for.split(",")[-MAX_HOPS:]):
            address = _WITH_PORT.sub(r"\1\2", hop.strip()).strip("[]")
            try:
                found = ipaddress.ip_address(address)
            except ValueError:
                return peer  # no address: what stands left of it says nothing
            address = str(getattr(found, "ipv4_mapped", None) or found)  # of a proxy that has one socket for both
            if not self.trust(address):
                return address
        return peer


INGRESS_PATH = "X-Ingress-Path"  # Home Assistant's word for X-Forwarded-Prefix, to its add-ons
PROXIES = web.AppKey("proxies", Proxies)
BASE_PATH = web.AppKey("base_path", str)  # of ours, below which a proxy leaves the path of a request as it is


def trusted(request: web.Request) -> bool:
    """Whether the request came from a proxy that is believed."""
    return request.app[PROXIES].trust(request.remote)


def address_of(request: web.Request) -> str | None:
    """The address of whoever asks."""
    forwarded = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ()))
    return request.app[PROXIES].client(request.remote, forwarded)


def host_of(request: web.Request) -> str | None:
    """The host that was asked, as the browser has it in its address."""
    if trusted(request) and (host := request.headers.get(hdrs.X_FORWARDED_HOST, "").partition(",")[0].strip()):
        return host
    return request.headers.get(hdrs.HOST)


def is_secure(request: web.Request) -> bool:
    """Whether the browser asked by TLS."""
    forwarded = request.headers.get(hdrs.X_FORWARDED_PROTO, "").partition(",")[0].strip().lower()
    # Traefik calls it wss where a WebSocket begins.
    return forwarded in ("https", "wss") if trusted(request) and forwarded else request.secure


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
