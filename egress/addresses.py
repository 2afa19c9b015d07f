"""The addresses that viewers are told to reach us by: the operator's, or those of this machine's interfaces."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import ifaddr

from common.errors import ConfigError

MAX_CANDIDATES = 16  # a browser checks every one of them: a machine full of container bridges must not drown it


async def advertised(names: Sequence[str], listen: str) -> list[str]:
    """IP addresses for host candidates, most preferred first.

    ``names`` (addresses or host names) replace everything else; a ``listen`` address is the only one if it is set.
    Raises ``ConfigError`` for a name that does not resolve.
    """
    if names:
        found: list[str] = []
        for name in names:
            found += await _resolve(name)
    else:
        found = [listen] if listen else _interfaces()
    return list(dict.fromkeys(found))[:MAX_CANDIDATES]


def _interfaces() -> list[str]:
    """Every address of this machine that another may use, then loopback for a browser on this one."""
    reachable, loopback = [], []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if address.is_loopback:
                loopback.append(address)
            elif not address.is_link_local:  # a link-local address needs a zone, which a candidate cannot carry
                reachable.append(address)
    return [str(address) for group in (reachable, loopback) for address in sorted(group, key=lambda a: a.version)]


async def _resolve(name: str) -> list[str]:
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except OSError as exc:
        raise ConfigError("", "media.advertise", f"{name!r} does not resolve: {exc.strerror or exc}") from None
    return [str(info[4][0]) for info in infos]
