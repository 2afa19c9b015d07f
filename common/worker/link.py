"""A worker's end of the control plane: one DEALER that reports and listens.

The link sends the worker's whole report once a second, and at once when told that something changed. It outlives the
broker: ZeroMQ reconnects by itself and the next report tells a new broker everything. A report that cannot be made, or
something in it that cannot be sent, is left out and counted; the worker is heard of all the same.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import zmq

from common import __version__
from common.bucket import TokenBucket
from common.bus import Channel, connect, open_socket
from common.control import (
    MAX_MESSAGE_BYTES,
    REPORT_INTERVAL,
    Drain,
    Leaving,
    NodeName,
    Ping,
    Report,
    Role,
    Speak,
    ToBroker,
    Unfit,
    decode_for_worker,
    encode,
)
from common.curve import Keys
from common.endpoints import Endpoints
from common.errors import ProtocolError
from common.log import Logger, Quiet, get_logger
from common.moments import moment
from common.neighbourhood import neighbourhood
from common.onlooker import mark
from common.process import LoadMeter
from common.reports import split
from common.wire import Agreement
from common.worker import Worker

MIN_REPORT_GAP = 0.05  # seconds: a burst of changes becomes one report
REPORT_SHARE = 0.05  # of the time that may go into reports of changes: one of a thousand viewers takes 40 ms
RETRY_INTERVAL = 0.1  # seconds between tries while the broker is away
AWAY_AFTER = 3.0  # seconds without the broker until the log says so: a restart takes less
WARN_INTERVAL = 60.0  # seconds between two such lines


def default_node(role: Role) -> NodeName:
    """A node name that no other worker has, for one that was started without.

    Not the process id: in containers of one machine's name they all are number 1.
    """
    return NodeName(f"{role}-{socket.gethostname()}-{secrets.token_hex(4)}")


class Contact:
    """Tells the log when the broker is away, and when it is there again."""

    def __init__(self, address: str, now: float, log: Logger) -> None:
        self._address = address
        self._log = log
        self._there = False
        self._away_at = now + AWAY_AFTER
        self._lines = TokenBucket(1, 1 / WARN_INTERVAL)

    def away_for(self, now: float) -> float:
        """Seconds for which it could not be reached."""
        return 0.0 if self._there else max(0.0, now - self._away_at + AWAY_AFTER)

    @property
    def there(self) -> bool:
        """Whether it could be reached when that was tried last."""
        return self._there

    def tried(self, there: bool, now: float) -> None:
        """Take in whether the broker could be reached at ``now``."""
        if there and not self._there:
            self._log.info("broker reached", address=self._address)
        elif self._there and not there:
            self._away_at = now + AWAY_AFTER
            self._lines = TokenBucket(1, 1 / WARN_INTERVAL)
        elif not there and now >= self._away_at and self._lines.take(now):
            self._log.warning(
                "no broker answers: is it running, is the secret the same, or was the token revoked?",
                address=self._address,
            )
        self._there = there


class Link:
    """``serving`` opens it; until then, and afterwards, nothing can be sent."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoints: Endpoints,
        keys: Keys | None,
        *,
        node: NodeName,
        role: Role,
    ) -> None:
        self.node = node
        self.incarnation = secrets.token_hex(8)
        self._host, self._neighbourhood, self._mark = socket.gethostname(), neighbourhood(), mark(os.getpid())
        self.counters: Counter[str] = Counter()
        self.draining = False  # it is ending: reports say so
        self.succeeds = ""  # incarnation of the process before, if that has given everything to this one
        self.drain_ordered = asyncio.Event()  # by the broker
        self.agreement = Agreement()
        self.on_spoken: Callable[[int], object] = lambda _version: None  # the broker has said which wire version is
        self.hopeless = asyncio.Event()  # the broker speaks nothing that this worker does
        self._context = context
        self._endpoints = endpoints
        self._keys = keys
        self._role = role
        self._load = LoadMeter()
        self._log = get_logger(node=node)
        self._worker: Worker | None = None
        self._contact: Contact | None = None
        self._channel: Channel | None = None
        self._timer: asyncio.Handle | None = None  # uvloop's has no ``when()`` if it is due at once
        self._due = 0.0
        self._last_report = float("-inf")
        self._gap = MIN_REPORT_GAP
        self._number = 0  # of the last report
        self._quiet = Quiet(self._log)  # for what should never happen, and may at each report

    @asynccontextmanager
    async def serving(self, worker: Worker) -> AsyncIterator[None]:
        """While open, report for ``worker`` and hand it what the broker says; at the end, say goodbye."""
        self._worker = worker
        self._contact = Contact(self._endpoints.address, asyncio.get_running_loop().time(), self._log)
        self.open()
        try:
            yield
        finally:
            await self.leave()

    def open(self) -> None:
        """Connect and report; also after ``leave``, where a successor came to nothing."""
        socket = open_socket(self._context, zmq.DEALER, self._keys)
        # Where workers have keys, a name that could be guessed would let another take over what is sent to it.
        own = self._keys is not None and self._keys.by_token
        socket.setsockopt(zmq.ROUTING_ID, secrets.token_hex(16).encode() if own else self.node.encode())
        connect(socket, self._endpoints.control)
        self._channel = Channel(socket, self._receive)
        self.report_soon()

    async def leave(self, successor: str = "") -> None:
        """Say goodbye, for good or as the incarnation ``successor`` has everything, and nothing more. Twice is fine."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            channel.send(encode(Leaving(self.node, self.incarnation, successor)))
            await asyncio.sleep(MIN_REPORT_GAP)  # LINGER is 0: give the farewell time to reach the wire
        finally:
            channel.close()

    def send(self, message: ToBroker) -> bool:
        """Send a message of the worker's own, such as an answer.

        ``False``, and lost, while the broker is away, and where no message can hold it, which is counted.
        """
        if self._channel is None:
            return False
        try:
            frame = encode(message)
        except (TypeError, ValueError, OverflowError):
            self._count("control_unsendable", f"a message of type {message.type} cannot be sent")
            return False
        if len(frame) > MAX_MESSAGE_BYTES:  # the broker would close the connection
            self._count("control_unsendable", f"a message of type {message.type} is too large", bytes=len(frame))
            return False
        return self._channel.send(frame)

    @property
    def there(self) -> bool:
        """Whether the broker can be reached, as of the last report."""
        return self._contact is not None and self._contact.there

    def away_for(self, now: float) -> float:
        """Seconds for which no broker could be reached; 0 if one can."""
        return self._contact.away_for(now) if self._contact is not None else 0.0

    def report_soon(self) -> None:
        """Report a change within 50 ms instead of a second."""
        if self._channel is None:
            return
        loop = asyncio.get_running_loop()
        due = max(loop.time(), self._last_report + self._gap)
        if self._timer is None or self._due > due:
            self._report_at(due)

    def _report(self) -> None:
        loop = asyncio.get_running_loop()
        self._last_report = loop.time()
        self._quiet.sweep()
        sent = False
        # Asked first: a report of a thousand viewers is not worth building for a broker that is away.
        there = self._channel is not None and self._channel.writable
        if self._contact is not None:
            self._contact.tried(there, self._last_report)
        try:
            sent = there and self._send_report(self._complete(self._base()))
            self._gap = max(MIN_REPORT_GAP, (loop.time() - self._last_report) / REPORT_SHARE)
        finally:  # in any case: a worker that never reports again would be given up as dead
            self._report_at(moment(loop.time(), REPORT_INTERVAL) if sent else loop.time() + RETRY_INTERVAL)

    def _complete(self, base: Report) -> Report:
        """With the worker's own parts; if these cannot be told, the broker keeps the last that it was told."""
        assert self._worker is not None
        try:
            return self._worker.report(base)
        except Exception:  # a mistake of ours about one viewer must not take the worker from all others
            self._count("report_failed", "the report could not be made", exc_info=True)
            return replace(base, partial=True)

    def _send_report(self, report: Report) -> bool:
        frames, bad = split(report)
        if bad:
            self._count("report_failed", "items could not be reported", items=bad)
        sent = self._channel is not None and all(self._channel.send(frame) for frame in frames)
        if sent:
            self.agreement.reported(self._last_report)
            self._look_whether_it_fits()
        return sent

    def _look_whether_it_fits(self) -> None:
        if self.agreement.hopeless:
            self.hopeless.set()
        elif self.agreement.problem:
            self._quiet.warning("the broker's release is not compatible", reason=self.agreement.problem)

    def _count(self, name: str, event: str, **fields: Any) -> None:
        """Count something that should never happen, and say so at most once a minute."""
        self.counters[name] += 1
        self._quiet.error(event, **fields)

    def _report_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = asyncio.get_running_loop().call_at(due, self._report)

    def _base(self) -> Report:
        self._number += 1
        return Report(
            node=self.node,
            role=self._role,
            incarnation=self.incarnation,
            host=self._host,
            neighbourhood=self._neighbourhood,
            pid=os.getpid(),
            mark=self._mark,
            version=__version__,
            load=self._load.read(),
            draining=self.draining,
            succeeds=self.succeeds,
            wire=self.agreement.spoken,
            speaks=self.agreement.version,
            number=self._number,
            counters=dict(self.counters) | {"tasks": len(asyncio.all_tasks())},  # a leak shows here
        )

    def _receive(self, frame: bytes) -> None:
        try:
            message = decode_for_worker(frame)
        except ProtocolError as exc:
            self.counters["control_garbage"] += 1
            self._log.debug("control message dropped", reason=str(exc))
            return
        if isinstance(message, Drain):
            self.drain_ordered.set()
        elif isinstance(message, Speak):
            self.agreement.told(message.version)
            self.on_spoken(self.agreement.version)
            self.report_soon()
        elif isinstance(message, Unfit):
            self.agreement.refused(message.sentence)
            self._look_whether_it_fits()
        elif self._worker is not None and not isinstance(message, Ping):
            self._worker.handle(message)
