"""``camshaft relay``: the part of the broker that media passes, apart from the part that people and workers talk to.

* It stands at the broker's address, on the broker's machine, and lets in whom the broker lets in: by the same secret,
  or by the keyring, a file of both.
* No picture waits for the broker. The relay is at work before it has heard of one, while that is away or stands still,
  and when another takes its place.
* The broker knows it by its reports, as it knows a worker: what was relayed, who was refused, its load. It is given
  nothing to do.
* Where its thread stands still it ends, for somebody to start it anew; workers are back within tenths of a second, and
  ask again for the pictures that they missed.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import replace

from broker.bus import Bus, opened_bus
from broker.keyring import Keyring
from broker.relay import LOOK_INTERVAL, Relay
from broker.relay_apart import told
from common.config import ClusterConfig, Config
from common.control import RELAY_NODE, Report, Role, ToWorker
from common.endpoints import Part
from common.errors import ConfigError
from common.log import get_logger
from common.memory import give_back_aside, map_large_blocks
from common.moments import waited
from common.reloader import Reloader
from common.systemd import READY, notify
from common.worker.draining import first_of
from common.worker.link import Link
from common.worker.membership import worker_keys

JOIN_INTERVAL = 10.0  # seconds between two times that it asks a broker which does not want to know of it
TRIM_INTERVAL = 10.0  # seconds after which what strangers made us allocate goes back to the system

log = get_logger()


async def run(config: Config, stop: asyncio.Event, reloader: Reloader | None = None) -> None:
    """Relay media until ``stop`` is set.

    ``reloader`` reads the configuration again while it runs. Raises ``ConfigError`` or ``AddressInUseError`` if that
    cannot be, and ``CamshaftError`` if it does no more.
    """
    map_large_blocks()
    counters: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        bus = stack.enter_context(opened_bus(config, counters, Part.RELAY))
        if bus.keyring is not None:
            stack.callback(_leave, bus.keyring)
        relay = await stack.enter_async_context(Relay.of(bus))
        if reloader is not None:
            await stack.enter_async_context(reloader.running())
        log.info("relay ready", bus=bus.endpoints.address)
        notify(READY)
        async with asyncio.TaskGroup() as group:
            reporting = group.create_task(_report(bus, Reported(relay, counters), config.cluster, stop))
            await _watch(relay, bus, stop)
            await reporting


class Reported:
    """The relay as its link to the broker sees it: a worker that only reports."""

    drained = True  # what passes is missed, but nobody could take it over

    def __init__(self, relay: Relay, counters: Counter[str]) -> None:
        self._relay = relay
        self._counters = counters

    def handle(self, message: ToWorker) -> None:
        """Do nothing: whatever the broker says is for other kinds."""

    def report(self, base: Report) -> Report:
        """A report with what was relayed, and who was refused."""
        counters = base.counters | self._counters | self._relay.counters | told(self._relay.statistics)
        return replace(base, counters=counters)

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the end."""
        await stop.wait()


async def _watch(relay: Relay, bus: Bus, stop: asyncio.Event) -> None:
    trim_at = time.monotonic()  # at once, so that the thread for it is there from the beginning
    while not stop.is_set():
        await relay.look(bus.doorman.revoked() if bus.doorman is not None else ())
        if time.monotonic() >= trim_at:
            trim_at = time.monotonic() + TRIM_INTERVAL
            await give_back_aside()
        await waited(LOOK_INTERVAL, stop)


async def _report(bus: Bus, reported: Reported, cluster: ClusterConfig, stop: asyncio.Event) -> None:
    """Tell the broker, whenever there is one."""
    endpoints = bus.endpoints.local
    while not stop.is_set():
        try:
            if bus.keyring is not None:
                cluster = ClusterConfig(token=_own_token(bus.keyring))
            keys = await worker_keys(bus.context, endpoints, cluster, Role.RELAY, RELAY_NODE, stop)
            if not stop.is_set():
                link = Link(bus.context, endpoints, keys, node=RELAY_NODE, role=Role.RELAY)
                async with link.serving(reported):
                    await first_of(stop, link.hopeless)
                problem = link.agreement.problem
        except (ConfigError, sqlite3.Error) as exc:
            problem = str(exc)
        if not stop.is_set():
            log.warning("the broker hears nothing from this relay, which works all the same", reason=problem)
            await waited(JOIN_INTERVAL, stop)


def _own_token(keyring: Keyring) -> str:
    """A token for ourselves: who can write to the keyring needs nobody to make one."""
    return str(keyring.own_token(Role.RELAY, now=time.time()))


def _leave(keyring: Keyring) -> None:
    """Leave the keyring as it was: a release without a relay of its own takes no member of this role."""
    with suppress(sqlite3.Error):  # who goes back has a copy to be safe
        keyring.disown(Role.RELAY)
