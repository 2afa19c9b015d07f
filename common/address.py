"""Addresses as operators write them: where HTTP listens, and the STUN and TURN servers of viewers."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote

_BASE_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]{1,64}){1,16}")
STUN_PORT = 3_478  # RFC 8489 18.4
_STUN_SERVER = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::(\d{1,5}))?")
_ICE_SERVER = re.compile(
    r"(?P<scheme>stuns?|turns?):(?:(?P<user>[^\s:@]+):(?P<password>[^\s@]+)@)?"
    r"(?P<server>(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?(?:\?transport=(?:udp|tcp))?)"
)


def base_path(value: str) -> str | None:
    """A path that a server may be below, without a slash at its end: ``/cams`` of ``/cams/``; ``None`` if it is none.

    The root is empty. Only letters that no browser and no proxy writes in another way may stand in it.
    """
    path = value.rstrip("/")
    return path if not path or _BASE_PATH.fullmatch(path) else None


def split_listen(value: str) -> tuple[str, int]:
    """``HOST:PORT``, ``[v6]:PORT`` or ``:PORT`` (all interfaces) as host and port. Raises ``ValueError``."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^:\[\]]*)):(\d{1,5})", value)
    if not match or int(match[3]) > 65_535:
        raise ValueError("must be HOST:PORT, [IPV6]:PORT, or :PORT for all interfaces")
    return match[1] or match[2], int(match[3])


def split_ice_server(value: str) -> tuple[str, str, str]:
    """``turn:USER:PASSWORD@HOST:PORT`` as the URI without them (RFC 7064, 7065), user and password, if it has them.

    Raises ``ValueError``. Characters with a meaning are written as %XX in user and password.
    """
    match = _ICE_SERVER.fullmatch(value)
    user, password = (unquote(part or "") for part in match.group("user", "password")) if match else ("", "")
    if not match or (user and not value.startswith("turn")) or not (user + password).isascii():
        raise ValueError(
            "must be stun:HOST:PORT, turn:HOST:PORT or turn:USER:PASSWORD@HOST:PORT, which ?transport=tcp may follow"
        )
    return f"{match['scheme']}:{match['server']}", user, password


def split_stun_server(value: str) -> tuple[str, int] | None:
    """``stun:HOST[:PORT]`` (RFC 7064) as host and port; ``None`` for what is no such URI at all.

    Raises ``ValueError``.
    """
    if not value.lower().startswith("stun:"):
        return None
    match = _STUN_SERVER.fullmatch(value[5:])
    if not match or int(match[3] or STUN_PORT) > 65_535:
        raise ValueError("must be stun:HOST or stun:HOST:PORT, such as stun:stun.example.org")
    return match[1] or match[2], int(match[3] or STUN_PORT)


def reachable_host(host: str) -> str:
    """Where this machine itself reaches what listens on ``host``."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - replaced, not bound


def page_address(host: str, port: int, scheme: str = "http") -> str:
    """The address that a person on this machine types into a browser."""
    host = reachable_host(host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/"


def network_of(address: str) -> str | None:
    """The addresses that one person commands, for limits by address: an IPv4 address, or the /64 of an IPv6 address.

    ``None`` for the loopback, and for what is no IP address: that may be a reverse proxy, which speaks for many.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return None if found.is_loopback else str(ipaddress.ip_network((found, 64), strict=False))
        found = found.ipv4_mapped
    return None if found.is_loopback else str(found)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on ``host``, an address or a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
