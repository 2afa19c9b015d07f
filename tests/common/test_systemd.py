"""Words to systemd, heard by a socket of our own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.systemd import READY, notify, watchdog

Listen = Callable[[str], socket.socket]


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listen]:
    """Be systemd at an address, as ``NOTIFY_SOCKET`` spells it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:

        def start(address: str) -> socket.socket:
            ours.bind(f"\0{address[1:]}" if address.startswith("@") else address)
            ours.setblocking(False)
            monkeypatch.setenv("NOTIFY_SOCKET", address)
            return ours

        yield start


def test_a_path_is_told(listen: Listen, tmp_path: Path) -> None:
    ours = listen(f"{tmp_path}/notify")
    notify(READY)
    assert ours.recv(100) == b"READY=1"


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="not Linux")
def test_an_abstract_name_is_told(listen: Listen) -> None:
    ours = listen(f"@camshaft-test-{os.getpid()}")
    notify(READY)
    assert ours.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative", "/no/such/socket", "/" + "x" * 200])
def test_nobody_to_tell_is_no_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify(READY)


def test_a_systemd_that_does_not_read_holds_nobody_up(listen: Listen, tmp_path: Path) -> None:
    listen(f"{tmp_path}/notify")
    for _ in range(10_000):
        notify(READY)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),  # for a parent of ours
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_often_systemd_wants_to_hear_of_us(given: dict[str, str], seconds: float | None) -> None:
    assert watchdog(given, pid=7) == seconds
