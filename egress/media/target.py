"""The destination of one viewer's datagrams, as the fan-out sees it, whatever carries them; pure.

In ``egress.wire.port`` a target is a UDP address; in ``egress.wire.tcp`` it is a TCP connection that frames its packets
(RFC 4571). The latter has no ``route``, so only Python can serve it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from egress import native

MAX_SEGMENTS = 64  # datagrams in one run: UDP_MAX_SEGMENTS before Linux 6.9


class Refusal(Enum):
    """The reason why nothing was sent, as far as it matters."""

    FULL = auto()  # the buffer on its way
    NO_GSO = auto()  # to this destination: to be sent again, and from now on a datagram at a time
    LOST = auto()  # for any other reason, such as no route: it would fail again


class Target(Protocol):
    """One viewer's end of the way to it."""

    @property
    def reliable(self) -> bool:
        """Whether everything sent arrives in order, unless the connection is gone."""

    @property
    def stalled(self) -> bool:
        """Whether it is known to be full; there is no point in sending until that changes."""

    @property
    def taken(self) -> int:
        """How many datagrams of the last refused run have left nonetheless."""

    @property
    def route(self) -> native.Route | None:
        """The target as the compiled fan-out takes it; ``None`` if that cannot send here."""

    def refused(self, code: int, *, segmented: bool) -> Refusal:
        """Learn from the ``errno`` with which the compiled fan-out's send of one or, ``segmented``, several failed."""

    def send_run(self, datagrams: memoryview, size: int) -> bool:
        """Send datagrams that lie back to back, each ``size`` bytes, the last perhaps fewer.

        ``False`` if the buffer is full and only ``taken`` datagrams have left. Any other failure is counted, and the
        datagrams are lost.
        """
