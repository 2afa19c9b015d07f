"""ICE-lite (RFC 8445 2.5): we offer host candidates and answer checks; the browser does the rest.

One agent a viewer, no task and no timer: the port hands it verified checks, the worker's sweep asks whether its
consent is still fresh (RFC 7675).

A check shows who sent it and not who receives at the address that it came from: source addresses are forged. So media
goes only where the peer has proved that it receives: it answered a check of ours there, signed with its own password,
or it completed there a handshake of which nothing was sent elsewhere.

* Consent belongs to a pair. It is as old as the last proof there; of the selected pair it is asked for again and again.
* A nomination (RFC 8445 8.1.1) counts once its pair has consent; until then media goes where it went.
* Without a proof an address is sent at most ``AMPLIFICATION`` times the bytes that came from it.
* A peer that has never answered a check, as some do not, keeps its consent by checks of its own, but only for the pair
  that its handshake came by.
* An ICE restart (RFC 8445 9) begins another generation of credentials. What an address has proved it has proved, and
  media goes on along the selected pair, with the credentials that it was checked by, until the peer has nominated a
  pair in the new generation and that has consent. The former one is then forgotten.
"""

from __future__ import annotations

import base64
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from common.bucket import TokenBucket
from egress.wire.stun import BindingRequest, BindingResponse, binding_request

CONSENT_TIMEOUT = 30.0  # seconds without a proof after which nothing may be sent any more (RFC 7675 5.1)
CONSENT_INTERVAL = 5.0  # seconds from a proof to the next check of ours (RFC 7675 5.1) …
CONSENT_RETRY = 1.0  # … and between checks that were not answered
DOUBT = 5.0  # seconds to answer one in, for a peer that may have said goodbye in words that cannot be read
CONNECT_TIMEOUT = 20.0  # seconds from the answer to a nominated pair and a DTLS handshake; browsers give up at about 15
MAX_PATHS = 16  # addresses of one viewer that are remembered: a laptop has a few
HEARD_BURST, HEARD_RATE = 100, 100.0  # checks of a peer's that are answered at once, and a second: browsers send 50
CHECK_GAP = 0.1  # seconds between checks of ours on one pair while it has no consent
CHECK_BURST, CHECK_RATE = 2 * MAX_PATHS, 4.0  # checks of ours to one viewer at once, and a second
SWITCH_BURST, SWITCH_RATE = 5, 0.5  # changes of the selected pair at once, and a second: Wi-Fi, mobile, and back
RESTART_BURST, RESTART_RATE = 10, 0.2  # ICE restarts at once, and a second: a train that leaves Wi-Fi after Wi-Fi
MAX_SPENT = 32  # ICE user fragments of the peer's earlier generations that are remembered
AMPLIFICATION = 3  # bytes sent for each byte received, as QUIC has it (RFC 9000 8.1)


class TcpAddress(NamedTuple):
    """The other end of a TCP connection. Its number keeps it apart from UDP there, and from any other connection."""

    host: str
    port: int
    connection: int


Address = tuple[str, int] | tuple[str, int, int, int] | TcpAddress


def _random(length: int) -> str:
    """Letters and digits, of nearly six random bits each: one call of the system's, where one a character is 50 us."""
    return base64.b64encode(secrets.token_bytes(length), b"xy")[:length].decode()


class Path(NamedTuple):
    """One way to a viewer: its address, and which of ours it used, so that we answer from the same.

    A tuple, as one is made for every datagram: a frozen dataclass takes three times as long.
    """

    remote: Address
    local: bytes = b""  # our packed IP address; empty where the system does not tell

    @property
    def transport(self) -> str:
        """The protocol that carries it: ``udp`` or ``tcp``."""
        return "tcp" if isinstance(self.remote, TcpAddress) else "udp"


class Credentials(NamedTuple):
    """The peer's name and password, by which our checks are made and its answers are known."""

    ufrag: str
    password: bytes


NOBODY = Credentials("", b"")  # a peer that cannot be checked


@dataclass(frozen=True, slots=True)
class Generation:
    """The credentials of both sides from an offer, or an ICE restart, to the next."""

    remote: Credentials
    ufrag: str = field(default_factory=lambda: _random(8))
    password: str = field(default_factory=lambda: _random(24), repr=False)


