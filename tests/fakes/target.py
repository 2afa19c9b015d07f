"""A viewer's address that keeps what is sent to it, and whose buffer can be made to fill up."""

from __future__ import annotations

from dataclasses import dataclass, field

from egress.media.target import Refusal
from egress.wire.ice import Path


@dataclass(eq=False)
class FakeTarget:
    """Stands in for a way to a viewer that the compiled fan-out cannot send by."""

    path: Path = field(default_factory=lambda: Path(("192.0.2.1", 5000)))
    datagrams: list[bytes] = field(default_factory=list)
    calls: int = 0
    full: bool = False
    room: int | None = None  # calls until it is full
    refuses: int = 0  # calls before it takes anything
    stalled: bool = False
    reliable: bool = False
    taken: int = 0  # datagrams of each run that it refuses

    @property
    def route(self) -> None:
        return None

    def refused(self, code: int, *, segmented: bool) -> Refusal:
        raise AssertionError("nothing compiled sends here")

    def settle(self) -> None:
        pass

    def send(self, datagram: bytes | memoryview) -> bool:
        return self.send_run(memoryview(datagram), len(datagram))

    def send_run(self, datagrams: memoryview, size: int) -> bool:
        if self.refuses:
            self.refuses -= 1
            return False
        if self.full or self.calls == self.room:
            self.datagrams += [bytes(datagrams[at * size : (at + 1) * size]) for at in range(self.taken)]
            return False
        self.calls += 1
        self.datagrams += [bytes(datagrams[at : at + size]) for at in range(0, len(datagrams), size)]
        return True

    def take(self) -> list[bytes]:
        """The datagrams since the last call."""
        datagrams, self.datagrams = self.datagrams, []
        return datagrams
