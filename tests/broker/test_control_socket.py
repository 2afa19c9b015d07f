"""Connections of workers, without keys; with keys see ``test_rogue_workers``."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

import pytest

from broker.control_socket import ControlSocket
from common.control import Ended, HangUp, Release, Report, Role, ToBroker
from common.endpoints import Endpoints
from rigs.waiting import until
from tests.fakes.private_bus import private_endpoints, zmq_context
from tests.fakes.workers import FakeEgress


class Ear:
    """Keeps what a control socket has heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, ToBroker]] = []
        self.counters: Counter[str] = Counter()

    def __call__(self, node: str, message: ToBroker) -> None:
        self.heard.append((node, message))


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def endpoints() -> AsyncIterator[Endpoints]:
    with private_endpoints() as endpoints:
        yield endpoints


@pytest.fixture
async def control(endpoints: Endpoints, ear: Ear) -> AsyncIterator[ControlSocket]:
    with zmq_context() as context:
        control = ControlSocket(context, endpoints, None, None, ear, ear.counters)
        yield control
        control.close()


async def test_a_message_comes_with_its_node_and_the_answer_goes_back(control, endpoints: Endpoints, ear: Ear) -> None:
    async with FakeEgress(endpoints, "out-1") as egress:
        await until(lambda: ear.heard)
        node, report = ear.heard[0]
        assert isinstance(report, Report)
        assert (node, report.role) == ("out-1", Role.EGRESS)
        assert control.send("out-1", HangUp("s"))
        assert await egress.told(HangUp) == HangUp("s")


async def test_garbage_is_counted_and_what_follows_is_heard(control, endpoints: Endpoints, ear: Ear) -> None:
    async with FakeEgress(endpoints, "out-1") as egress:
        egress.send(b"\xff")
        egress.channel.send(b"two", b"frames")
        egress.send(Ended("s", "gone"))
        await until(lambda: ("out-1", Ended("s", "gone")) in ear.heard)
    assert ear.counters["control_garbage"] == 2


async def test_nothing_is_sent_to_a_worker_that_is_not_there(control: ControlSocket, ear: Ear) -> None:
    assert not control.send("nobody", Release("door"))
    assert not control.send("nobody", Release(object()))  # type: ignore[arg-type]  # no message can hold it
    assert ear.counters["control_unsendable"] == 1
