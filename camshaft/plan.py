"""Which processes ``serve`` consists of, and what each is told; no I/O.

Every process reads the same file and the same variables. Options of ``serve`` reach it as variables too, and so do a
camera's URL and the cluster's secret: what stands on a command line can be read by every user of the machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from camshaft.workers import KINDS, Own, WorkerKind
from common.config import CAMERA_VARIABLE, CONFIG_VARIABLE, DEMO_VARIABLE, BrokerConfig, Config
from common.config_leaves import Leaf, leaves
from common.control import Role
from common.endpoints import Endpoints
from common.heard import HUNG_LOOKS, RELAY_HUNG_LOOKS
from common.near import AVAILABLE as NEAR_BY
from common.settings import LIVE, in_file

_VARIABLES = {(leaf.section, leaf.key): leaf.variable for leaf in leaves()}


@dataclass(frozen=True, slots=True)
class Program:
    """One process of the cluster. ``name`` is its node's name and stands in each of its log lines."""

    name: str
    arguments: tuple[str, ...]  # of camshaft
    environ: Mapping[str, str] = field(repr=False)
    cpu: int | None = None  # the core that it keeps to, if it is to
    live: tuple[str, ...] = ()  # keys of the configuration that it takes while it runs
    role: Role | None = None  # of a worker
    hung_looks: int = HUNG_LOOKS  # of the supervisor, after which it is killed if it is silent
    reserve: bool = False  # whether it begins only when it is needed, see ``camshaft.reserves``
    tells: bool = False  # whether it is given a pipe to tell how much is to be done by what is in reserve


def shared_environ(environ: Mapping[str, str], file: Path | None, overrides: Mapping[Leaf, Any]) -> dict[str, str]:
    """``environ`` with the options and the file that ``serve`` was given."""
    given = {leaf.variable: _text(value) for leaf, value in overrides.items()}
    place = {CONFIG_VARIABLE: str(file.absolute())} if file is not None else {}
    return _told(environ, place | given)


def programs(
    config: Config,
    environ: Mapping[str, str],
    *,
    cores: int,
    cpus: Sequence[int] = (),
    demo_port: int | None = None,
    stored: Collection[str] = (),
    tokens: Mapping[str, str] | None = None,
) -> list[Program]:
    """The processes in the order in which they are started. ``demo_port`` adds the simulated camera, at that port.

    ``cores`` is how many there are for us, ``cpus`` are the numbers of those we may run on. An egress for each of them
    keeps to its own: all wake at the same picture, and the kernel would put two on one core and let the other rest.
    ``stored`` are names of cameras that were added at run time, which the simulated one must not hide. ``tokens`` are
    the worker tokens by role, where workers join by these.

    Raises ``ConfigError`` for what would fail only later, in one of them.
    """
    processes = {kind: kind.processes(config, cores) for kind in KINDS}
    workers = {key: value for key, value in environ.items() if key not in (CAMERA_VARIABLE, in_file(CAMERA_VARIABLE))}
    workers |= _settings({("broker", "address"): Endpoints.parse(config.broker.address).local.address})
    plan = []
    front = {**environ}
    front |= _settings({("http", "listen"): config.http.listen, ("broker", "address"): config.broker.address})
    ingests = sum(len(settings) for kind, settings in processes.items() if kind.role is Role.INGEST)
    front |= _settings({("ingest", "workers"): ingests})  # so that it waits for these, and no longer
    apart = _relay_apart(config.broker)
    if config.broker.relay == "auto":
        front |= _settings({("broker", "relay"): "apart" if apart else "inside"})
    if demo_port is not None:
        name = _free_name("demo", {*config.cameras, *stored})
        front[DEMO_VARIABLE] = f"{name}=rtsp://{_demo_account(environ)}127.0.0.1:{demo_port}/"
        listen = f"127.0.0.1:{demo_port}"
        plan.append(Program("demo-camera", ("demo-camera", "--listen", listen), workers, live=("log.level",)))
    if apart:
        relaying = workers | _settings({("broker", "address"): config.broker.address})
        plan.append(Program("relay", ("relay",), relaying, live=("log.level",), hung_looks=RELAY_HUNG_LOOKS))
    converters = any(kind.role is Role.TRANSCODE and kind.always(config) == 0 and processes[kind] for kind in KINDS)
    plan.append(Program("broker", ("broker",), front, live=LIVE, tells=converters))
    for kind, settings in processes.items():
        token = {("cluster", "token"): tokens[kind.role.value]} if tokens else {}
        told = [_told(workers, _settings(token)) | _settings(own) for own in settings]
        pinned = cpus if kind.pinned and len(settings) == cores == len(cpus) > 1 else ()
        plan += _workers(kind, told, pinned, kind.always(config))
    return plan


def _workers(
    kind: WorkerKind, told: Sequence[Mapping[str, str]], cpus: Sequence[int], always: int | None
) -> Iterator[Program]:
    """The workers of a kind, each with what it is ``told``, on a core of its own of ``cpus`` if there are any."""
    for index, environ in enumerate(told):
        name = f"{kind.role.value}-{index}"
        # The first of several may be alone for long, and has all cores then; the kernel puts it where no other is.
        cpu = cpus[index] if cpus and not (always and not index) else None
        yield Program(
            name,
            (kind.role.value, "--node", name),
            environ,
            cpu,
            live=("limits", "log.level"),
            role=kind.role,
            reserve=always is not None and index >= always,
            tells=kind.role is Role.EGRESS,
        )


def _relay_apart(broker: BrokerConfig) -> bool:
    """Whether the relay is a process of its own: where media passes it nobody is to miss any for want of the broker."""
    near = broker.direct and NEAR_BY and Endpoints.parse(broker.address).directory is not None
    return not near if broker.relay == "auto" else broker.relay == "apart"


def _free_name(name: str, taken: Collection[str]) -> str:
    candidates = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate not in taken)


def _demo_account(environ: Mapping[str, str]) -> str:
    user, password = (environ.get(f"CAMSHAFT_DEMO_CAMERA_{part}", "") for part in ("USER", "PASSWORD"))
    return f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""


def _settings(given: Own) -> dict[str, str]:
    """Settings as a process is told them."""
    return {_VARIABLES[key]: _text(value) for key, value in given.items()}


def _told(environ: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with ``more`` variables, which take the place of those that name a file with the same."""
    beaten = {in_file(variable) for variable in more}
    return {name: value for name, value in environ.items() if name not in beaten} | dict(more)


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
