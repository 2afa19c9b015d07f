"""The addresses that viewers are told to reach us by: the operator's, or those of this machine's interfaces.

They are those of now, not those of our start: a machine may get its network later than us, or another address by DHCP,
and a name may come to mean another one. So interfaces are looked at again when the kernel says that something changed
(``egress.wire.netlink``; each few seconds where it does not), and names are resolved again then and each minute. A name
that does not resolve keeps the addresses it had.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import ifaddr

from common.log import get_logger
from egress.wire.netlink import Netlink

MAX_CANDIDATES = 16  # a browser checks every one of them: a machine full of container bridges must not drown it
LOOK_INTERVAL = 60.0  # seconds between looks that nothing asked for, for names above all
POLL_INTERVAL = 5.0  # seconds between looks where the kernel does not tell, or while a name does not resolve
SETTLE_TIME = 0.2  # seconds: changes come in bursts, and within a start of answering nobody notices
RESOLVE_TIMEOUT = 3.0  # seconds for a name: a resolver without a network takes half a minute, and we start without it

log = get_logger()


class Advertised:
    """The addresses of now. ``names`` (addresses or host names) replace everything else; a ``listen`` address is the
    only one if it is set."""

    def __init__(self, names: Sequence[str] = (), listen: str = "") -> None:
        self.now: tuple[str, ...] = ()  # IP addresses for host candidates, most preferred first
        self._names = names
        self._listen = listen
        self._resolved: dict[str, list[str]] = {}
        self._unresolved: dict[str, str] = {}  # name and why, as the log has been told

    @property
    def fixed(self) -> bool:
        """Whether nothing can change them."""
        return bool(self._listen) and not self._names

    @property
    def complete(self) -> bool:
        """Whether every name is resolved."""
        return not self._unresolved

    async def refresh(self) -> None:
        """Look again."""
        found = [address for name in self._names for address in await self._resolve(name)]
        if not found:  # also where no name resolves, and none ever did: these are better than none
            found = [self._listen] if self._listen else self._of_interfaces()
        before, self.now = self.now, tuple(dict.fromkeys(found))[:MAX_CANDIDATES]
        if before and self.now != before:
            log.info("addresses for viewers have changed", addresses=self.now, before=before)

    def _of_interfaces(self) -> list[str]:
        try:
            return _interfaces()
        except OSError as exc:  # no descriptor or no memory is left; a loopback address is always right
            log.warning("this machine's addresses cannot be read, trying again", reason=exc.strerror or str(exc))
            return list(self.now) or ["127.0.0.1"]

    async def _resolve(self, name: str) -> list[str]:
        """The addresses of a name, as they were when it resolved last."""
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                infos = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as exc:  # TimeoutError is one; a label of more than 63 letters is the other
            reason = getattr(exc, "strerror", None) or str(exc) or "no answer"
            if self._unresolved.get(name) != reason:
                log.warning("a name in media.advertise does not resolve, trying again", name=name, reason=reason)
            self._unresolved[name] = reason
        else:
            self._unresolved.pop(name, None)
            self._resolved[name] = [str(info[4][0]) for info in infos]
        return self._resolved.get(name, [])


@asynccontextmanager
async def watched(names: Sequence[str], listen: str) -> AsyncIterator[Advertised]:
    """The addresses of now, kept so while open."""
    advertised = Advertised(names, listen)
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
