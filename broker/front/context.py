"""What the handlers of the front door share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from broker.cluster import Cluster
from broker.front.guard import Guard
from broker.relay import Relay


@dataclass(frozen=True, slots=True)
class Context:
    """The broker behind the front door."""

    cluster: Cluster
    relay: Relay
    guard: Guard
    counters: Counter[str] = field(default_factory=Counter)  # what the front door dropped or refused, by name
    clock: Callable[[], float] = time.monotonic


CONTEXT = web.AppKey("context", Context)
