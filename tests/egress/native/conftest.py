"""Media sockets of the product, on the loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from egress.wire.port import MediaSocket
from tests.fakes.native import LOOPBACK


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def media_socket(request: pytest.FixtureRequest) -> Iterator[MediaSocket]:
    try:
        opened = MediaSocket(request.param, LOOPBACK[request.param], 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    yield opened
    opened.socket.close()


@pytest.fixture
def ipv4() -> Iterator[MediaSocket]:
    opened = MediaSocket(socket.AF_INET, "", 0)
    yield opened
    opened.socket.close()
