"""The kinds of worker that there are: how each is called by hand, and what ``serve`` starts of it; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common import PREFIX
from common.config import Config
from common.config_types import MAX_PORT
from common.control import Role
from common.errors import ConfigError

INGESTS = 1  # processes, unless the operator says how many
TRANSCODERS = 1  # the same; it converts on all cores

Own = Mapping[tuple[str, str], object]
"""Settings of one process alone, by section and key."""


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """One kind of worker; its command is called by its role."""

    role: Role
    module: str  # whose ``run(config, node, stop, reloader)`` is such a worker; imported by its command alone
    sections: tuple[str, ...]  # of the configuration, of which its command takes options
    help: str  # of its command
    processes: Callable[[Config, int], list[Own]]  # that serve starts; the second argument is how many cores there are
    pinned: bool = False  # whether each keeps to a core of its own, if there is one for each
    always: Callable[[Config], int | None] = lambda _config: (
        None
    )  # that begin at once, the others when needed; None: all


def _ingests(config: Config, _cores: int) -> list[Own]:
    return [{}] * (config.ingest.workers if config.ingest.workers is not None else INGESTS)


def _egresses(config: Config, cores: int) -> list[Own]:
    """At most one for each core, each with a port of its own. Raises ``ConfigError`` if there are not as many ports."""
    count = config.egress.workers if config.egress.workers is not None else cores
    first = config.media.port
    if first + max(count - 1, 0) > MAX_PORT:
        problem = (
            f"{count} egress processes need as many ports from {first} on; set it to {MAX_PORT + 1 - count} or less"
        )
        raise ConfigError(problem, key="media.port")
    settings: list[Own] = [{("media", "port"): first + index if first else 0} for index in range(count)]
    if not (config.media.tcp.isdigit() and (tcp := int(config.media.tcp))):
        return settings  # each has the number that its UDP port has, or any, or none
    if tcp + max(count - 1, 0) > MAX_PORT:
        problem = f"{count} egress processes need as many ports from {tcp} on; set it to {MAX_PORT + 1 - count} or less"
        raise ConfigError(problem, key="media.tcp")
    return [{**own, ("media", "tcp"): tcp + index} for index, own in enumerate(settings)]


def _transcoders(config: Config, _cores: int) -> list[Own]:
    return [{}] * (config.transcode.workers if config.transcode.workers is not None else TRANSCODERS)


KINDS = (
    WorkerKind(
        Role.INGEST,
        f"{PREFIX}ingest.worker",
        ("sources", "broker", "cluster", "drain", "limits", "log"),
        "Run an ingest process, which pulls the cameras assigned to it.",
        _ingests,
    ),
    WorkerKind(
        Role.EGRESS,
        f"{PREFIX}egress.worker",
        ("media", "broker", "cluster", "drain", "limits", "log"),
        "Run an egress process, which sends media to its viewers.",
        _egresses,
        pinned=True,
        always=lambda config: 1 if config.egress.workers is None else None,
    ),
    WorkerKind(
        Role.TRANSCODE,
        f"{PREFIX}transcode.worker",
        ("transcode", "broker", "cluster", "drain", "limits", "log"),
        "Run a transcode process, which converts what browsers cannot play.",
        _transcoders,
        always=lambda config: 0 if config.transcode.workers is None else None,
    ),
)
"""In the order in which ``serve`` starts them."""
