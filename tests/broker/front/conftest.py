"""For tests of the front door, each of which has a ``broker`` of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from broker.access import passwords
from tests.fakes.broker import RunningBroker
from tests.fakes.log import Recorder
from tests.fakes.page_socket import Page
from tests.fakes.workers import FakeEgress

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
NOBODYS = CHEAP.hash("the password of nobody")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """The log of the front door; asked for before the broker."""
    log = Recorder()
    monkeypatch.setattr("broker.front.context.get_logger", lambda: log)
    return log


@pytest.fixture
async def egress(broker: RunningBroker) -> AsyncIterator[FakeEgress]:
    """An egress that the broker knows already."""
    async with FakeEgress(broker.endpoints, "out-1") as egress:
        await broker.until("/api/nodes", lambda nodes: len(nodes) == 2)
        yield egress


@pytest.fixture
async def page(broker: RunningBroker) -> AsyncIterator[Page]:
    async with broker.http.ws_connect("/ws") as socket:
        yield Page(socket)


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords cost next to nothing to look at, where it is not their cost that is tried."""
    monkeypatch.setattr(passwords, "_hasher", CHEAP)
    monkeypatch.setattr(passwords, "_nobodys", NOBODYS)
