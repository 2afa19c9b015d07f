"""The words with which the broker hands a viewer's connection over to an egress, by a socket of one machine.

The connection itself goes along as a file descriptor (``SCM_RIGHTS``). By the session's secret name the egress knows
whose it is; the answer to the WebSocket handshake is sent by the egress, so that nothing was said if it cannot be.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import msgpack

from common.errors import ProtocolError
from common.sessions import SessionName

MAX_HANDOVER = 4_096  # bytes; an answer's head has some hundred


@dataclass(frozen=True, slots=True)
class Handover:
    """One viewer's connection; ``head`` is the answer to its handshake, ``remote`` the address of its browser."""

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
