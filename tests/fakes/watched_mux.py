"""A ``Mux`` with a browser that watches, on a wire that keeps what is sent."""

from __future__ import annotations

import socket
from typing import Any

from aioice import stun

from egress.media.stream import Stream
from egress.mux import Mux
from egress.viewer import Viewer
from egress.wire.ice import Address, Generation, Path
from egress.wire.port import UdpTarget
from egress.wire.stun import BINDING_REQUEST, kind_of
from rigs.browser import Browser
from rigs.ice import answer as respond
from tests.fakes.media import gop_stream
from tests.fakes.session import viewer_of

HOME, MOBILE, VICTIM = ("192.0.2.1", 1), ("198.51.100.1", 2), ("203.0.113.1", 3)


class Wire:
    """Stands in for a ``MediaSocket``, and keeps what is sent by address."""

    def __init__(self) -> None:
        self.socket = self
        self.family = socket.AF_INET
        self.gso = False
        self.sent: dict[Address, list[bytes]] = {}

    def way(self, path: Path) -> UdpTarget:
        return UdpTarget(self, path)  # type: ignore[arg-type]

    def sendto(self, data: bytes, address: Address) -> int:
        self.sent.setdefault(address, []).append(bytes(data))
        return len(data)

    def sendmsg(self, buffers: object, ancillary: object, flags: int, address: Address) -> int:
        raise AssertionError("no source address is known here")

    def take(self, address: Address) -> list[bytes]:
        """All that has been sent there since the last call."""
        return self.sent.pop(address, [])


BLACK_HOLE = Wire()


def viewer(session: str) -> Viewer:
    return viewer_of(Browser().offer(), Stream("front-door", lambda: None), session)


def receive(mux: Mux, data: bytes, address: Address, now: float = 0.0, wire: Wire = BLACK_HOLE) -> None:
    mux.receive(data, Path(address), wire, now, int(now * 1e9), 0.0)  # type: ignore[arg-type]


def check(
    mux: Mux,
    viewer: Viewer,
    address: Address,
    now: float = 0.0,
    *,
    nominate: bool = False,
    answer: bool = False,
    wire: Wire = BLACK_HOLE,
    former: Generation | None = None,
) -> int:
    """The browser checks ``address``; with ``answer`` it gets our check there and answers. Returns the check's size.

    By the credentials of now, or the ``former``.
    """
    generation = former or viewer.reach.agent.current
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = f"{generation.ufrag}:theirs"
    if nominate:
        request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(generation.password.encode())
    wire.take(address)
    receive(mux, bytes(request), address, now, wire)
    for datagram in wire.sent.get(address, []) if answer else ():
        if kind_of(datagram) == BINDING_REQUEST:
            receive(mux, respond(datagram, generation.remote), address, now, wire)
    return len(bytes(request))


class Watching:
    """A browser at HOME that has connected and gets a picture."""

    def __init__(self) -> None:
        self.mux, self.wire, self.browser = Mux(), Wire(), Browser()
        self.stream = Stream("front-door", lambda: None)
        self.source = gop_stream()
        self.viewer = viewer_of(self.browser.offer(), self.stream)
        self.mux.add(self.viewer)
        self.now = 0.0
        self.check(HOME, answer=True)
        self.browser.start_dtls()
        while datagrams := self.browser.take():
            for datagram in datagrams:
                receive(self.mux, datagram, HOME, self.now, self.wire)
            for datagram in self.wire.take(HOME):
                if datagram[0] > 3:
                    self.browser.receive(datagram)
        self.play()
        assert self.media(HOME)

    def check(
        self, address: Address, *, nominate: bool = True, answer: bool = False, former: Generation | None = None
    ) -> int:
        how: dict[str, Any] = {"nominate": nominate, "answer": answer, "former": former}
        return check(self.mux, self.viewer, address, self.now, wire=self.wire, **how)

    def play(self) -> None:
        batch = next(self.source)
        self.stream.incoming.receive(batch, now=self.now, unix_ns=batch.arrival_ns)
        for sender in self.viewer.senders.values():
            sender.catch_up(self.now)

    def media(self, address: Address) -> int:
        """Bytes of media that have gone to an address since the last call."""
        return sum(len(datagram) for datagram in self.wire.take(address) if datagram[0] >= 128)

    def sweep(self) -> None:
        self.viewer.sweep(now=self.now, unix_ns=int(self.now * 1e9))
        self.mux.keep_consent(self.viewer, self.now)
