"""The words with which the broker hands a viewer's connection over to an egress, and those that say where it can.

On one machine the connection itself goes along as a file descriptor (``SCM_RIGHTS``), by a socket whose name the egress
tells in its answer. Elsewhere the broker connects to a TCP port of the egress by TLS, knows it by its certificate's
fingerprint, says the same words, and passes on what comes. By the session's secret name the egress knows whose it is.
The broker has answered the WebSocket handshake just before, and so it is no HTTP any more what an egress could say.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import asdict, dataclass, field

import msgpack

from common.errors import ProtocolError
from common.sessions import SessionName

MAX_HANDOVER = 4_096  # bytes; an answer's head has some hundred
MAX_REMOTE = 16  # addresses of an egress that are tried
LENGTH = 2  # bytes before the words on a TCP connection, which say how long these are


@dataclass(frozen=True, slots=True)
class Doors:
    """Where an egress takes connections: by a socket in the abstract namespace of its machine, and by TLS."""

    local: str = ""  # with "@" in the place of NUL; empty for none
    remote: tuple[tuple[str, int], ...] = ()  # addresses and ports
    fingerprint: str = ""  # of the certificate there: SHA-256, in hexadecimal

    @classmethod
    def parse(cls, text: str) -> Doors:
        """Read them. Raises ``ProtocolError``."""
        if len(text) > MAX_HANDOVER:
            raise ProtocolError("too long for where a connection can be handed over")
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise ProtocolError(f"not JSON: {exc}") from None
        match fields:
            case {"local": str(local), "remote": list(remote), "fingerprint": str(fingerprint)} if (
                local.isascii() and fingerprint.isascii()
            ):
                found = [(host, port) for host, port in map(_pair, remote[:MAX_REMOTE]) if 0 < port < 1 << 16]
                return cls(local, tuple(found), fingerprint)
        raise ProtocolError("not where a connection can be handed over")

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def _pair(item: object) -> tuple[str, int]:
    match item:
        case [str(host), int(port)] if _is_address(host):  # a name would have the broker ask a resolver
            return host, port
    raise ProtocolError("not an address and a port")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Handover:
    """One viewer's connection; ``remote`` is the address of its browser, ``head`` what it is to be sent first: nothing,
    but by a broker of the release before this, which has the egress answer the handshake."""

    session: SessionName
    remote: str
    head: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Handover:
        """Read one. Raises ``ProtocolError``."""
        try:
            fields = msgpack.unpackb(data)
        except (ValueError, msgpack.UnpackException) as exc:
            raise ProtocolError(f"not msgpack: {exc}") from None
        match fields:
            case {"session": str(session), "remote": str(remote), "head": bytes(head)}:
                return cls(SessionName(session), remote, head)
        raise ProtocolError("not a hand-over")

    def __bytes__(self) -> bytes:
        packed: bytes = msgpack.packb(asdict(self))
        return packed