@dataclass(slots=True)
class Pair:
    """One address of the peer's, and what it has shown. Times are monotonic seconds."""

    path: Path
    generation: Generation  # by which it was checked last, and by which we check it
    received: int = 0  # bytes while nothing was proved …
    sent: int = 0  # … and bytes that went there
    proved_at: float = float("-inf")
    by_handshake: bool = False
    transaction: bytes = b""  # of our check that is not answered yet
    checked_at: float = float("-inf")  # when that was sent last
    round_trip: float | None = None  # seconds that the answer to our last check took

    def consents(self, now: float) -> bool:
        """Whether the peer has proved, not long ago, that it receives here."""
        return now - self.proved_at <= CONSENT_TIMEOUT

    def allows(self, size: int) -> bool:
        """Whether so many bytes may be sent here, which are then counted."""
        if self.proved_at == float("-inf"):
            if self.sent + size > AMPLIFICATION * self.received:
                return False
            self.sent += size
        return True


class PaddedCheck(NamedTuple):
    """A check of ours that shows, by its answer, that a datagram of its size arrives."""

    transaction: bytes
    datagram: bytes


class IceAgent:
    """The ICE state of one viewer. All times are monotonic seconds."""

    def __init__(self, created: float, remote: Credentials = NOBODY) -> None:
        self.created = created
        self.current = Generation(remote)
        self.former: Generation | None = None  # of the selected pair, while the current one has selected none
        self.retired: list[
            str
        ] = []  # our user fragments that no check may name any more; taken by who leads checks here
        self.spent: deque[str] = deque(maxlen=MAX_SPENT)  # the peer's, before the current one
        self.pairs: dict[Address, Pair] = {}  # every address that passed a check, oldest first
        self.nominated: Address | None = None  # what the browser wants media to go to …
        self.selected: Path | None = None  # … and where it goes
        self.answers = False  # the peer has answered a check of ours
        self.hearing = TokenBucket(HEARD_BURST, HEARD_RATE)  # of checks that come
        self._renewed = True  # the current generation has nominated, if there is a former one
        self._tie_breaker = secrets.token_bytes(8)
        self._checks = TokenBucket(CHECK_BURST, CHECK_RATE)
        self._switches = TokenBucket(SWITCH_BURST, SWITCH_RATE)
        self._restarts = TokenBucket(RESTART_BURST, RESTART_RATE)

    @property
    def ufrag(self) -> str:
        """Our user fragment now."""
        return self.current.ufrag

    @property
    def password(self) -> str:
        """Our password now."""
        return self.current.password

    @property
    def remote(self) -> Credentials:
        """The peer's credentials now."""
        return self.current.remote

    @property
    def selected_pair(self) -> Pair | None:
        """The pair along which media goes."""
        return self.pairs.get(self.selected.remote) if self.selected is not None else None

    def generation(self, ufrag: str) -> Generation:
        """The one in which our user fragment is ``ufrag``: the former, if that is its, else the current."""
        former = self.former
        return former if former is not None and former.ufrag == ufrag else self.current

    def restart(self, remote: Credentials, now: float) -> bool:
        """Begin another generation; ``False`` if there were too many of late.

        Media goes on where it goes, and checks with the former credentials are answered until there is a better place.
        """
        if not self._restarts.take(now):
            return False
        if self.selected is not None and self.former is None:
            self.former = self.current
        else:  # nothing was ever sent by it
            self.retired.append(self.current.ufrag)
        self.spent.append(self.current.remote.ufrag)
        self.current, self._renewed = Generation(remote), False
        return True

    def heard(self, request: BindingRequest, path: Path, size: int, now: float) -> Pair:
        """Take note of a check of the peer's, ``size`` bytes and verified. Returns the pair that it came by."""
        generation = self.generation(request.local_ufrag)
        pair = self.pairs.get(path.remote)
        if pair is None:
            pair = self.pairs[path.remote] = Pair(path, generation)
        elif generation is self.current:
            pair.generation = generation
        pair.received += size
        # The last one counts: browsers renominate when a better path appears. But none of the former generation does
        # any more once there was one of the current.
        if request.use_candidate and (generation is self.current or not self._renewed):
            self._renewed |= generation is self.current
            self.nominated = path.remote
            pair.path = path
        if pair.by_handshake and not self.answers and pair.consents(now):
            pair.proved_at = now
        return pair

    def check(self, pair: Pair, now: float) -> bytes | None:
        """A check of ours to be sent on ``pair``, where one of the peer's has come; ``None`` while none is due."""
        if pair.consents(now + CONSENT_INTERVAL) or now - pair.checked_at < CHECK_GAP or not self._checks.take(now):
            return None
        return self._check(pair, now)

    def consent_check(self, now: float) -> tuple[Pair, bytes] | None:
        """The selected pair and a check that asks for its consent again; ``None`` while none is due."""
        pair = self.selected_pair
        if pair is None or now - pair.proved_at < CONSENT_INTERVAL or now - pair.checked_at < CONSENT_RETRY:
            return None
        datagram = self._check(pair, now)
        return None if datagram is None else (pair, datagram)

    def padded_check(self, pair: Pair, size: int) -> PaddedCheck:
        """A check of ``size`` bytes, a multiple of 4, for a pair that has consent: its answer renews nothing."""
        transaction = secrets.token_bytes(12)
        return PaddedCheck(transaction, self._request(pair, transaction, size))

    def answered(self, response: BindingResponse, path: Path, now: float) -> Pair | None:
        """Take a response: a proof, if it answers our check there. Returns the pair that is proved, else ``None``."""
        pair = self.pairs.get(path.remote)
        if pair is None or not pair.transaction or pair.transaction != response.transaction:
            return None
        if not response.verify(pair.generation.remote.password):
            return None
        self.answers = True
        pair.transaction = b""
        pair.proved_at, pair.round_trip = now, now - pair.checked_at
        return pair

    def shook_hands(self, pair: Pair, now: float) -> None:
        """Take a handshake that was completed on ``pair`` for a proof: our part of it was sent nowhere else."""
        pair.proved_at = now
        pair.by_handshake = True

    def select(self, pair: Pair, now: float) -> bool:
        """Let media go along ``pair``, if that has consent and the peer wants it. ``True`` if it did not before."""
        if not pair.consents(now):
            return False
        changes = self.selected != pair.path
        if changes and self.selected is not None and self.selected.remote != pair.path.remote:
            if self.nominated != pair.path.remote or not self._switches.take(now):
                return False
        elif self.selected is None and self.nominated != pair.path.remote and not pair.by_handshake:
            return False
        self.selected = pair.path
        if self.former is not None and self._renewed and self.nominated == pair.path.remote:
            self.retired.append(self.former.ufrag)
            self.former = None
        return changes

    def forget_paths(self) -> list[Pair]:
        """Forget the oldest paths beyond MAX_PATHS and return them."""
        used = {self.selected.remote if self.selected is not None else None, self.nominated}
        candidates = (address for address in tuple(self.pairs) if address not in used)
        return [self.pairs.pop(next(candidates)) for _ in range(len(self.pairs) - MAX_PATHS)]

    def lost(self, address: Address) -> Pair | None:
        """A connection is closed. Its pair is forgotten and returned, unless media goes or is wanted there.

        Then it stays until its consent expires: browsers connect anew, and nominate what they have then.
        """
        if address == self.nominated or (self.selected is not None and address == self.selected.remote):
            return None
        return self.pairs.pop(address, None)

    def doubt(self, now: float) -> None:
        """Doubt that the peer is there: its consent expires soon, unless it answers."""
        if (pair := self.selected_pair) is not None:
            pair.proved_at = min(pair.proved_at, now - CONSENT_TIMEOUT + DOUBT)

    def expired(self, now: float) -> str:
        """The reason why this viewer must be given up, empty while there is none."""
        if self.nominated is None:
            return "ICE never connected" if now - self.created > CONNECT_TIMEOUT else ""
        if self.selected is None or self.pairs[self.selected.remote].consents(now):
            return ""
        return "consent expired"

    def _check(self, pair: Pair, now: float) -> bytes | None:
        if not pair.generation.remote.password:
            return None
        transaction = pair.transaction or secrets.token_bytes(12)
        datagram = self._request(pair, transaction)
        if not pair.allows(len(datagram)):
            return None
        pair.transaction, pair.checked_at = transaction, now  # the same until it is answered, as on a slow path
        return datagram

    def _request(self, pair: Pair, transaction: bytes, size: int = 0) -> bytes:
        ours, theirs = pair.generation.ufrag, pair.generation.remote
        return binding_request(transaction, f"{theirs.ufrag}:{ours}", self._tie_breaker, theirs.password, size=size)
