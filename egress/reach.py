"""How one viewer is reached: the way to it, the DTLS handshake there, and what may be sent before it has proved itself.

The handshake goes where its datagrams come from until a path is selected (``egress.wire.ice``), and only as many bytes
as an address may be sent that has proved nothing; the rest of a flight waits for the proof. All else goes to the
selected path.
"""

from __future__ import annotations

from common.bucket import TokenBucket
from egress.negotiation import Terms
from egress.wire.dtls import DtlsServer, Identity
from egress.wire.ice import Address, IceAgent, Pair, Path
from egress.wire.way import Carrier, Way

DTLS_BURST, DTLS_RATE = 40, 400.0  # datagrams at once, and a second: a handshake has ten, and repetitions


class Reach:
    """One viewer's addresses and association. Times are monotonic seconds."""

    def __init__(self, identity: Identity, negotiated: Terms, now: float) -> None:
        self.agent = IceAgent(now, negotiated.ice)
        self.dtls = DtlsServer(identity, negotiated.fingerprints, self.send)
        self.way: Way | None = None  # to the selected path, or before to where the handshake comes from
        self.round_trip: float | None = None  # seconds that the handshake took, and no longer than that
        self.ignored = 0  # datagrams of DTLS: from addresses that no check has come from, and too many
        self._pair: Pair | None = None  # of the way
        self._shown: set[Address] = set()  # where our part of the handshake was sent
        self._answered_at: float | None = None  # when we did first in the handshake
        self._withheld = False  # something of the handshake, until the address has proved more
        self._budget = TokenBucket(DTLS_BURST, DTLS_RATE)

    @property
    def selected(self) -> Way | None:
        """Where media goes, ``None`` before a path is selected."""
        return self.way if self.agent.selected is not None else None

    @property
    def ready(self) -> bool:
        """Whether media can be sent: there is a path for it, and there are keys."""
        return self.dtls.connected and self.agent.selected is not None

    @property
    def seen_at(self) -> list[str]:
        """The addresses that it was heard from, that where media goes first; ``tcp`` is said of connections."""
        paths = [pair.path for pair in self.agent.pairs.values()]
        ordered = sorted(paths, key=lambda path: path != self.agent.selected)
        return [described(path) for path in ordered]

    @property
    def transport(self) -> str:
        """The protocol below, and the version of IP; empty while nothing was heard from it."""
        if self.way is None:
            return ""
        return f"{self.way.path.transport}{6 if ':' in self.way.path.remote[0] else 4}"

    def way_to(self, carrier: Carrier, path: Path) -> Way:
        """The way that answers along ``path``: the one that everything is sent by, if it is that."""
        current = self.way
        return current if current is not None and current.path == path else carrier.way(path)

    def aim(self, way: Way) -> None:
        """Send everything this way."""
        self.way, self._pair = way, self.agent.pairs[way.path.remote]

    def proved(self, way: Way) -> None:
        """Go on with what was held back of the handshake: the viewer receives at the end of this way."""
        if self._withheld and self.way is not None and self.way.path.remote == way.path.remote:
            self._withheld = False
            self.dtls.repeat()

    def receive(self, datagram: bytes, way: Way, now: float, waited: float) -> bool:
        """Take a DTLS datagram that has waited for us so many seconds: they are no part of the round trip.

        ``True`` if it has proved that media may go this way.
        """
        pair = self.agent.pairs.get(way.path.remote)
        if pair is None or not self._budget.take(now):
            self.ignored += 1
            return False
        pair.received += len(datagram)
        if self.agent.selected is None:
            self.aim(way)
        before, answered = self.dtls.connected, self.dtls.receive(datagram)
        if self.dtls.doubted:  # it may be goodbye: the sweep asks for consent at once
            self.dtls.doubted = False
            self.agent.doubt(now)
        if before or not self.dtls.connected:
            if answered and self._answered_at is None:
                self._answered_at = now
            return False
        if self._answered_at is not None:
            self.round_trip = now - waited - self._answered_at
        if self._shown != {way.path.remote}:
            return False
        self.agent.shook_hands(pair, now)
        return self.agent.select(pair, now)

    def send(self, datagram: bytes) -> None:
        """Send a datagram of DTLS or SRTCP, if there is a way and it may be sent there."""
        if self.way is None or self._pair is None:
            return
        if not self._pair.allows(len(datagram)):
            self._withheld = True
            return
        if not self.dtls.connected:
            self._shown.add(self._pair.path.remote)
        self.way.send(datagram)


def other_end(path: Path) -> str:
    """The other end's address as people write it."""
    host, port = path.remote[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def described(path: Path) -> str:
    """The other end's address as people write it, and ``tcp`` if that carries it."""
    return f"{other_end(path)} tcp" if path.transport == "tcp" else other_end(path)
