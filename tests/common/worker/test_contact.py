"""A worker's contact with its broker, as its log tells of it."""

from __future__ import annotations

import asyncio

import pytest
import structlog
import zmq

from common.bus import bind, open_socket
from common.control import Report, Role, ToWorker
from common.curve import Keys, authenticated
from common.log import get_logger
from common.worker.link import Contact, Link
from tests.fakes.private_bus import free_tcp_endpoints

AWAY = "no broker answers: is it running, is the secret the same, or was the token revoked?"


class Idle:
    """A worker that is told nothing and has nothing to say."""

    def handle(self, message: ToWorker) -> None:
        raise AssertionError(message)

    def report(self, base: Report) -> Report:
        return base


def test_the_log_says_that_no_broker_answers_and_when_one_does() -> None:
    with structlog.testing.capture_logs() as events:
        contact = Contact("tcp://host:5550", 100.0, get_logger())
        for seconds, there in ((1, False), (2.9, False), (3, False), (62, False), (63, False), (64, True), (65, True)):
            contact.tried(there, 100.0 + seconds)
    away = {"event": AWAY, "address": "tcp://host:5550", "log_level": "warning"}
    assert events == [away, away, {"event": "broker reached", "address": "tcp://host:5550", "log_level": "info"}]


def test_a_broker_that_is_back_soon_is_only_said_to_be_back() -> None:
    contact = Contact("", 100.0, get_logger())
    contact.tried(True, 100.0)
    with structlog.testing.capture_logs() as events:
        for seconds, there in ((50, False), (52.9, False), (53, True), (54, False), (57, False)):
            contact.tried(there, 100.0 + seconds)
    assert [event["event"] for event in events] == ["broker reached", AWAY]


async def test_a_worker_with_a_wrong_secret_says_that_nobody_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("common.worker.link.AWAY_AFTER", 0.3)
    endpoints, keys = free_tcp_endpoints(), Keys.derive("secret")
    with (
        zmq.Context[zmq.Socket[bytes]]() as context,
        authenticated(context, keys),
        structlog.testing.capture_logs() as events,
    ):
        socket = open_socket(context, zmq.ROUTER)
        bind(socket, endpoints.control, keys, "control plane")
        link = Link(
            context,
            endpoints,
            Keys.derive("another secret"),
            node="egress-7",
            role=Role.EGRESS,
        )
        async with link.serving(Idle()), asyncio.timeout(5):
            while not events:  # noqa: ASYNC110 - a log has no event to wait for
                await asyncio.sleep(0.01)
        socket.close()
    assert (events[0]["event"], events[0]["address"], events[0]["node"]) == (AWAY, endpoints.address, "egress-7")
