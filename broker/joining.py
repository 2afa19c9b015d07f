"""The join socket: a worker shows its token and becomes a member, with the key of its connection.

Only a peer that has seen a token knows the broker's public key and gets through the handshake; what it sends then is
one small message. Connections are worth nothing once they were answered, so all of them are dropped, by binding anew,
when the first is ``LIFETIME`` old, when there were ``MAX_CONNECTIONS``, or when an address sends more than its budget.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType

import zmq

from broker.admission import JoinRefusedError
from broker.doorman import AddressBudget
from broker.keyring import Keyring
from common.bus import Channel, bind, open_socket
from common.control import NodeName
from common.curve import Domain, Keys
from common.endpoints import Endpoints
from common.errors import CamshaftError, ProtocolError
from common.join import MAX_JOIN_BYTES, Join, Verdict, decode_join, encode
from common.log import Quiet, get_logger

LIFETIME = 10.0  # seconds; a join takes milliseconds, and one that is cut off is tried again
MAX_CONNECTIONS = 500
QUEUE = 10  # messages of one peer that wait, each way
REFUSALS_LOGGED = 6  # lines a minute about workers that may not join
_REBIND_INTERVAL = 0.05  # seconds between tries while libzmq's own thread still closes the former socket

log = get_logger()


class Joining:
    """Context manager: workers can join while it is open. ``lives`` says whether a worker of that name is at work."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        keys: Keys,
        keyring: Keyring,
        budget: AddressBudget,
        lives: Callable[[NodeName], bool],
        counters: Counter[str],
    ) -> None:
        self._counters = counters
        self._context = context
        self._endpoint = endpoints.join
        self._keys = keys
        self._keyring = keyring
        self._budget = budget
        self._lives = lives
        self._channel: Channel | None = None
        self._renewal: asyncio.TimerHandle | None = None
        self._answered = 0
        self._quiet = Quiet(log, lines=REFUSALS_LOGGED)

    def __enter__(self) -> Joining:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        if self._channel is not None:
            self._channel.close()

    def _open(self) -> None:
        socket = open_socket(self._context, zmq.ROUTER)
        for option, value in ((zmq.MAXMSGSIZE, MAX_JOIN_BYTES), (zmq.RCVHWM, QUEUE), (zmq.SNDHWM, QUEUE)):
            socket.setsockopt(option, value)
        socket.setsockopt(zmq.HEARTBEAT_IVL, 0)  # who joins stays for a moment; ``bind`` says what they can cost
        try:
            bind(socket, self._endpoint, self._keys, "joining of workers", Domain.JOIN)
        except BaseException:
            socket.close(linger=0)
            raise
        self._answered = 0
        self._channel = Channel(socket, self._receive, signed=True)

    def _renew(self) -> None:
        """Drop every connection."""
        loop = asyncio.get_running_loop()
        self._renewal = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        try:
            self._open()
        except (CamshaftError, zmq.ZMQError):  # still taken, or no descriptors are left: nobody else would try again
            self._renewal = loop.call_later(_REBIND_INTERVAL, self._renew)

    def _renew_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        if self._renewal is None or due < self._renewal.when():
            if self._renewal is not None:
                self._renewal.cancel()
            self._renewal = loop.call_at(due, self._renew)

    def _receive(self, frames: list[zmq.Frame]) -> None:
        self._answered += 1
        self._renew_in(LIFETIME if self._answered < MAX_CONNECTIONS else _REBIND_INTERVAL)
        message = frames[-1]
        if not self._budget.take(str(message.get("Peer-Address")), time.monotonic()):
            self._counters["join_flood"] += 1
            self._renew_in(_REBIND_INTERVAL)
            return
        try:
            join = decode_join(message.bytes if len(frames) == 2 else b"")  # the first is the return address
        except ProtocolError as exc:
            self._counters["join_garbage"] += 1
            log.debug("join dropped", reason=str(exc))
            return
        verdict = self._judge(join, str(message.get("User-Id")))
        if self._channel is not None:
            self._channel.send(frames[0].bytes, encode(verdict))

    def _judge(self, join: Join, key: str) -> Verdict:
        try:
            self._keyring.admit(join.token, join.secret, key, join.role, join.node, lives=self._lives, now=time.time())
        except JoinRefusedError as exc:
            self._counters["join_refused"] += 1
            if not exc.passing:
                self._quiet.warning("a worker may not join", worker=join.node, role=join.role.value, reason=str(exc))
            return Verdict(False, str(exc), exc.passing)
        except sqlite3.Error as exc:
            self._quiet.warning("keyring cannot be written", reason=str(exc))
            return Verdict(False, f"the broker cannot write its keyring: {exc}", passing=True)
        self._counters["joined"] += 1
        log.info("worker may join", worker=join.node, role=join.role.value, token=join.token)
        return Verdict(True)
