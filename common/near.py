"""How subscribers and publishers of one machine find each other, so that media between them need not pass the relay.

A subscriber listens at an abstract Unix socket (unix(7)) of its own and calls all publishers by subscribing to a topic
that names it. A publisher that hears the call connects, and shows by the call's ``ticket`` that it is on the bus; one
that cannot connect sends the topic back as a frame, and the subscriber stays with the relay. A call's topic begins with
``@``, with which no rendition does.

The name of such a socket is no secret: /proc/net/unix shows it to everybody in the network namespace, and everybody
there may connect. What protects is that each side asks the kernel for the other's user, and the ticket.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field

from common.errors import ProtocolError

CALL = b"@near\0"  # each call's topic begins with it
AVAILABLE = sys.platform == "linux"  # there are abstract sockets, and the kernel says whose the other end is
SINCE = 2  # the first wire version whose publishers hear calls (``common.wire``)
_DIGITS = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Call:
    """A subscriber's call: the name by which it takes replays, that of its socket, and proof of who has heard it."""

    node: str
    name: str  # 32 hexadecimal digits, so that no two are alike
    ticket: str = field(repr=False)  # as many

    @property
    def topic(self) -> bytes:
        """The topic that is subscribed to."""
        return CALL + f"{self.node}\0{self.name}\0{self.ticket}\0".encode()

    @property
    def address(self) -> str:
        """The address of the socket; the NUL makes it abstract."""
        return f"\0camshaft-near-{self.name}"

    @classmethod
    def parse(cls, topic: bytes) -> Call:
        """A call by its topic. Raises ``ProtocolError`` if it is none."""
        try:
            parts = topic.removeprefix(CALL).decode("ascii").split("\0")
        except UnicodeDecodeError:
            raise ProtocolError("a call is not ASCII") from None
        if len(parts) != 4 or not parts[0] or parts[3] or not all(_DIGITS.fullmatch(each) for each in parts[1:3]):
            raise ProtocolError("not a call")
        return cls(*parts[:3])
