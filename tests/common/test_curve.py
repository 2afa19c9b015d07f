"""Keys of the bus: a server that holds the cluster's lets in who holds them too, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from common.bus import bind, open_socket
from common.curve import Domain, Keys, authenticated
from common.endpoints import Endpoints
from common.errors import ConfigError
from tests.fakes.private_bus import bound_address, next_event

Context = zmq.Context[zmq.Socket[bytes]]


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


REFUSED = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
    zmq.EVENT_DISCONNECTED,
}


def test_same_secret_gives_same_keys() -> None:
    assert Keys.derive("s") == Keys.derive("s")
    assert Keys.derive("s") != Keys.derive("t")
    keys = Keys.derive("s")
    assert keys.server_public != keys.client_public


def test_needed_only_where_others_can_connect() -> None:
    remote, loopback, ipc = map(Endpoints.parse, ["tcp://0.0.0.0:1", "tcp://127.0.0.1:1", "ipc:///x"])
    assert Keys.of_cluster(ipc, "s") is None
    assert Keys.of_cluster(loopback, "") is None
    assert Keys.of_cluster(loopback, "s") == Keys.of_cluster(remote, "s") == Keys.derive("s")
    with pytest.raises(ConfigError, match=r"cluster\.secret: needed because tcp://0\.0\.0\.0:1"):
        Keys.of_cluster(remote, "")


@pytest.fixture
def server(context: Context) -> Iterator[zmq.Socket[bytes]]:
    keys = Keys.derive("right")
    with authenticated(context, keys), open_socket(context, zmq.ROUTER) as server:
        bind(server, "tcp://127.0.0.1:*", keys, "broker")
        yield server


def gets_in(server: zmq.Socket[bytes], context: Context, keys: Keys | None) -> bool:
    with open_socket(context, zmq.DEALER, keys) as client:
        client.setsockopt(zmq.SNDTIMEO, 5_000)
        with client.get_monitor_socket() as monitor:
            client.connect(bound_address(server))
            while (what := next_event(monitor)) != zmq.EVENT_HANDSHAKE_SUCCEEDED:
                if what in REFUSED:
                    client.disable_monitor()
                    return False
            client.send(b"hello")
            client.disable_monitor()
            return bool(server.poll(5_000)) and server.recv_multipart()[1] == b"hello"


def test_member(server: zmq.Socket[bytes], context: Context) -> None:
    assert gets_in(server, context, Keys.derive("right"))


def test_another_secret(server: zmq.Socket[bytes], context: Context) -> None:
    assert not gets_in(server, context, Keys.derive("wrong"))


def test_no_keys(server: zmq.Socket[bytes], context: Context) -> None:
    assert not gets_in(server, context, None)


def test_server_key_known_but_not_the_client_key(server: zmq.Socket[bytes], context: Context) -> None:
    right, wrong = Keys.derive("right"), Keys.derive("wrong")
    stolen = Keys(right.server_public, wrong.server_secret, wrong.client_public, wrong.client_secret)
    assert not gets_in(server, context, stolen)


def test_nobody_gets_in_where_a_domain_is_named_and_nobody_judges_who_may(context: Context) -> None:
    keys = Keys.derive("right")
    with open_socket(context, zmq.ROUTER) as server:
        bind(server, "tcp://127.0.0.1:*", keys, "broker", Domain.CONTROL)
        assert not gets_in(server, context, keys)
