"""The broker process: relay, control plane, store and front door, put together."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from broker.access.desk import Desk, SignedTokens
from broker.access.keys import key_of
from broker.access.oidc import SignOn
from broker.access.people import People, open_people
from broker.access.policy import check_door, is_local
from broker.bus import Bus, opened_bus
from broker.catalogue import Catalogue
from broker.control_plane import ControlPlane
from broker.doorman import Doorman
from broker.front.account import first_admin_path
from broker.front.certificate import Certificate, certificate_of
from broker.front.context import Context, ForwardAuth
from broker.front.door import application
from broker.front.guard import Guard
from broker.front.ice_servers import IceServers
from broker.front.quotas import Quotas
from broker.front.serving import serving
from broker.joining import Joining
from broker.live import register, within_files
from broker.relay import LOOK_INTERVAL, Relay
from broker.relay_apart import RelayApart, SeenRelay
from broker.store import Store
from common.address import is_loopback, page_address, split_listen
from common.config import Config, HttpConfig
from common.demand import DEMAND_FD, Teller
from common.endpoints import Part
from common.errors import AddressInUseError, refused
from common.log import Quiet, get_logger
from common.memory import Shortage, give_back_aside, map_large_blocks
from common.moments import waited
from common.process import inherited_pipe
from common.reloader import Reloader
from common.settings import option_of
from common.systemd import READY, notify

SHUTDOWN_TIMEOUT = 1.0  # seconds for requests that are being answered when we stop
MAX_NAMED = 20  # users in a line of the log
TRIM_INTERVAL = 10.0  # seconds after which what strangers made us allocate goes back to the system

_LOCAL = "open to everyone on this machine; add the host of a reverse proxy to http.hosts before it points here"

log = get_logger()


async def run(
    config: Config,
    stop: asyncio.Event,
    on_ready: Callable[[str], None] | None = None,
    reloader: Reloader | None = None,
) -> None:
    """Be the broker until ``stop`` is set.

    ``on_ready`` is called with the page's address once everything listens. ``reloader`` reads the configuration again
    while it runs. Raises ``ConfigError`` or ``AddressInUseError`` if that cannot be.
    """
    map_large_blocks()
    certificate = certificate_of(config.http)
    async with contextlib.AsyncExitStack() as stack:
        counters: Counter[str] = Counter()
        relays = config.broker.relays
        bus = stack.enter_context(opened_bus(config, counters, Part.CONTROL, *([Part.RELAY] if relays else [])))
        store = stack.enter_context(contextlib.closing(Store(config.store.path, config.store.key_file)))
        sockets = [stack.enter_context(each) for each in await open_listeners(config.http.listen)]
        redirected = []
        if away := config.http.redirect_from:
            redirected = [stack.enter_context(each) for each in await open_listeners(away, "redirect_from")]
        inside = await stack.enter_async_context(Relay.of(bus)) if relays else None
        catalogue = Catalogue(config, store)
        control = await stack.enter_async_context(_control(config, bus, catalogue))
        if (telling := inherited_pipe(DEMAND_FD)) is not None:
            control.director.reserve.open()
            control.on_demand = Teller(telling).tell
        if bus.keyring is not None and bus.keys is not None and bus.doorman is not None:
            budget = bus.doorman.joining
            joining = Joining(bus.context, bus.endpoints, bus.keys, bus.keyring, budget, control.lives, counters)
            stack.enter_context(joining)
        loopback = all(is_loopback(each.getsockname()[0]) for each in sockets)
        local = is_local(config.http, loopback=loopback)
        check_door(config, local=local)
        people = stack.enter_context(contextlib.closing(open_people(config))) if config.auth.people else None
        relay = inside or RelayApart(lambda: control.director.workers)
        guard = Guard(loopback, [host.lower() for host in config.http.hosts], tls=certificate is not None)
        front = _front(config, control, relay, guard, people, counters, certificate, local=local)
        app = application(front)
        await stack.enter_async_context(
            serving(app, front, sockets, SHUTDOWN_TIMEOUT, certificate=certificate, redirected=redirected)
        )
        if reloader is not None:
            register(reloader.live, catalogue, front, loopback=loopback)
            await stack.enter_async_context(reloader.running())
        host, port = sockets[0].getsockname()[:2]
        page = page_address(host, port, config.http.scheme)
        if front.desk.local_only:
            log.info(_LOCAL)
        if path := first_admin_path(app):
            _print_link(page, config.http, path)
        log.info("broker ready", page=page, bus=bus.endpoints.address)
        notify(READY)
        if on_ready is not None:
            on_ready(page)
        await _watch(inside, catalogue, bus.doorman, people, certificate, stop)


def _control(config: Config, bus: Bus, catalogue: Catalogue) -> ControlPlane:
    ingests, limits = config.ingest.workers, config.limits
    return ControlPlane(
        bus.context, bus.endpoints, bus.keys, catalogue, ingests=ingests, keyring=bus.keyring, limits=limits
    )


def _front(
    config: Config,
    control: ControlPlane,
    relay: SeenRelay,
    guard: Guard,
    people: People | None,
    counters: Counter[str],
    certificate: Certificate | None,
    *,
    local: bool,
) -> Context:
    """The broker as the front door knows it; ``local`` is whether nobody but users of this machine reaches it."""
    sign_on = SignOn(config.oidc, time.monotonic) if config.oidc.issuer else None
    verifying = key_of(config.jwt, time.monotonic)
    signed = SignedTokens(config.jwt, verifying) if verifying is not None else None
    return Context(
        control,
        relay,
        guard,
        Quotas(within_files(config.limits), lambda id: control.director.session(id) is not None),
        Shortage(config.limits.free_memory << 20),
        Desk(config.auth, people, time.time, local=local, signed=signed, sign_on=sign_on is not None),
        sign_on,
        config.oidc.label,
        ForwardAuth(config.auth.user_header, config.auth.groups_header),
        config.http.trusted_proxies,
        config.http.base_path,
        IceServers.of(config.http),
        counters,
        certificate=certificate,
    )


async def open_listeners(listen: str, key: str = "listen") -> list[socket.socket]:
    """Sockets for ``HOST:PORT``, the value of ``http.key``; with port 0 all get the same free one.

    Raises ``AddressInUseError`` or ``ConfigError``.
    """
    host, port = split_listen(listen)
    found: list[socket.socket] = []
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in sorted(set(infos)):  # AF_INET sorts before AF_INET6
            try:
                listener = socket.socket(family, kind, protocol)
            except OSError:
                continue  # a kernel without IPv6 still resolves such addresses
            found.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((address[0], port, *address[2:]))
            port = listener.getsockname()[1]
    except OSError as exc:
        for listener in found:
            listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise AddressInUseError("web page", listen, option_of("http", key)) from None
        raise refused(exc.errno, f"cannot listen on {listen}: {exc.strerror or exc}", key=f"http.{key}") from None
    return found


def _print_link(page: str, http: HttpConfig, path: str) -> None:
    """On standard output and not in the log: whoever has the link is the admin."""
    parts = urlsplit(page)._replace(path=f"{http.base_path}/")
    page = parts._replace(netloc=f"{http.hosts[0]}:{parts.port}" if http.hosts else parts.netloc).geturl()
    with contextlib.suppress(OSError):  # nobody reads our standard output, which is no reason to end
        print(
            f"Nobody can sign in yet. This link, valid until the next start, makes the first admin: {page}{path}",
            flush=True,
        )


async def _watch(
    relay: Relay | None,
    catalogue: Catalogue,
    doorman: Doorman | None,
    people: People | None,
    certificate: Certificate | None,
    stop: asyncio.Event,
) -> None:
    quiet = Quiet(log)
    trim_at = time.monotonic() + TRIM_INTERVAL
    while not stop.is_set():
        if people is not None:
            try:
                if changed := people.refresh():
                    log.info("users changed on this machine", users=changed[:MAX_NAMED])
            except sqlite3.Error as exc:
                quiet.warning("users cannot be read, so changes to them are not noticed", reason=str(exc))
        revoked = doorman.revoked() if doorman is not None else ()
        if relay is not None:
            await relay.look(revoked)
        catalogue.check_store()
        if certificate is not None:
            certificate.look()
            certificate.remind(time.time())
        if time.monotonic() >= trim_at:
            trim_at = time.monotonic() + TRIM_INTERVAL
            await give_back_aside()
        await waited(LOOK_INTERVAL, stop)
