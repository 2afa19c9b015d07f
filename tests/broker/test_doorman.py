"""The doorman lets workers in where they belong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from broker.doorman import JOIN_BURST, AddressBudget, Doorman
from broker.keyring import Keyring
from common.control import Role
from common.curve import Domain
from tests.fakes.private_bus import zmq_context


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Keyring]:
    with closing(Keyring(tmp_path / "camshaft.db.keys")) as keyring:
        yield keyring


@pytest.fixture
def doorman(keyring: Keyring) -> Iterator[Doorman]:
    with zmq_context() as context:
        yield Doorman(context, keyring, Counter(), clock=lambda: 0.0)


def member(keyring: Keyring, role: Role) -> str:
    token = keyring.make_token(role, now=0.0)
    key = zmq.curve_keypair()[0].decode()
    return keyring.admit(token.id, token.secret, key, role, f"{role}-1", lives=lambda _: False, now=0.0).key


@pytest.mark.parametrize(
    ("role", "domains"),
    [
        (Role.INGEST, {Domain.CONTROL, Domain.PUBLISH, Domain.JOIN}),
        (Role.EGRESS, {Domain.CONTROL, Domain.SUBSCRIBE, Domain.JOIN}),
        (None, {Domain.JOIN}),
    ],
)
def test_each_role_has_its_sockets(doorman: Doorman, keyring: Keyring, role: Role | None, domains: set[Domain]) -> None:
    key = member(keyring, role) if role is not None else zmq.curve_keypair()[0].decode()
    assert {domain for domain in Domain if doorman.lets_in(domain, "192.0.2.1", key)} == domains


def test_a_key_is_refused_as_soon_as_it_is_revoked(doorman: Doorman, keyring: Keyring, tmp_path: Path) -> None:
    key = member(keyring, Role.EGRESS)
    with closing(Keyring(tmp_path / "camshaft.db.keys")) as command:
        command.revoke("egress-1")
    assert not doorman.lets_in(Domain.CONTROL, "192.0.2.1", key)


def test_an_address_that_floods_the_join_socket_leaves_it_to_the_others(doorman: Doorman) -> None:
    tries = [doorman.lets_in(Domain.JOIN, "192.0.2.1", "any key") for _ in range(2 * JOIN_BURST)]
    assert sum(tries) == JOIN_BURST
    assert doorman.lets_in(Domain.JOIN, "192.0.2.2", "any key")


def test_a_network_that_one_person_commands_is_one_address() -> None:
    budget = AddressBudget(3, 1.0)
    tries = [budget.take(f"2001:db8::{number}", 0.0) for number in range(10)]
    assert sum(tries) == 3
    assert budget.take("2001:db8:0:1::1", 0.0)
    assert [budget.take("::1", 0.0) for _ in range(4)] == [True, True, True, False]  # the loopback has one, too
