"""The process of a worker, whatever its kind: it joins, opens what its kind needs, says hello, works, and says goodbye.

The event loop, signals, the supervisor and the pulse are every process's: ``common.process``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass

import zmq

from common import near
from common.config import Config
from common.control import KeyWanted, NodeName, Role
from common.curve import Keys
from common.endpoints import Endpoints
from common.errors import UnfitError
from common.live import Live
from common.media import Rendition
from common.reloader import Reloader
from common.systemd import READY, notify
from common.worker import Worker
from common.worker.draining import drained
from common.worker.link import Link
from common.worker.membership import worker_keys
from common.worker.publisher import Publisher
from common.worker.subscriber import Subscriber


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The surroundings of a worker of any kind: its settings, its way to the broker, both ends of the media bus."""

    config: Config
    node: NodeName
    context: zmq.Context[zmq.Socket[bytes]]
    endpoints: Endpoints
    keys: Keys | None
    link: Link
    live: Live  # where a kind registers for settings that it takes while it runs

    def publisher(self) -> Publisher:
        """The publisher of a kind that makes renditions; to be entered once."""
        publisher = Publisher(self.context, self.endpoints, self.keys, self.config.limits.cache_bytes)
        self.live.on("limits.cache_bytes", take=lambda new: publisher.limit(new.limits.cache_bytes))
        return publisher

    def subscriber(self, name: str = "") -> Subscriber:
        """The subscriber of a kind that takes renditions; to be entered once, before the broker is heard.

        ``name`` is its own while another process has the node's.
        """
        subscriber = Subscriber(
            self.context,
            self.endpoints,
            self.keys,
            name or self.node,
            sealed=self.keys is not None and self.keys.by_token,
            key_wanted=self._ask_for_key,
        )
        direct = self.config.broker.direct
        self.link.on_spoken = lambda version: subscriber.call_neighbours(direct and version >= near.SINCE)
        return subscriber

    def _ask_for_key(self, rendition: Rendition) -> None:
        self.link.send(KeyWanted(rendition))


Opened = Callable[[Surroundings], AbstractAsyncContextManager[Worker]]
"""Makes a kind's worker and what it needs. It is left after the broker was told that the worker is over."""


async def run_worker(
    role: Role,
    opened: Opened,
    config: Config,
    node: NodeName,
    stop: asyncio.Event,
    reloader: Reloader | None = None,
    keys: Keys | None = None,
) -> None:
    """Be the worker ``node`` until ``stop`` is set, and then as ``common.worker.draining`` says.

    ``reloader`` reads the configuration again while it runs; ``keys`` are those of a predecessor, if there is one.

    Raises ``ConfigError`` for a bus that cannot be, ``UnfitError`` where the broker's release is not compatible.
    """
    live = Live(config) if reloader is None else reloader.live
    endpoints = Endpoints.parse(config.broker.address)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    async with AsyncExitStack() as stack:
        stack.callback(context.term)
        if keys is None:
            keys = await worker_keys(context, endpoints, config.cluster, role, node, stop)
        if stop.is_set():
            return
        link = Link(context, endpoints, keys, node=node, role=role)
        around = Surroundings(config, node, context, endpoints, keys, link, live)
        worker = await stack.enter_async_context(opened(around))
        async with link.serving(worker), nullcontext() if reloader is None else reloader.running():
            notify(READY)
            over = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(worker.run(over))
                await drained(worker, link, stop, within=config.drain.timeout)
                over.set()
    if link.hopeless.is_set():
        raise UnfitError(node, link.agreement.problem)
