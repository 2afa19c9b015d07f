"""Where a cluster that somebody tries out can be, if another one has the usual addresses.

Only what the operator did not set is moved, and only for ``demo`` and ``--demo-if-none``: a firewall, a bookmark or a
worker elsewhere would be pointed at the wrong cluster. The store is never moved, because cameras are in it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

from camshaft.ready import check_bus, free_listen
from common.address import split_listen
from common.config import Config
from common.endpoints import Endpoints
from common.errors import AddressInUseError

TRIES = 20  # addresses after the usual one: as many clusters of one person on one machine


def beside(config: Config, *, egresses: int) -> tuple[Config, list[str]]:
    """``config`` with free addresses in place of usual ones that are taken, and for each a few words that say so.

    ``egresses`` processes need a media port each. Raises ``ConfigError`` for an address that cannot be at all; one that
    is taken and was set stays, for somebody else to say so.
    """
    moved: list[str] = []
    if "listen" not in config.http.model_fields_set and (listen := _listen(config.http.listen)):
        config = config.model_copy(update={"http": config.http.model_copy(update={"listen": listen})})
        moved.append(f"the page's address is {listen}")
    if "port" not in config.media.model_fields_set and (port := _media(config, egresses)) is not None:
        config = config.model_copy(update={"media": config.media.model_copy(update={"port": port})})
        moved.append(f"media leaves by UDP port {port}" if port else "media leaves by any free UDP port")
    if "address" not in config.broker.model_fields_set and (address := _bus(config.broker.address)):
        config = config.model_copy(update={"broker": config.broker.model_copy(update={"address": address})})
        moved.append(f"the bus is {address}")
    return config, moved


def _listen(usual: str) -> str | None:
    """Another address to listen on; ``None`` if the usual one is free."""
    host, port = split_listen(usual)
    for candidate in (usual, *(f"{host}:{port + number}" for number in range(1, TRIES + 1)), f"{host}:0"):
        try:
            free = free_listen(candidate)
        except AddressInUseError:
            continue
        return None if free == usual else free
    return None


def _bus(usual: str) -> str | None:
    for candidate in (usual, *(f"{usual}-{number}" for number in range(2, TRIES + 2))):
        try:
            check_bus(Endpoints.parse(candidate))
        except AddressInUseError:
            continue
        return None if candidate == usual else candidate
    return None


def _media(config: Config, count: int) -> int | None:
    usual = config.media.port
    steps = range(usual, usual + (TRIES + 1) * max(count, 1), max(count, 1))
    kinds = [socket.SOCK_DGRAM, *([socket.SOCK_STREAM] if config.media.tcp == "on" else [])]
    first = next((port for port in steps if _are_free(range(port, port + count), config.media.listen, kinds)), 0)
    return None if first == usual else first


def _are_free(ports: Iterable[int], host: str, kinds: Iterable[socket.SocketKind]) -> bool:
    """Whether ``ports`` can be bound for UDP, TCP or both, on every family that there is."""
    families = socket.AF_INET, socket.AF_INET6
    return all(_is_free(family, kind, host, port) for port in ports for kind in kinds for family in families)


def _is_free(family: socket.AddressFamily, kind: socket.SocketKind, host: str, port: int) -> bool:
    try:
        infos = socket.getaddrinfo(host or None, port, family, kind, flags=socket.AI_PASSIVE)
        probe = socket.socket(family, kind)
    except OSError:  # no such family here, or not of that host
        return True
    with probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the port itself: old connections linger
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind(infos[0][4])
        except OSError as exc:
            return exc.errno != errno.EADDRINUSE
    return True
