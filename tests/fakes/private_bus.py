"""A bus of the test's own: a context, and endpoints that no other test uses."""

import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from common.bus import Endpoints


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
