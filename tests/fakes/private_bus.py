"""A bus of the test's own: a context, and endpoints that no other test uses."""

import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from common.endpoints import Endpoints


@contextmanager
def private_endpoints() -> Iterator[Endpoints]:
    """``ipc`` endpoints; in /tmp, because pytest's own paths are too long for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="camshaft-test-") as directory:
        yield Endpoints.parse(f"ipc://{directory}")


def free_tcp_endpoints() -> Endpoints:
    """``tcp`` endpoints on four consecutive ports of the loopback that were free a moment ago."""
    for port in random.sample(range(20_000, 32_000, 4), 100):  # below what the system gives out by itself
        probes = [socket.socket() for _ in range(4)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind(("127.0.0.1", port + offset))
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
        return Endpoints.parse(f"tcp://127.0.0.1:{port}")
    raise RuntimeError("no four free ports")


@contextmanager
def zmq_context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    """A context that closes whatever a failing test left open."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(linger=0)


def bound_address(socket: zmq.Socket[bytes]) -> str:
    """Where a socket listens that was bound to any port of the loopback."""
    return f"tcp://127.0.0.1:{socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(':')[2]}"


def next_event(monitor: zmq.Socket[bytes]) -> int:
    """The next event of a socket's monitor, waited for."""
    assert monitor.poll(5_000), "nothing happened to the connection"
    return int.from_bytes(monitor.recv_multipart()[0][:2], "little")
