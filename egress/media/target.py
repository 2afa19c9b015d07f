"""Where one viewer's datagrams go, as far as the fan-out needs to know, whatever carries them; pure.

``egress.wire.port`` has the target that is a UDP address, ``egress.wire.tcp`` one that is a TCP connection and frames
its packets (RFC 4571). The latter has no ``route``, and is served by Python alone.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from egress import native

MAX_SEGMENTS = 64  # datagrams in one run: UDP_MAX_SEGMENTS before Linux 6.9


class Refusal(Enum):
    """Why nothing was sent, as far as it matters."""

    FULL = auto()  # the buffer on its way
    NO_GSO = auto()  # to this destination: to be sent again, and from now on a datagram at a time
    LOST = auto()  # for any other reason, such as no route: it would fail again


class Target(Protocol):
    """One viewer's end of the way to it."""

    @property
    def reliable(self) -> bool:
        """Whether everything that is sent arrives, in its order, unless the way is gone."""

    @property
    def stalled(self) -> bool:
        """Whether it is known to be full; it need not be asked before that has changed."""

    @property
    def taken(self) -> int:
        """How many datagrams of the run that it refused last have left nonetheless."""

    @property
    def route(self) -> native.Route | None:
        """The target as the compiled fan-out takes it; ``None`` if that cannot send here."""

    def refused(self, code: int, *, segmented: bool) -> Refusal:
        """Learn from the ``errno`` with which the compiled fan-out's send of one or, ``segmented``, several failed."""

    def send_run(self, datagrams: memoryview, size: int) -> bool:
        """Send datagrams that lie back to back, each ``size`` bytes, the last perhaps fewer.

        ``False`` if the buffer is full and only as many have left as ``taken`` says; any other failure is counted and
        lost.
        """
