"""Each role of a worker has a kind, which is all that the command line and ``serve`` need."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest
from click.testing import CliRunner

from camshaft.cli import cli
from camshaft.plan import programs
from camshaft.workers import KINDS, WorkerKind
from common.config import Config
from common.control import NEEDED, PUBLISHERS, SUBSCRIBERS, Role

each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.role)


def test_there_is_one_of_each_role_but_the_relay_which_is_a_part_of_the_broker() -> None:
    assert [*(kind.role for kind in KINDS), Role.RELAY] == list(Role)


@each_kind
def test_its_module_runs_it(kind: WorkerKind) -> None:
    assert list(inspect.signature(import_module(kind.module).run).parameters) == ["config", "node", "stop", "reloader"]


@each_kind
def test_its_command_says_what_it_does_and_takes_a_name_and_the_settings_that_it_reads(kind: WorkerKind) -> None:
    told = CliRunner().invoke(cli, [kind.role.value, "--help"]).output
    assert kind.help in told
    for option in ("--node", "--config", "--broker-address", "--cluster-secret"):
        assert option in told


@each_kind
def test_serve_starts_it_under_its_role(kind: WorkerKind) -> None:
    arguments = [program.arguments for program in programs(Config(), {}, cores=1)]
    assert (kind.role.value, "--node", f"{kind.role}-0") in arguments


@each_kind
def test_it_makes_renditions_or_takes_them(kind: WorkerKind) -> None:
    assert kind.role in PUBLISHERS | SUBSCRIBERS
    assert set(NEEDED) <= PUBLISHERS | SUBSCRIBERS
