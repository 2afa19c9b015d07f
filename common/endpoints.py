"""Where the sockets of the bus are: one address, from which workers derive them all; no I/O."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from common.cameras import redact
from common.errors import ConfigError

MAX_PORT = 65_532  # and three more
MAX_IPC_PATH = 107  # bytes: sun_path of a Unix socket less its NUL

_TCP_ADDRESS = re.compile(r"tcp://(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s/:@\[\]]+):(\d{1,5})")
_WILDCARD = re.compile(r"^tcp://(?:\*|0\.0\.0\.0|\[::\]):")


class Part(StrEnum):
    """A part of what stands at the broker's address, each perhaps a process: control plane, or relay of media."""

    CONTROL = "broker"
    RELAY = "media relay"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The sockets of a broker. Workers are told one address and derive the rest."""

    address: str
    control: str  # ROUTER: the control plane
    media_in: str  # XSUB: ingest publishes here
    media_out: str  # XPUB: egress subscribes here
    join: str = ""  # ROUTER: a worker token is exchanged here for a key; none between processes of one machine

    @classmethod
    def parse(cls, address: str) -> Endpoints:
        """``ipc://DIRECTORY`` or ``tcp://HOST:PORT``, which takes PORT and the next three. Raises ``ConfigError``."""
        key = "broker.address"
        directory = address.rstrip("/")
        if directory.startswith("ipc:///"):
            if len(os.fsencode(directory)) + len("/media-out") - len("ipc://") > MAX_IPC_PATH:
                raise ConfigError(f"{address!r} is too long for the path of a Unix socket; use a shorter one", key=key)
            return cls(address, f"{directory}/control", f"{directory}/media-in", f"{directory}/media-out")
        match = _TCP_ADDRESS.fullmatch(address)
        port = int(match[2]) if match else 0
        if match is None or not 0 < port <= MAX_PORT:
            raise ConfigError(
                f"{redact(address)!r} is neither ipc:///DIRECTORY nor tcp://HOST:PORT (to {MAX_PORT})", key=key
            )
        return cls(address, *(f"tcp://{match[1]}:{each}" for each in range(port, port + 4)))

    @property
    def directory(self) -> Path | None:
        """Where the sockets are if the address is ``ipc``."""
        return Path(self.address.removeprefix("ipc://")) if self.address.startswith("ipc://") else None

    @property
    def local(self) -> Endpoints:
        """The same broker for a worker on its machine: nobody can connect to ``*``, ``0.0.0.0`` or ``[::]``."""
        return Endpoints.parse(_WILDCARD.sub("tcp://127.0.0.1:", self.address))

    @property
    def leaves_machine(self) -> bool:
        """Whether others than this machine's own processes can reach the address."""
        if self.directory is not None:
            return False
        host = self.address.removeprefix("tcp://").rpartition(":")[0].strip("[]")
        try:
            return not ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host != "localhost"
