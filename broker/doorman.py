"""Decides who may connect to which socket of the bus, where each worker has a key of its own.

It is the ZAP handler (ZMQ RFC 27) of the broker's sockets: libzmq asks it about each handshake, with the socket's
domain and the peer's CURVE key, and hands its answer on with each message as the ``User-Id``.

* A worker reports, and publishes or subscribes as its role says. Nobody else gets further than the join socket.
* A handshake on the join socket tells only that the peer once saw a token, so each address may try only so often.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection
from types import TracebackType

import zmq
from zmq.utils import z85

from broker.admission import Member
from broker.keyring import Keyring
from common.address import network_of
from common.bucket import TokenBuckets
from common.bus import Channel
from common.control import PUBLISHERS, SUBSCRIBERS, Role
from common.curve import Domain
from common.log import Quiet, get_logger

JOIN_BURST = 300  # tries of one address: all workers of a large machine at once
JOIN_RATE = 5.0  # tries a second after that
MAX_ADDRESSES = 1_000  # that are remembered

_ENDPOINT = "inproc://zeromq.zap.01"
_VERSION = b"1.0"
_ROLES = {Domain.CONTROL: frozenset(Role), Domain.PUBLISH: PUBLISHERS, Domain.SUBSCRIBE: SUBSCRIBERS}


class AddressBudget(TokenBuckets):
    """How often each address may try. As everywhere, the /64 of an IPv6 address is one."""

    def __init__(self, burst: int = JOIN_BURST, rate: float = JOIN_RATE) -> None:
        super().__init__(burst, rate, MAX_ADDRESSES)

    def take(self, key: str, now: float) -> bool:
        """Whether the address may try once more at ``now`` (monotonic seconds)."""
        return super().take(network_of(key) or key, now)


class Doorman:
    """Context manager; to be entered before the sockets are bound and left after they are closed.

    ``counters`` gets ``control_refused`` and so on.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        keyring: Keyring,
        counters: Counter[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self.joining = AddressBudget()
        self._context = context
        self._keyring = keyring
        self._clock = clock
        self._quiet = Quiet(get_logger())
        self._channel: Channel | None = None

    def __enter__(self) -> Doorman:
        socket = self._context.socket(zmq.ROUTER)
        socket.bind(_ENDPOINT)
        self._channel = Channel(socket, self._asked, multipart=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._channel is not None
        self._channel.close()

    def lets_in(self, domain: str, address: str, key: str) -> bool:
        """Whether a peer at ``address`` with this CURVE key (Z85) may connect for what ``domain`` says."""
        if domain == Domain.JOIN:
            return self.joining.take(address, self._clock())
        with contextlib.suppress(sqlite3.Error):  # it cannot be read: those who are known still come in
            self._keyring.refresh()
        member = self._keyring.member(key)
        return member is not None and member.role in _ROLES.get(Domain(domain), ())

    def revoked(self) -> Collection[Member]:
        """Members whose keys were revoked by other processes since this was last asked."""
        try:
            return self._keyring.take_revoked()
        except sqlite3.Error as exc:
            self._quiet.warning(
                "keyring cannot be read, so nobody can join and nothing can be revoked", reason=str(exc)
            )
            return ()

    def _asked(self, frames: list[bytes]) -> None:
        """A ZAP request: envelope and empty frame, version, id, domain, address, routing id, mechanism, key."""
        assert self._channel is not None
        envelope, request = frames[:2], frames[2:]
        if len(request) != 7 or request[0] != _VERSION:  # it comes from libzmq in this process
            return
        _, number, domain, address, _, mechanism, key = request
        user = z85.encode(key).decode() if mechanism == b"CURVE" else ""
        allowed = bool(user) and self.lets_in(domain.decode(), address.decode(errors="replace"), user)
        if not allowed:
            self._counters[f"{domain.decode()}_refused"] += 1
        # After 400 libzmq's peer gives up for good, after 300 it tries again: a budget comes back, a key does not.
        status = b"200" if allowed else b"300" if domain == b"join" else b"400"
        self._channel.send(*envelope, _VERSION, number, status, b"", user.encode() if allowed else b"", b"")
