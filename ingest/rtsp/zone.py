"""Addresses that mean something only from where one is: services there trust every peer; no I/O.

A camera that redirects to one of them would have us speak to them in its place. It may do so only if it is there too.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where clouds answer their own machines and no one else, outside of the link-local addresses: Alibaba, AWS by IPv6.
_METADATA = {ipaddress.ip_address("100.100.100.200"), ipaddress.ip_address("fd00:ec2::254")}


class Zone(StrEnum):
    """How far an address reaches."""

    LOOPBACK = "loopback"
    LINK = "link"  # link-local, and the clouds' own services
    ANYWHERE = "anywhere"


def numeric(address: str) -> _Address:
    """A numeric address, without its interface; an IPv4 address also where it is written as IPv6 (RFC 4291 2.5.5.2).

    Raises ``ValueError`` for a name.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return parsed.ipv4_mapped or ipaddress.IPv6Address(int(parsed))
    return parsed


def zone_of(address: str) -> Zone:
    """The zone of a numeric address, IPv6 with or without its interface. Raises ``ValueError`` for a name."""
    parsed = numeric(address)
    if parsed.is_loopback or parsed.is_unspecified:  # 0.0.0.0 is this machine too
        return Zone.LOOPBACK
    if parsed.is_link_local or parsed in _METADATA:
        return Zone.LINK
    return Zone.ANYWHERE


def may_lead(origin: str, address: str) -> bool:
    """Whether who is at ``origin`` may send us to ``address``."""
    zone = zone_of(address)
    return zone is Zone.ANYWHERE or zone is zone_of(origin)
