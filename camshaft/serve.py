"""``camshaft serve``: one cluster on one machine."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from broker.access.people import open_people, people_path
from broker.access.policy import check_door, is_local, is_shut
from broker.front.certificate import certificate_of
from broker.keyring import open_keyring
from broker.store import StoreInUseError, camera_names
from camshaft.beside import beside
from camshaft.cores import cores, cpus
from camshaft.nursery import Main, Nursery
from camshaft.options import Given
from camshaft.plan import Program, programs, shared_environ
from camshaft.ready import ask_ready, check_bus, free_listen
from camshaft.supervisor import SECOND_CLUSTER, Supervisor
from camshaft.workers import KINDS
from common import PREFIX, log, process
from common.address import is_loopback, page_address, split_listen
from common.config import Config, HttpConfig
from common.control import Role
from common.endpoints import Endpoints
from common.errors import AddressInUseError, ConfigError
from common.kept import Kept
from common.live import Taken
from common.log_taps import Taps
from common.reloader import Reloader

IMPORTED = (
    "uvloop",
    f"{PREFIX}broker.server",
    f"{PREFIX}relay.process",
    *(kind.module for kind in KINDS),
)
"""The modules of our processes, all of them together."""


def serve(given: Given, main: Main, *, demo: bool | None) -> int:
    """Run until stopped; returns the exit code. ``demo`` adds a simulated camera, ``None``: if there is no other.

    ``main`` is the command line, by which our processes begin.

    Raises ``ConfigError`` and ``AddressInUseError`` for what can be seen before anything is started.
    """
    process.forgo_core_dumps()  # before there is a password, and for the nursery as well
    kept = Kept()
    text = ""  # of the file, as it was read last

    def load() -> Config:
        nonlocal text
        document = given.document()
        config, text = document.validate(), document.text
        return config

    reloader = Reloader(load, given.files)
    kept.keep(text)
    config = reloader.config
    # Before anything else is there: a thread, a logger, a secret that only one of us needs.
    nursery = Nursery.opened(IMPORTED, main)
    if demo is not False:
        config = _beside(config)
    bus = Endpoints.parse(config.broker.address).directory
    log.configure(config.log.level, config.log.format, copy=Taps(bus) if bus is not None else None, node="serve")
    reloader.live.on("log.level", take=lambda new: log.set_level(new.log.level))
    listen = _checked(config)
    stored = _stored(config) if demo is not False else frozenset()
    alone = not (config.cameras or stored)  # without a camera of the operator's
    if demo is None:
        demo = alone
    http = config.http.model_copy(update={"listen": listen})
    plan = _plan(config.model_copy(update={"http": http}), given, stored, demo=demo)
    code = process.EXIT_OK

    async def run(stop: asyncio.Event) -> None:
        nonlocal code
        python = (sys.executable, "-P", "-m")  # or a folder called common where the operator is would be taken for ours
        supervisor = Supervisor(
            plan,
            ready=lambda: ask_ready(listen, http.scheme),
            announce=lambda: _announce(http, only_demo=demo and alone, config=config),
            command=(*python, "camshaft"),
            inherited=kept.inherited,
            nursery=nursery,
            nursery_command=(*python, f"{__package__}.anew"),
            drain=config.drain.timeout,
        )

        def taken(what: Taken) -> None:
            kept.keep(text)
            supervisor.reload(what.changed)

        reloader.on_taken = taken
        async with reloader.running():
            code = await supervisor.run(stop)

    with closing(kept):
        return process.run(run, reloader.ask) or code


def _beside(config: Config) -> Config:
    """The configuration without addresses that another program has, which the operator is told."""
    config, moved = beside(config, egresses=cores() if config.egress.workers is None else config.egress.workers)
    if moved:
        print(f"camshaft: another program has the usual addresses, so {', '.join(moved)}.", file=sys.stderr)
    return config


def _checked(config: Config) -> str:
    """Where the front door is to listen, with a port that is free.

    Raises ``ConfigError`` or ``AddressInUseError`` for what would fail only later, in the broker.
    """
    host, _ = split_listen(config.http.listen)
    check_door(config, local=is_loopback(host))
    try:
        listen = free_listen(config.http.listen)
        if config.http.redirect_from:
            free_listen(config.http.redirect_from, "redirect_from")
        check_bus(Endpoints.parse(config.broker.address))
    except AddressInUseError as exc:
        raise AddressInUseError(exc.what, exc.address, f"{exc.option}; {SECOND_CLUSTER}") from None
    certificate_of(config.http)
    return listen


def _plan(config: Config, given: Given, stored: frozenset[str], *, demo: bool) -> list[Program]:
    return programs(
        config,
        shared_environ(os.environ, given.file, given.overrides) | _import_path(),
        cores=cores(),
        cpus=cpus(),
        demo_port=_free_port() if demo else None,
        stored=stored,
        tokens=_own_tokens(config),
    )


def _own_tokens(config: Config) -> dict[str, str]:
    """New tokens for our own workers, by role, if those of other machines join by tokens."""
    keyring = open_keyring(config, Endpoints.parse(config.broker.address))
    if keyring is None:
        return {}
    with closing(keyring):
        return {role.value: str(keyring.own_token(role, now=time.time())) for role in Role if role is not Role.RELAY}


def _stored(config: Config) -> frozenset[str]:
    """Names of the cameras in the store. Raises ``ConfigError``, which says what to type if another cluster has it."""
    try:
        return camera_names(config.store)
    except StoreInUseError as exc:
        another = config.store.path.with_stem(f"{config.store.path.stem}-2")
        problem = f"{config.store.path} is in use by another cluster; put CAMSHAFT_STORE_PATH={another} before"
        raise ConfigError(f"{problem} your command, or --store-path {another} after it", key="store.path") from exc


def _import_path() -> dict[str, str]:
    """Where our processes find us, if we run from a checkout that is not installed."""
    root = Path(__file__).parents[1]
    if root.name in ("site-packages", "dist-packages"):
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}


def _announce(http: HttpConfig, *, only_demo: bool, config: Config) -> None:
    host, port = split_listen(http.listen)
    # A certificate is for a name, as a rule, and not for the address that we listen on.
    page = page_address(http.hosts[0] if http.tls_cert and http.hosts else host, port, http.scheme)
    api = "" if page == page_address(*split_listen(HttpConfig().listen)) else f" --api {page.rstrip('/')}"
    what = "Camshaft shows a simulated camera" if only_demo else "Camshaft is ready"
    with suppress(OSError):  # nobody reads our standard output, which is no reason to end
        add = f"{_command()} camera add{api} NAME -"
        if is_shut(config, local=is_local(http, loopback=is_loopback(host)), users=_has_users(config)):
            add = f"CAMSHAFT_API_TOKEN=… {add}; {_command()} token new NAME --role admin makes such a token"
        print(f"{what}: {page}  (add your own: {add})", flush=True)
        if config.auth.mode == "none" and not is_loopback(host):
            print("Anyone who can reach this port can watch and change everything: auth is none.", flush=True)


def _has_users(config: Config) -> bool:
    """Whether somebody can sign in with a password already."""
    if not (config.auth.people and people_path(config.store.path).exists()):
        return False
    with closing(open_people(config)) as people:
        return bool(people.users)


def _command() -> str:
    """Our command as the operator can type it."""
    if Path(sys.argv[0]).name != "camshaft":
        return f"{Path(sys.executable).name} -m camshaft"
    found = shutil.which("camshaft")
    return "camshaft" if found and Path(found).samefile(sys.argv[0]) else sys.argv[0]


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port
