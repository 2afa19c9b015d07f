"""Addresses of the bus."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.endpoints import MAX_IPC_PATH, Endpoints
from common.errors import ConfigError


def test_ipc() -> None:
    endpoints = Endpoints.parse("ipc:///run/camshaft/")
    assert endpoints.control == "ipc:///run/camshaft/control"
    assert endpoints.media_in == "ipc:///run/camshaft/media-in"
    assert endpoints.media_out == "ipc:///run/camshaft/media-out"
    assert endpoints.directory == Path("/run/camshaft")
    assert not endpoints.leaves_machine
    assert endpoints.local == endpoints


def test_tcp_takes_four_ports() -> None:
    endpoints = Endpoints.parse("tcp://broker.example:5550")
    assert endpoints.control == "tcp://broker.example:5550"
    assert endpoints.media_in == "tcp://broker.example:5551"
    assert endpoints.media_out == "tcp://broker.example:5552"
    assert endpoints.join == "tcp://broker.example:5553"
    assert endpoints.directory is None


@pytest.mark.parametrize(
    ("address", "leaves"),
    [
        ("tcp://127.0.0.1:5550", False),
        ("tcp://127.9.9.9:5550", False),
        ("tcp://[::1]:5550", False),
        ("tcp://localhost:5550", False),
        ("tcp://0.0.0.0:5550", True),
        ("tcp://[::]:5550", True),
        ("tcp://*:5550", True),
        ("tcp://eth0:5550", True),
        ("tcp://10.0.0.1:5550", True),
        ("tcp://[2001:db8::1]:5550", True),
    ],
)
def test_leaves_machine(address: str, leaves: bool) -> None:
    assert Endpoints.parse(address).leaves_machine is leaves


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "[::]"])
def test_local_replaces_what_nobody_can_connect_to(host: str) -> None:
    assert Endpoints.parse(f"tcp://{host}:5550").local.control == "tcp://127.0.0.1:5550"
    assert Endpoints.parse("tcp://[::1]:5550").local.control == "tcp://[::1]:5550"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ipc://",
        "ipc:///",
        "ipc:////",
        "ipc://relative/path",
        "tcp://",
        "tcp://host",
        "tcp://:5550",
        "tcp://host:0",
        "tcp://host:65533",
        "tcp://host:port",
        "tcp://::1:5550",
        "tcp://host:5550/path",
        "tcp://u:hunter2@host:5550",
        "udp://host:5550",
        "host:5550",
    ],
)
def test_refuses(address: str) -> None:
    with pytest.raises(ConfigError, match="neither ipc:///DIRECTORY nor tcp://HOST:PORT") as caught:
        Endpoints.parse(address)
    assert caught.value.key == "broker.address"
    assert "hunter2" not in str(caught.value)


def test_refuses_a_path_too_long_for_a_unix_socket() -> None:
    longest = "ipc:///" + "x" * (MAX_IPC_PATH - len("//media-out"))
    Endpoints.parse(longest)
    with pytest.raises(ConfigError, match="too long for the path of a Unix socket"):
        Endpoints.parse(longest + "x")
