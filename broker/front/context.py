"""The things that the handlers of the front door share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from aiohttp import web

from broker.access.desk import Desk
from broker.access.oidc import SignOn
from broker.control_plane import ControlPlane
from broker.front.certificate import Certificate
from broker.front.guard import Guard
from broker.front.ice_servers import IceServers
from broker.front.quotas import Quotas
from broker.relay_apart import SeenRelay
from common.histogram import Histogram, Measure
from common.log import AUDIT_LINES, LINES_A_MINUTE, Quiet, get_logger
from common.memory import Shortage


@dataclass(frozen=True, slots=True)
class ForwardAuth:
    """The headers by which proxies that are believed name whom they have signed in; empty for none."""

    user: str = ""
    groups: str = ""


@dataclass(slots=True)
class Context:
    """The broker behind the front door. Only ``ice_servers`` is ever set anew."""

    control: ControlPlane
    relay: SeenRelay
    guard: Guard
    quotas: Quotas
    memory: Shortage
    desk: Desk
    sign_on: SignOn | None = None  # at a provider
    sign_on_label: str = ""
    forward_auth: ForwardAuth = ForwardAuth()
    proxies: Collection[str] = ()  # networks of reverse proxies that are believed
    base_path: str = ""  # that a proxy has us below
    ice_servers: IceServers = field(default_factory=IceServers)
    counters: Counter[str] = field(default_factory=Counter)  # what the front door dropped or refused, by name
    offers: Counter[str] = field(default_factory=Counter)  # by what came of them
    answers: Histogram = field(default_factory=lambda: Histogram(Measure.ANSWER))
    certificate: Certificate | None = None
    clock: Callable[[], float] = time.monotonic
    quiet: Quiet = field(default_factory=lambda: Quiet(get_logger()))  # for what strangers can cause
    # For refusals: of each address, who tried what.
    audit: Quiet = field(default_factory=lambda: Quiet(get_logger(), lines=LINES_A_MINUTE, in_all=AUDIT_LINES))

    @property
    def counted(self) -> Counter[str]:
        """Everything that this process dropped or refused, by name."""
        counters = self.control.counters + self.relay.counters + self.counters
        counters.update(self.control.director.counters)
        return counters


CONTEXT = web.AppKey("context", Context)
