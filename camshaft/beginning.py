"""Begins a process of the cluster: a command does, and ``serve`` in a fork of the nursery, which needs no command line.

A parser of command lines touches objects all over the memory that forks share, and each page of it is then one's own:
1.7 MB a process.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import import_module

from camshaft.options import Given
from camshaft.workers import KINDS, WorkerKind
from common import log, process
from common.config import Config
from common.control import RELAY_NODE, NodeName, Role
from common.errors import CamshaftError
from common.heard import HUNG_LOOKS, RELAY_HUNG_LOOKS
from common.kept import kept_text
from common.log import get_logger
from common.log_taps import Taps
from common.pulse import RELAY_PULSE_INTERVAL
from common.reloader import Reloader

BROKER_SECTIONS = ("http", "auth", "jwt", "oidc", "broker", "cluster", "limits", "sources", "store", "log")
RELAY_SECTIONS = ("broker", "cluster", "store", "log")

_BY_ROLE = {kind.role.value: kind for kind in KINDS}


def begin(arguments: Sequence[str]) -> bool:
    """Be the process that ``camshaft.plan`` has these arguments for, until it exits; ``False`` if it is none of ours.

    Its settings are those of the environment, in which ``serve`` has found nothing that is unknown.
    """
    given = Given.by_environment()
    match [*arguments]:
        case ["broker"]:
            work = partial(run_broker, given)
        case ["relay"]:
            work = partial(run_relay, given)
        case [role, "--node", name] if role in _BY_ROLE:
            work = partial(run_worker, _BY_ROLE[role], given, NodeName(name))
        case _:
            return False
    try:
        work()
    except CamshaftError as exc:
        print(f"camshaft: {exc}", file=sys.stderr)
        sys.exit(process.exit_code(exc))
    return True


def run_broker(given: Given) -> None:
    """Be the broker, and exit. Raises ``ConfigError``."""
    reloader = reloading(given, "cameras", *BROKER_SECTIONS)
    from broker.server import run

    run_process("broker", reloader, lambda stop: run(reloader.config, stop, reloader=reloader))


def run_relay(given: Given) -> None:
    """Be the media relay beside a broker, and exit. Raises ``ConfigError``."""
    reloader = reloading(given, *RELAY_SECTIONS)
    from relay.process import run

    run_process(
        RELAY_NODE,
        reloader,
        lambda stop: run(reloader.config, stop, reloader),
        pulse=RELAY_PULSE_INTERVAL,
        hung_looks=RELAY_HUNG_LOOKS,
    )


def run_worker(kind: WorkerKind, given: Given, node: NodeName) -> None:
    """Be a worker of that kind, and exit. Raises ``ConfigError``."""
    reloader = reloading(given, *kind.sections)
    run, lean = import_module(kind.module).run, kind.role is not Role.EGRESS  # which needs it all for its viewers
    run_process(node, reloader, lambda stop: run(reloader.config, node, stop, reloader), lean=lean)


def reloading(given: Given, *sections: str) -> Reloader:
    """The configuration of a process that reads it again; ``sections`` concern it. Raises ``ConfigError``."""

    def kept() -> Config | None:
        text = kept_text()
        return None if text is None else given.config_of(text)

    return Reloader(given.config, given.files, supervised=process.supervised(), sections=sections, kept=kept)


def run_process(
    node: str,
    reloader: Reloader,
    main: Callable[[asyncio.Event], Awaitable[None]],
    *,
    pulse: float | None = None,
    hung_looks: int = HUNG_LOOKS,
    lean: bool = True,
) -> None:
    """Run ``main`` as a process that logs by this name, takes what changes and has this pulse, and exit.

    See ``process.run``.
    """
    from common.endpoints import Endpoints

    config = reloader.config
    bus = Endpoints.parse(config.broker.address).directory
    log.configure(config.log.level, config.log.format, copy=Taps(bus) if bus is not None else None, node=node)
    if reloader.problem is not None:
        get_logger().error("configuration has a mistake; the previous one stays in use", mistake=str(reloader.problem))
    reloader.live.on("log.level", take=lambda new: log.set_level(new.log.level))
    sys.exit(process.run(main, reloader.ask, pulse=pulse, hung_looks=hung_looks, lean=lean))
