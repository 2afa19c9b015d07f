"""A cluster that is tried out beside another one takes what is free, and nothing that was set is moved."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from camshaft.beside import beside
from common.claim import claimed_directory
from common.config import BrokerConfig, Config, HttpConfig, MediaConfig
from common.config_file import load
from common.endpoints import Endpoints
from rigs.process import free_port

HOST = "127.0.0.1"


class Machine:
    """The usual addresses, on ports that are this test's alone."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.bus = f"ipc://{directory}/bus"
        self.http, self.media = free_port(), free_port("0.0.0.0", socket.SOCK_DGRAM)
        self._stack = stack

    def config(self) -> Config:
        """A configuration in which nothing was set, and these are the usual addresses."""
        return Config.model_construct(
            **{
                **dict(Config()),
                "http": HttpConfig.model_construct(set(), **{**dict(HttpConfig()), "listen": f"{HOST}:{self.http}"}),
                "media": MediaConfig.model_construct(set(), **{**dict(MediaConfig()), "port": self.media}),
                "broker": BrokerConfig.model_construct(set(), address=self.bus),
            }
        )

    def take(self, kind: socket.SocketKind, port: int) -> None:
        taken = self._stack.enter_context(socket.socket(socket.AF_INET, kind))
        taken.bind((HOST if kind == socket.SOCK_STREAM else "", port))
        with suppress(OSError):  # UDP does not listen
            taken.listen()

    def take_bus(self) -> None:
        self._stack.enter_context(claimed_directory(Endpoints.parse(self.bus)))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path, stack)


def test_free_addresses_stay(machine: Machine) -> None:
    config, moved = beside(machine.config(), egresses=1)
    assert config == machine.config()
    assert moved == []


def test_taken_ones_are_moved_and_named(machine: Machine) -> None:
    machine.take(socket.SOCK_STREAM, machine.http)
    machine.take(socket.SOCK_DGRAM, machine.media)
    machine.take_bus()
    config, moved = beside(machine.config(), egresses=1)
    assert config.http.listen.startswith(f"{HOST}:")
    assert config.http.listen != f"{HOST}:{machine.http}"
    assert config.media.port != machine.media
    assert config.broker.address == f"{machine.bus}-2"
    for value in (config.http.listen, f"UDP port {config.media.port}", config.broker.address):
        assert any(value in words for words in moved)


def test_one_that_is_taken_moves_alone(machine: Machine) -> None:
    machine.take(socket.SOCK_STREAM, machine.http)
    config, moved = beside(machine.config(), egresses=1)
    assert (config.media.port, config.broker.address) == (machine.media, machine.bus)
    assert len(moved) == 1


def test_a_media_port_that_is_taken_by_tcp_is_moved_unless_there_is_to_be_none(machine: Machine) -> None:
    with socket.socket() as other:
        other.bind(("", machine.media))
        other.listen()
        config, moved = beside(machine.config(), egresses=1)
        assert config.media.port != machine.media
        assert len(moved) == 1
        without = machine.config()
        without = without.model_copy(update={"media": without.media.model_copy(update={"tcp": "off"})})
        assert beside(without, egresses=1) == (without, [])


def test_media_ports_are_moved_together(machine: Machine) -> None:
    """Each egress takes the next port, so all of them have to be free."""
    with suppress(OSError):  # somebody else's, which does as well
        machine.take(socket.SOCK_DGRAM, machine.media + 1)
    config, _ = beside(machine.config(), egresses=2)
    assert config.media.port not in (machine.media, machine.media + 1)


def test_what_was_set_is_not_moved(machine: Machine) -> None:
    machine.take(socket.SOCK_STREAM, machine.http)
    machine.take(socket.SOCK_DGRAM, machine.media)
    machine.take_bus()
    environ = {
        "CAMSHAFT_HTTP_LISTEN": f"{HOST}:{machine.http}",
        "CAMSHAFT_MEDIA_PORT": str(machine.media),
        "CAMSHAFT_BROKER_ADDRESS": machine.bus,
    }
    given = load(None, environ=environ)
    assert beside(given, egresses=1) == (given, [])
