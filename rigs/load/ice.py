"""An ICE agent for one UDP component (RFC 8445): full, controlling or controlled, host candidates only.

Pure: datagrams and the time go in, datagrams with their destination come out. There is no role conflict to resolve,
since the side that offers controls and the other does not (RFC 8445 6.1.1), a lite peer included.
"""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, field

from rigs.load import stun
from rigs.load.stun import Message, StunError

Address = tuple[str, int]

FIRST_RETRY = 0.05  # seconds; doubles with each retransmission of an unanswered check
LAST_RETRY = 1.6  # seconds
CONSENT_TIMEOUT = 30.0  # seconds without an answer after which the peer is gone
HOST_PRIORITY = 126 << 24 | 65_535 << 8 | 255  # RFC 8445 5.1.2.1, component 1
PEER_REFLEXIVE_PRIORITY = 110 << 24 | 65_535 << 8 | 255


@dataclass(slots=True)
class _Check:
    """A check that may be under way to one address."""

    address: Address
    retry_at: float
    interval: float = FIRST_RETRY


@dataclass(slots=True)
class IceAgent:
    """One agent. ``nominated`` is where media goes once it is set."""

    controlling: bool
    consent_interval: float = 5.0  # seconds, randomised by ±20 % (RFC 7675 5.1)
    ufrag: str = field(default_factory=lambda: secrets.token_hex(4))
    password: str = field(default_factory=lambda: secrets.token_hex(12))
    nominated: Address | None = None
    consent_at: float = 0.0  # when the nominated peer last answered
    round_trips: list[float] = field(default_factory=list)  # seconds, of consent checks
    _remote_ufrag: str = ""
    _remote_key: bytes = b""
    _checks: dict[Address, _Check] = field(default_factory=dict)
    _pending: dict[bytes, tuple[Address, float, bool]] = field(default_factory=dict)  # sent at, with USE-CANDIDATE
    _consent_due: float = 0.0
    _chosen: Address | None = None  # RFC 8445 8.1.1: only one pair is ever nominated, and only by the controlling side
    _tie_breaker: bytes = field(default_factory=lambda: secrets.token_bytes(8))

    def set_remote(self, ufrag: str, password: str, candidates: list[Address], now: float) -> None:
        """Take the peer's credentials and candidates; checks are due from now on."""
        self._remote_ufrag, self._remote_key = ufrag, password.encode()
        for address in candidates:
            self._checks.setdefault(address, _Check(address, now))

    def due(self, now: float) -> list[tuple[bytes, Address]]:
        """Checks to be sent now: connectivity checks until one address is nominated, then consent (RFC 7675)."""
        if not self._remote_key:
            return []
        if self.nominated is not None:
            if now < self._consent_due:
                return []
            self._consent_due = now + self.consent_interval * random.uniform(0.8, 1.2)
            self._pending = {k: v for k, v in self._pending.items() if now - v[1] < CONSENT_TIMEOUT}
            return [self._request(self.nominated, now, nominate=False)]
        requests = []
        for check in self._checks.values():
            if now >= check.retry_at:
                requests.append(self._request(check.address, now, nominate=check.address == self._chosen))
                check.retry_at = now + check.interval
                check.interval = min(LAST_RETRY, check.interval * 2)
        return requests

    def expired(self, now: float) -> bool:
        """Whether the peer's consent is gone."""
        return self.nominated is not None and now - self.consent_at > CONSENT_TIMEOUT

    def receive(self, data: bytes, source: Address, now: float) -> list[tuple[bytes, Address]]:
        """A STUN message from ``source``; returns what is to be sent. Raises ``StunError`` for what is not for us."""
        kind = int.from_bytes(data[:2], "big")
        if kind == stun.REQUEST:
            return self._answer(Message.parse(data, self.password.encode()), source, now)
        if kind == stun.RESPONSE:
            return self._answered(Message.parse(data, self._remote_key), source, now)
        if kind == stun.ERROR:
            self._pending.pop(stun.transaction_of(data), None)
        return []

    def _request(self, to: Address, now: float, *, nominate: bool) -> tuple[bytes, Address]:
        message = Message(stun.REQUEST)
        message.attributes[stun.USERNAME] = f"{self._remote_ufrag}:{self.ufrag}".encode()
        message.attributes[stun.PRIORITY] = PEER_REFLEXIVE_PRIORITY.to_bytes(4, "big")
        role = stun.ICE_CONTROLLING if self.controlling else stun.ICE_CONTROLLED
        message.attributes[role] = self._tie_breaker
        if nominate:
            message.attributes[stun.USE_CANDIDATE] = b""
        self._pending[message.transaction] = (to, now, nominate)
        return message.encode(self._remote_key), to

    def _answer(self, request: Message, source: Address, now: float) -> list[tuple[bytes, Address]]:
        user = request.attributes.get(stun.USERNAME, b"").partition(b":")[0]
        if user != self.ufrag.encode():
            raise StunError("for another agent")
        response = Message(stun.RESPONSE, request.transaction)
        response.attributes[stun.XOR_MAPPED_ADDRESS] = stun.xor_address(source, request.transaction)
        out = [(response.encode(self.password.encode()), source)]
        if self._remote_key and source not in self._checks:  # RFC 8445 7.3.1.3: a peer-reflexive candidate
            self._checks[source] = _Check(source, now)
            out += self.due(now) if self.nominated is None else []
        if not self.controlling and stun.USE_CANDIDATE in request.attributes:
            self._nominate(source, now)
        return out

    def _answered(self, response: Message, source: Address, now: float) -> list[tuple[bytes, Address]]:
        pending = self._pending.pop(response.transaction, None)
        if pending is None or pending[0] != source:  # RFC 8445 7.2.5.2.1: answers come from where the request went
            raise StunError("answers nothing")
        address, sent_at, nominating = pending
        if self.nominated is not None:
            if address == self.nominated:
                self.consent_at = now
                self.round_trips.append(now - sent_at)
            return []
        if nominating:
            self._nominate(address, now)
        if self.controlling and self._chosen is None:
            self._chosen = address
            self._checks = {address: _Check(address, now)}
            return self.due(now)
        return []

    def _nominate(self, address: Address, now: float) -> None:
        if self.nominated != address:
            self.nominated = address
            self.consent_at = now
            self._consent_due = now + self.consent_interval * random.random()  # spread a crowd that came together
