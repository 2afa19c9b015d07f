"""Each module of a service is a core that a contract keeps from I/O, or is known to do some."""

from __future__ import annotations

import configparser
from functools import cache
from pathlib import Path

import pytest

from tests.fakes.sources import PRODUCT, ROOT, modules, source

pytestmark = pytest.mark.xdist_group("sources")

IO = {"asyncio", "socket", "zmq", "aiohttp", "av", "sqlite3"}  # whoever imports one of these does I/O, as all can see

NO_CORES = {
    "what it calls does": """
        broker.access.desk broker.answers broker.catalogue broker.front.offers broker.front.openapi broker.front.views
        broker.live broker.relay_apart broker.stream_keys camshaft.__main__ common.config_leaves common.worker.straight
        egress.mse.viewers ingest.rtsp.express
    """,
    "log": "broker.notices common.log",
    "files": """
        broker.front.certificate broker.vault camshaft.cores common.config common.config_document common.config_file
        common.kept common.neighbourhood common.onlooker common.secret_file
    """,
    "terminal, files or requests of a command": """
        camshaft.api camshaft.camera camshaft.config_command camshaft.import_command camshaft.logs camshaft.options
        camshaft.store_command camshaft.table camshaft.tokens camshaft.users
    """,
    "processes and threads": "broker.lookout camshaft.title common.demand common.own_watch ingest.sources.queue",
    "clocks": "common.clock egress.room ingest.sources.share",
    "compiled parts": "common.native",
}


@cache
def named() -> dict[str, Path]:
    """The modules of the product that have a class or a function."""
    found = {}
    for path in modules(*PRODUCT):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if source(path).classes or "def " in path.read_text():
            found[name] = path
    return found


@cache
def cores() -> set[str]:
    """The modules that a contract keeps from I/O."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    contracts = [setup[each] for each in setup.sections() if each.startswith("importlinter:contract:")]
    kept = [each["source_modules"].split() for each in contracts if "socket" in each.get("forbidden_modules", "")]
    roots = tuple(f"{name}." for names in kept for name in names)
    return {name for name in named() if f"{name}.".startswith(roots)}


def plain() -> set[str]:
    return {name for name, path in named().items() if {each.partition(".")[0] for each in source(path).imports} & IO}


def told() -> list[str]:
    return [name for names in NO_CORES.values() for name in names.split()]


@pytest.mark.thorough
def test_each_module_is_a_core_or_does_io() -> None:
    assert named().keys() - cores() - plain() - set(told()) == set(), (
        "add it to a contract in setup.cfg, or to NO_CORES"
    )


def test_what_is_said_to_do_io_is_no_core_and_is_there() -> None:
    names = told()
    assert len(names) == len(set(names))
    assert {name for name in names if name not in named() or name in cores() | plain()} == set()


def test_what_says_that_it_does_no_io_is_held_to_that() -> None:
    texts = {name: " ".join(path.read_text().split('"""')[1:2]).lower() for name, path in named().items()}
    says = {name for name, text in texts.items() if "no i/o" in text or "; pure." in text or "; pure;" in text}
    assert says - cores() == set()
