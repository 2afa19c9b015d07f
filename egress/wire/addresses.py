"""The addresses that viewers are told to reach us by: the operator's, or those of this machine's interfaces.

They are those of now, not those of our start: a machine may get its network later than us, or another address by DHCP,
and a name may come to mean another one. So interfaces are looked at again when the kernel says that something changed
(``egress.wire.netlink``; each few seconds where it does not), and names are resolved again then and each minute. A name
that does not resolve keeps the addresses it had.

``stun:HOST`` among the names stands for the address that this STUN server sees us at: behind a router that forwards our
ports it is the router's. It comes after the others, and after our interfaces' where there are no others, which viewers
on this side of the router use. Bridges to containers and virtual machines are no way to us from anywhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType

import ifaddr

from common.address import split_stun_server
from common.errors import ProtocolError
from common.log import get_logger
from egress.wire.mapped import mapped_address, mapping_request
from egress.wire.netlink import Netlink

MAX_CANDIDATES = 16  # a browser checks every one of them: a machine full of container bridges must not drown it
LOOK_INTERVAL = 60.0  # seconds between looks that nothing asked for, for names above all
POLL_INTERVAL = 5.0  # seconds between looks where the kernel does not tell, or while a name does not resolve
SETTLE_TIME = 0.2  # seconds: changes come in bursts, and within a start of answering nobody notices
RESOLVE_TIMEOUT = 3.0  # seconds for a name: a resolver without a network takes half a minute, and we start without it

STUN_RETRY = 0.5  # seconds between requests to a STUN server: one that was lost costs no more (RFC 8489 6.2.1)
MAX_ANSWER = 1_500  # bytes of its answer that are read …
MAX_ANSWERS = 4  # … and datagrams for each request: what is no answer may come without end
_BRIDGES = re.compile(
    r"docker\d+|docker_gwbridge|br-[0-9a-f]{12}|podman\d+|cni-?\w+|lxcbr\d+|lxdbr\d+|virbr\d+|veth\w+"
)

log = get_logger()


class Advertised:
    """The addresses of now. ``names`` (addresses or host names) replace everything else; a ``listen`` address is the
    only one if it is set. ``known`` are addresses that names had, for as long as they do not resolve."""

    def __init__(
        self, names: Sequence[str] = (), listen: str = "", known: Mapping[str, Sequence[str]] = MappingProxyType({})
    ) -> None:
        self.now: tuple[str, ...] = ()  # IP addresses for host candidates, most preferred first
        self._servers = [name for name in names if split_stun_server(name)]
        self._names = [name for name in names if name not in self._servers]
        self._listen = listen
        self._resolved = {name: list(known[name]) for name in names if name in known}
        self._unresolved: dict[str, str] = {}  # name and why, as the log has been told

    @property
    def fixed(self) -> bool:
        """Whether nothing can change them."""
        return bool(self._listen) and not self._names and not self._servers

    @property
    def resolved(self) -> Mapping[str, Sequence[str]]:
        """The addresses of each name, as they were when it resolved last."""
        return self._resolved

    @property
    def complete(self) -> bool:
        """Whether every name is resolved."""
        return not self._unresolved

    async def refresh(self) -> None:
        """Look again."""
        found = [address for name in self._names for address in await self._resolve(name, _resolved)]
        if not found:  # also where no name resolves, and none ever did: these are better than none
            found = [self._listen] if self._listen else self._of_interfaces()
        found += [address for name in self._servers for address in await self._resolve(name, _seen_by)]
        before, self.now = self.now, tuple(dict.fromkeys(found))[:MAX_CANDIDATES]
        if before and self.now != before:
            log.info("addresses for viewers have changed", addresses=self.now, before=before)

    def _of_interfaces(self) -> list[str]:
        try:
            return _interfaces()
        except OSError as exc:  # no descriptor or no memory is left; a loopback address is always right
            log.warning("this machine's addresses cannot be read, trying again", reason=exc.strerror or str(exc))
            return list(self.now) or ["127.0.0.1"]

    async def _resolve(self, name: str, how: Callable[[str], Awaitable[list[str]]]) -> list[str]:
        """The addresses of a name, as they were when it resolved last."""
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                found = await how(name)
        except (OSError, UnicodeError) as exc:  # TimeoutError is one; a label of more than 63 letters is the other
            reason = getattr(exc, "strerror", None) or str(exc) or "no answer"
            if self._unresolved.get(name) != reason:
                problem = "a STUN server does not answer" if name in self._servers else "a name does not resolve"
                log.warning(f"media.advertise: {problem}, trying again", name=name, reason=reason)
            self._unresolved[name] = reason
        else:
            self._unresolved.pop(name, None)
            self._resolved[name] = found
        return self._resolved.get(name, [])


@asynccontextmanager
async def watched(
    names: Sequence[str], listen: str, known: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> AsyncIterator[Advertised]:
    """The addresses of now, kept so while open."""
    advertised = Advertised(names, listen, known)
    await advertised.refresh()
    if advertised.fixed:
        yield advertised
        return
    changed = asyncio.Event()
    try:
        netlink = Netlink(changed.set)
    except OSError:
        netlink = None
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_watch(advertised, changed, polls=netlink is None))
            try:
                yield advertised
            finally:
                task.cancel()
    finally:
        if netlink is not None:
            netlink.close()


async def _watch(advertised: Advertised, changed: asyncio.Event, *, polls: bool) -> None:
    while True:
        try:
            async with asyncio.timeout(POLL_INTERVAL if polls or not advertised.complete else LOOK_INTERVAL):
                await changed.wait()
                await asyncio.sleep(SETTLE_TIME)
        except TimeoutError:
            pass
        changed.clear()
        await advertised.refresh()


async def _resolved(name: str) -> list[str]:
    """The addresses of a name. Raises ``OSError`` or ``UnicodeError``."""
    infos = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    return [str(info[4][0]) for info in infos]


async def _seen_by(uri: str) -> list[str]:
    """The address that a STUN server sees us at. Raises ``OSError`` or ``UnicodeError``; asks until it is cancelled."""
    server = split_stun_server(uri)
    assert server is not None, "it was sorted out as one"
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(*server, type=socket.SOCK_DGRAM)
    family, address = next(
        ((info[0], info[4]) for info in infos if info[0] == socket.AF_INET), (infos[0][0], infos[0][4])
    )
    transaction = secrets.token_bytes(12)
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.connect(address)
        while True:
            asking.send(mapping_request(transaction))
            until = loop.time() + STUN_RETRY
            for _ in range(MAX_ANSWERS):
                with suppress(TimeoutError, ProtocolError):  # the latter from anybody
                    async with asyncio.timeout_at(until):
                        return [mapped_address(await loop.sock_recv(asking, MAX_ANSWER), transaction)]
            await asyncio.sleep(until - loop.time())


def _interfaces() -> list[str]:
    """Every address of this machine that another may use, then loopback for a browser on this one."""
    reachable, loopback = [], []
    for adapter in ifaddr.get_adapters():
        if _BRIDGES.fullmatch(str(adapter.name)):
            continue
        for ip in adapter.ips:
            address = ipaddress.ip_address(ip.ip if isinstance(ip.ip, str) else ip.ip[0])
            if address.is_loopback:
                loopback.append(address)
            elif not address.is_link_local:  # a link-local address needs a zone, which a candidate cannot carry
                reachable.append(address)
    return [str(address) for group in (reachable, loopback) for address in sorted(group, key=lambda a: a.version)]
