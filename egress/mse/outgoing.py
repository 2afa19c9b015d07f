"""The way out to one viewer: whole messages, in order, never more than its connection takes; pure.

Of a message that is taken in part the rest is kept and goes before anything else; until then the viewer is *blocked*.
Little can wait beside it: pongs and pings, within a bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from egress.mse.websocket import Opcode, frame

MAX_CONTROL_QUEUE = 4_096  # bytes that wait while it is blocked: who asks and does not read gets no more


class Outlet(Protocol):
    """The way to a viewer's browser."""

    remote: str  # address of the browser, as people write it
    direct: Callable[[bytes], int]  # as ``send``, and raises ``BlockingIOError`` where nothing is taken now

    def send(self, data: bytes | memoryview) -> int:
        """Send what is taken at once; returns how many bytes. Raises ``OSError`` if it is broken."""

    def await_room(self) -> None:
        """Have the viewer's ``writable`` called once more can be sent."""

    def hear_no_more(self) -> None:
        """Read nothing more, though it can still be sent to."""

    def close(self) -> None:
        """Send nothing more."""


class Outgoing:
    """A viewer's end of its outlet, which comes when its connection has been handed over."""

    def __init__(self) -> None:
        self.octets = 0
        self.blocked = True  # nothing can be sent now
        self.broken = ""  # why nothing can be sent any more
        self.outlet: Outlet | None = None
        self._rest: memoryview | None = None
        self._control = bytearray()

    def open(self, outlet: Outlet, head: bytes) -> None:
        """Send by this outlet from now on, and first of all ``head``."""
        self.outlet, self.blocked = outlet, False
        self._control[:0] = head
        self.flush()

    def say(self, opcode: Opcode, data: bytes = b"") -> None:
        """Add a short message, which goes out with the next ``flush`` or ``send``. Too many of them are dropped."""
        if len(self._control) < MAX_CONTROL_QUEUE:
            self._control += frame(opcode, data)

    def flush(self) -> bool:
        """Send what waits. ``False`` if not all of it was taken."""
        if self.outlet is None or self.broken:
            return False
        if self._rest is not None:
            rest, self._rest = self._rest, None
            self._write(rest)
        if self._control and not self.blocked:
            data, self._control = memoryview(bytes(self._control)), bytearray()
            self._write(data)
        return not self.blocked

    def send(self, data: bytes) -> None:
        """Send a message, or several; not to be called while it is blocked."""
        if self._control and not self.flush():
            self._rest = memoryview(bytes(self._rest or b"") + data)
            return
        self._write(data)

    def stuck(self, data: bytes, sent: int) -> None:
        """Keep the rest of a message sent past us: ``sent`` bytes were taken, less than none if it broke."""
        assert self.outlet is not None
        if sent < 0:
            self._write(data)  # which finds out why
            return
        self.blocked = True
        if sent:
            self._rest = memoryview(data)[sent:]
        self.outlet.await_room()

    def writable(self) -> None:
        """Go on: the outlet has room again."""
        self.blocked = False
        self.flush()

    def close(self, farewell: bytes) -> None:
        """Say goodbye, unless that would break into a message, and send nothing more."""
        if self.outlet is None:
            return
        if not self.blocked and not self.broken:
            self._write(bytes(self._control) + farewell)
        self.outlet.close()
        self.blocked = True

    def _write(self, data: bytes | memoryview) -> None:
        assert self.outlet is not None
        try:
            sent = self.outlet.send(data)
        except OSError as exc:
            self.broken = f"its connection broke: {exc.strerror or exc}"
            self.blocked = True
            return
        self.octets += sent
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self.blocked = True
            self.outlet.await_room()
